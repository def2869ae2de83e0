import { escapeMarkup } from '../pages.ts';
import { faultBody, type QuickBooksFault } from './errors.ts';
import { textOf } from './fields.ts';
import { answerTime } from './time.ts';

const schema = 'http://schema.intuit.com/finance/v3';
/** Written as attributes where JSON has members. */
const attributes: Record<string, readonly string[]> = {
  QueryResponse: ['startPosition', 'maxResults', 'totalCount'],
  BatchItemResponse: ['bId'],
  Fault: ['type'],
  Error: ['code', 'element'],
};
const objectAttributes = ['domain', 'sparse', 'status'];

/** The XML form of a JSON answer: what a client gets that does not ask for JSON. */
export function xmlAnswer({ time, ...members }: Record<string, unknown>): string {
  const inner = Object.entries(members)
    .map(([name, value]) => element(name, value))
    .join('');
  return `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><IntuitResponse xmlns="${schema}" time="${escapeMarkup(String(time))}">${inner}</IntuitResponse>`;
}

export function xmlFault(fault: QuickBooksFault, nowMs: number): string {
  return xmlAnswer({ Fault: faultBody(fault), time: answerTime(nowMs) });
}

function element(name: string, value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map((item) => element(name, item)).join('');
  if (typeof value !== 'object') return `<${name}>${escapeMarkup(textOf(value))}</${name}>`;
  const members = Object.entries(value);
  // A reference: <CustomerRef name="Acme">5</CustomerRef>
  if ('value' in value && members.every(([key]) => key === 'value' || key === 'name' || key === 'type')) {
    const { value: text, ...rest } = value as Record<string, unknown>;
    return `<${name}${attributeText(Object.entries(rest))}>${escapeMarkup(String(text))}</${name}>`;
  }
  const isAttribute = ([key, member]: [string, unknown]) =>
    (attributes[name]?.includes(key) ?? false) ||
    (objectAttributes.includes(key) && typeof member !== 'object');
  const inner = members
    .filter((member) => !isAttribute(member))
    .map(([key, member]) => element(key, member))
    .join('');
  return `<${name}${attributeText(members.filter(isAttribute))}>${inner}</${name}>`;
}

function attributeText(pairs: [string, unknown][]): string {
  return pairs.map(([key, value]) => ` ${key}="${escapeMarkup(String(value))}"`).join('');
}
