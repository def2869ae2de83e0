import type { FastifyRequest } from 'fastify';
import { invalidArgument, SlackError } from './errors.ts';

/** The arguments of a call, however they came. Values of forms and queries are text; those of JSON keep their type. */
export interface Arguments {
  /** Of the header or the form; not of a query, where Slack no longer takes it. */
  token: string | undefined;
  /** What the answer's `warning` names. */
  warnings: string[];
  /** Undefined where it is absent or empty. Numbers and booleans of JSON as text. */
  text(name: string): string | undefined;
  required(name: string): string;
  flag(name: string): boolean;
  /** A list or an object, of JSON or as JSON in a form. */
  structure(name: string): unknown;
}

/** JSON bodies count where the method takes them; elsewhere they are passed over, as if there was no body. */
export async function readArguments(request: FastifyRequest, takesJson: boolean): Promise<Arguments> {
  const query = new URL(request.url, 'http://localhost').searchParams;
  const body = typeof request.body === 'string' ? request.body : '';
  const contentType = request.headers['content-type'] ?? '';
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase();
  const warnings: string[] = [];
  let fields: Record<string, unknown> = Object.fromEntries(query);
  let formToken: unknown;
  if (request.method === 'POST' && body !== '') {
    const sent = await bodyFields(type, contentType, body, takesJson);
    const isJson = type === 'application/json';
    if (isJson && takesJson && !/charset=utf-8/i.test(contentType)) warnings.push('missing_charset');
    if (!isJson && /charset=/i.test(contentType)) warnings.push('superfluous_charset');
    // JSON calls carry their token in the header.
    formToken = isJson ? undefined : sent['token'];
    fields = { ...fields, ...sent };
  }
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const text = (name: string): string | undefined => {
    const value = fields[name];
    if (typeof value === 'string') return value === '' ? undefined : value;
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
  };
  return {
    token: bearer ?? (typeof formToken === 'string' && formToken !== '' ? formToken : undefined),
    warnings,
    text,
    required(name) {
      const value = text(name);
      if (value === undefined) throw invalidArgument(`missing required field: ${name}`, name);
      return value;
    },
    flag: (name) => ['true', '1'].includes(text(name)?.toLowerCase() ?? ''),
    structure(name) {
      const value = fields[name];
      if (typeof value !== 'string') return value;
      try {
        return JSON.parse(value) as unknown;
      } catch {
        return undefined;
      }
    },
  };
}

async function bodyFields(
  type: string,
  contentType: string,
  body: string,
  takesJson: boolean,
): Promise<Record<string, unknown>> {
  switch (type) {
    case 'application/x-www-form-urlencoded':
      return Object.fromEntries(new URLSearchParams(body));
    case 'multipart/form-data':
      return multipart(contentType, body);
    case 'application/json':
      return takesJson ? jsonFields(body) : {};
    case '':
      throw new SlackError('missing_post_type');
    default:
      throw new SlackError('invalid_post_type');
  }
}

async function multipart(contentType: string, body: string): Promise<Record<string, unknown>> {
  const form = await new Response(body, { headers: { 'content-type': contentType } })
    .formData()
    .catch(() => undefined);
  if (!form) throw new SlackError('invalid_form_data');
  return Object.fromEntries(form);
}

function jsonFields(body: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new SlackError('invalid_json');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SlackError('json_not_object');
  return value as Record<string, unknown>;
}
