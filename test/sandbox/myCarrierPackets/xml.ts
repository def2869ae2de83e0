import { declaredModels } from './declared.ts';
import { declaredIn } from './shapes.ts';

interface Element {
  name: string;
  nil: boolean;
  text: string;
  children: Element[];
}

/** What an answer in XML says, in the form of the answer in JSON, but with every value as its text. Throws at items of lists that are not called as their model. */
export function valueOfXml(xml: string, type: string): unknown {
  const root = parse(xml);
  const expected = type.endsWith('[]') ? `ArrayOf${shortName(type.slice(0, -2))}` : shortName(type);
  if (root.name !== expected) throw new Error(`the root is ${root.name}, not ${expected}`);
  return valueOf(root, type);
}

/** The same of an answer in JSON. */
export function textsOf(value: unknown): unknown {
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(textsOf);
  if (typeof value !== 'object') return String(value as string | number | boolean);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, textsOf(member)]));
}

function valueOf(element: Element, type: string): unknown {
  if (element.nil) return null;
  if (type.endsWith('[]')) {
    const item = type.slice(0, -2);
    return element.children.map((child) => {
      if (child.name !== shortName(item)) throw new Error(`${child.name} in a list of ${item}`);
      return valueOf(child, item);
    });
  }
  const model = declaredModels[type];
  if (!model && element.children.length === 0) return element.text;
  const types = new Map((model ? declaredIn(model) : []).map((one) => [one.name, one.type]));
  return Object.fromEntries(
    element.children.map((child) => [child.name, valueOf(child, types.get(child.name) ?? 'string')]),
  );
}

const shortName = (model: string) => model.slice(model.indexOf('.') + 1);

function parse(xml: string): Element {
  const top: Element = { name: '', nil: false, text: '', children: [] };
  const open = [top];
  for (const [, close, name, attributes = '', empty, text] of xml.matchAll(
    /<(\/?)(\w+)([^>]*?)(\/?)>|([^<]+)/g,
  )) {
    const current = open.at(-1)!;
    if (text !== undefined) current.text += plain(text);
    else if (close) {
      if (open.pop()!.name !== name) throw new Error(`</${name}> closes another`);
    } else {
      const element = { name: name!, nil: attributes.includes('i:nil="true"'), text: '', children: [] };
      current.children.push(element);
      if (!empty) open.push(element);
    }
  }
  if (open.length !== 1 || top.children.length !== 1) throw new Error('not one whole element');
  return top.children[0]!;
}

function plain(text: string): string {
  const signs: Record<string, string> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
  return text.replace(/&([^;]+);/g, (_all, name: string) => signs[name] ?? '?');
}
