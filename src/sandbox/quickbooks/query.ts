import { faults } from './errors.ts';

/**
 * QuickBooks' query language, as far as it goes:
 *
 *   SELECT * | COUNT(*) | field, ... FROM Kind [WHERE field op value [AND ...]] [ORDERBY field [ASC|DESC], ...]
 *     [STARTPOSITION n] [MAXRESULTS n]
 *
 * with =, <, >, <=, >=, IN (...) and LIKE. No OR, no joins, no nesting. Keywords in any case; a quote inside a
 * string is written \'.
 */
export interface Statement {
  select: '*' | 'count' | readonly string[];
  kind: string;
  where: readonly Condition[];
  orderBy: readonly { field: string; descending: boolean }[];
  /** Counted from 1. */
  startPosition: number;
  maxResults: number;
}

export interface Condition {
  field: string;
  operator: '=' | '<' | '>' | '<=' | '>=' | 'IN' | 'LIKE';
  /** One, or for IN one or more. */
  values: readonly string[];
}

interface Token {
  type: 'word' | 'string' | 'number' | 'sign' | 'end';
  text: string;
  /** Of its first character, from 0. */
  offset: number;
}

const largestPage = 1000;
const lexeme =
  /(?<space>\s+)|(?<string>'(?:\\.|[^'\\])*')|(?<word>[A-Za-z_][\w.]*)|(?<number>-?\d+(?:\.\d+)?)|(?<sign><=|>=|[=<>(),*])/y;

/** Throws the parser's fault (4000) for what is not this language, the validator's (4001) for positions out of range. */
export function parseQuery(text: string): Statement {
  const reader = new Reader(text);
  reader.keyword('SELECT');
  const select = readSelection(reader);
  reader.keyword('FROM');
  const kind = reader.take('word').text;
  const where = reader.skip('WHERE') ? readConditions(reader) : [];
  const orderBy = readOrder(reader);
  let startPosition = 1;
  let maxResults = 100;
  if (reader.skip('STARTPOSITION')) startPosition = readPosition(reader, Number.MAX_SAFE_INTEGER);
  if (reader.skip('MAXRESULTS')) maxResults = readPosition(reader, largestPage);
  reader.take('end');
  return { select, kind, where, orderBy, startPosition, maxResults };
}

function readSelection(reader: Reader): Statement['select'] {
  if (reader.skip('*')) return '*';
  const first = reader.take('word').text;
  if (first.toUpperCase() === 'COUNT' && reader.skip('(')) {
    reader.keyword('*');
    reader.keyword(')');
    return 'count';
  }
  const fields = [first];
  while (reader.skip(',')) fields.push(reader.take('word').text);
  return fields;
}

function readConditions(reader: Reader): Condition[] {
  const conditions: Condition[] = [];
  do {
    const field = reader.take('word').text;
    if (reader.skip('IN')) {
      reader.keyword('(');
      const values = [readValue(reader)];
      while (reader.skip(',')) values.push(readValue(reader));
      reader.keyword(')');
      conditions.push({ field, operator: 'IN', values });
    } else {
      const operator = (['<=', '>=', '=', '<', '>', 'LIKE'] as const).find((one) => reader.skip(one));
      if (!operator) throw reader.unexpected('"=", "<", ">", "<=", ">=", "in", "like"');
      conditions.push({ field, operator, values: [readValue(reader)] });
    }
  } while (reader.skip('AND'));
  return conditions;
}

function readOrder(reader: Reader): { field: string; descending: boolean }[] {
  if (!reader.skip('ORDERBY')) {
    if (!reader.skip('ORDER')) return [];
    reader.keyword('BY');
  }
  const order: { field: string; descending: boolean }[] = [];
  do {
    const field = reader.take('word').text;
    const descending = reader.skip('DESC');
    if (!descending) reader.skip('ASC');
    order.push({ field, descending });
  } while (reader.skip(','));
  return order;
}

function readValue(reader: Reader): string {
  const { type, text } = reader.next();
  if (type === 'string') return text.slice(1, -1).replace(/\\(.)/g, '$1');
  if (type === 'number' || (type === 'word' && /^(true|false)$/i.test(text))) return text;
  throw reader.unexpected('<STRING>, <NUMBER>, "true", "false"', 1);
}

function readPosition(reader: Reader, largest: number): number {
  const { text } = reader.take('number');
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw reader.unexpected('<INTEGER>', 1);
  if (value > largest) {
    throw faults.queryValidation(`value ${value} is too large. Max allowed value is ${largest}.`);
  }
  if (value < 1) throw faults.queryValidation(`value ${value} is too small. Min allowed value is 1.`);
  return value;
}

class Reader {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    lexeme.lastIndex = 0;
    while (lexeme.lastIndex < source.length) {
      const offset = lexeme.lastIndex;
      const groups = lexeme.exec(source)?.groups;
      if (!groups) throw this.#unexpectedAt({ type: 'sign', text: source.charAt(offset), offset }, '<TOKEN>');
      const found = (['string', 'word', 'number', 'sign'] as const).find(
        (type) => groups[type] !== undefined,
      );
      if (found) this.#tokens.push({ type: found, text: groups[found] ?? '', offset });
    }
    this.#tokens.push({ type: 'end', text: '<EOF>', offset: source.length });
  }

  next(): Token {
    const token = this.#tokens[Math.min(this.#at, this.#tokens.length - 1)]!;
    this.#at += 1;
    return token;
  }

  take(type: Token['type']): Token {
    const token = this.next();
    if (token.type !== type) throw this.unexpected(type === 'end' ? '<EOF>' : `<${type.toUpperCase()}>`, 1);
    return token;
  }

  /** Whether the next token is this keyword or sign; then it is behind us. */
  skip(text: string): boolean {
    const token = this.next();
    if (token.type !== 'string' && token.type !== 'end' && token.text.toUpperCase() === text) return true;
    this.#at -= 1;
    return false;
  }

  keyword(text: string): void {
    if (!this.skip(text)) throw this.unexpected(`"${text.toLowerCase()}"`);
  }

  /** The fault about the token `back` steps behind the next one. */
  unexpected(expected: string, back = 0) {
    this.#at -= back;
    return this.#unexpectedAt(this.next(), expected);
  }

  #unexpectedAt({ text, offset }: Token, expected: string) {
    const before = this.#source.slice(0, offset).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    return faults.queryParser(
      `Encountered "${text}" at line ${before.length}, column ${column}.\nWas expecting:\n    ${expected} ...`,
    );
  }
}
