import { describe, expect, it } from 'vitest';
import type { HttpResponse } from '../../src/calls/http.ts';
import type { Change, Position } from '../../src/providers/changes.ts';
import { answer, describedWith as provider } from '../support/described.ts';

const target = { apiUrl: 'https://api.acme.example/v1', externalId: 'team 1/x' };

describe('a list', () => {
  const since = new Date('2026-11-01T10:00:00Z');
  const reads = (list: object, resource: object = {}) =>
    provider({ resources: { Note: { list: { path: '/notes?size=2', ...list }, ...resource } } }).changes(
      'Note',
    );
  const begin = (list: object, from: Date | null = since) => reads(list).begin(from, new Date());
  const notes = (...ids: number[]) => ids.map((id) => ({ id, at: id }));
  /** Reads until the last page: the URLs that were asked for, and the ids that were found. */
  const walk = (list: object, pages: HttpResponse[], from: Date | null = null) => {
    const own = reads(list);
    const urls: string[] = [];
    const changes: Change[] = [];
    for (let position: Position | undefined = own.begin(from, new Date()); position;) {
      const { url } = own.request(target, position);
      urls.push(url.replace(target.apiUrl, ''));
      const page = own.parse(pages[urls.length - 1]!, position);
      changes.push(...page.changes);
      position = page.next;
    }
    return { urls, ids: changes.map(({ externalId }) => externalId) };
  };

  it('is one page unless it says how it goes on', () => {
    const { urls, ids } = walk({}, [answer(notes(1, 2))]);
    expect({ urls, ids }).toEqual({ urls: ['/notes?size=2'], ids: ['1', '2'] });
    expect(reads({}, { updatedAtPath: 'at' }).parse(answer(notes(1_700_000_000)), begin({})).changes).toEqual(
      [
        {
          kind: 'UPSERTED',
          externalId: '1700000000',
          snapshot: {
            externalId: '1700000000',
            payload: { id: 1_700_000_000, at: 1_700_000_000 },
            updatedAt: new Date(1_700_000_000_000),
          },
        },
      ],
    );
  });

  it('asks for what has changed since, in the provider’s form', () => {
    const asked = (list: object) => reads(list).request(target, begin(list)).url.split('size=2')[1];
    expect(asked({ sinceParam: 'since' })).toBe('&since=2026-11-01T10%3A00%3A00.000Z');
    expect(asked({ sinceParam: 'since', sinceFormat: 'seconds' })).toBe('&since=1793527200');
    expect(asked({ sinceParam: 'since', sinceFormat: 'milliseconds' })).toBe('&since=1793527200000');
    expect(asked({})).toBe('');
    expect(reads({ sinceParam: 'since' }).overlapMs).toBe(60_000);
    expect(reads({ sinceParam: 'since', overlapSec: 5 }).overlapMs).toBe(5_000);
    expect(reads({}).overlapMs).toBe(0);
  });

  it('follows cursors to the end, and never in a circle', () => {
    const paginate = { type: 'cursor', param: 'after', cursorPath: 'next.at' };
    const page = (next: unknown, ...ids: number[]) => answer({ data: notes(...ids), next: { at: next } });
    const list = { itemsPath: 'data', paginate };
    expect(walk(list, [page('x y', 1), page(7, 2), page('', 3)])).toEqual({
      urls: ['/notes?size=2', '/notes?size=2&after=x+y', '/notes?size=2&after=7'],
      ids: ['1', '2', '3'],
    });
    expect(walk(list, [page('x', 1), page('x', 2)]).ids).toEqual(['1', '2']);
    expect(walk(list, [answer({ data: notes(1) })]).urls).toHaveLength(1);
  });

  it('counts pages and offsets up to an empty one, for a page may be short', () => {
    const pages = [answer(notes(1, 2)), answer(notes(3)), answer([])];
    expect(walk({ paginate: { type: 'page', param: 'p' } }, pages)).toEqual({
      urls: ['/notes?size=2&p=1', '/notes?size=2&p=2', '/notes?size=2&p=3'],
      ids: ['1', '2', '3'],
    });
    expect(walk({ paginate: { type: 'page', param: 'p', firstPage: 0 } }, pages).urls[0]).toBe(
      '/notes?size=2&p=0',
    );
    expect(walk({ paginate: { type: 'offset', param: 'o' } }, pages).urls).toEqual([
      '/notes?size=2',
      '/notes?size=2&o=2',
      '/notes?size=2&o=3',
    ]);
  });

  it('follows links, by header or in the answer, and never to another host', () => {
    const list = { paginate: { type: 'link' } };
    const linked = (link: string) => answer(notes(1), { link });
    const next = (link: string) => walk(list, [linked(link), answer([])]).urls[1];
    expect(next('<https://api.acme.example/v1/notes?page=2>; rel="next", </v1/x>; rel="last"')).toBe(
      '/notes?page=2',
    );
    expect(next('</v1/a>; rel="first", </v1/notes?q={id}>; title="x"; rel="prev next"')).toBe(
      '/notes?q=%7Bid%7D',
    );
    expect(next('<?page=3>; rel=next')).toBe('/notes?page=3');
    for (const other of [
      'mailto:.evil.example/x',
      'javascript:.evil.example/',
      'data:@evil.example/x',
      'file:///etc/passwd',
    ])
      expect([other, next(`<${other}>; rel="next"`)]).toEqual([other, undefined]);
    for (const none of ['', 'x', '<https://a.example>', '</v1/x>; rel="last"', '<http://[>; rel="next"'])
      expect([none, next(none)]).toEqual([none, undefined]);
    for (const elsewhere of [
      'https://evil.example/x',
      '//evil.example/x',
      'https://evil.example//evil.example/x',
      '/\\evil.example/x',
      'http://127.0.0.1/x',
      'https://u:p@evil.example/x',
    ]) {
      const url = next(`<${elsewhere}>; rel="next"`);
      expect([elsewhere, new URL(url!).host]).toEqual([elsewhere, 'api.acme.example']);
    }
    const inBody = { itemsPath: 'value', paginate: { type: 'link', cursorPath: '@odata\\.nextLink' } };
    const first = answer({ value: notes(1), '@odata.nextLink': 'https://api.acme.example/v1/notes?$skip=1' });
    expect(walk(inBody, [first, answer({ value: [] })]).urls[1]).toBe('/notes?$skip=1');
  });

  it('says that it is whole only where the description does, and nothing was left out', () => {
    const whole = (list: object, from: Date | null) =>
      reads(list).parse(answer(notes(1)), begin(list, from)).isWhole;
    expect(whole({}, null)).toBe(false);
    expect(whole({ whole: true }, null)).toBe(true);
    expect(whole({ whole: true }, since)).toBe(true);
    expect(whole({ whole: true, sinceParam: 'since' }, null)).toBe(true);
    expect(whole({ whole: true, sinceParam: 'since' }, since)).toBe(false);
  });

  it('takes the time from the provider’s clock, and no nonsense', () => {
    const at = (date: string) => reads({}).parse(answer([], { date }), begin({})).at;
    expect(at('Sun, 01 Nov 2026 10:00:00 GMT')).toEqual(since);
    for (const none of ['', '120', 'tomorrow', '2026-11-01']) expect(at(none)).toBeNull();
  });

  it('is a bug to ask for where there is none', () => {
    const { changes, listed } = provider({ resources: { A: { path: '/a/{id}' } } });
    expect(listed).toEqual([]);
    expect(() => changes('A')).toThrow(TypeError);
  });
});
