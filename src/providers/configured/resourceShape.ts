import { z } from 'zod';
import { choice, count, path, relativePath, word } from './forms.ts';

/** What may be said of one kind of record: how one, several and all are read, and where they have what. */

const paginate = z
  .strictObject({
    type: choice('cursor', 'page', 'offset', 'link').describe(
      'cursor: each answer names the next page. page, offset: counted, up to an empty page. link: a Link header (RFC 8288), or a URL in the answer.',
    ),
    param: word.optional().describe('The query parameter that names the page; not for `link`.'),
    cursorPath: path
      .optional()
      .describe(
        'cursor: where the answer names the next page. link: where it has its URL, if not in the Link header.',
      ),
    firstPage: z.int().min(0).default(1).describe('page: the number of the first one.'),
  })
  .describe('How a list goes on. Default: it is one page.');

const list = z
  .strictObject({
    path: relativePath('accountId').describe('All records, e.g. `/customers`.'),
    itemsPath: path.optional().describe('Where the answer has the list. Default: the answer is the list.'),
    sinceParam: word.optional().describe('The query parameter that leaves out what has not changed since.'),
    sinceFormat: choice('iso', 'seconds', 'milliseconds')
      .default('iso')
      .describe('How it is written: ISO 8601, or since 1970.'),
    overlapSec: z.int().min(0).default(60).describe('Read again before the last time: changes show up late.'),
    paginate: paginate.optional(),
    whole: z
      .boolean()
      .default(false)
      .describe('Without `sinceParam` the list has every record there is: what it lacks is deleted.'),
  })
  .describe('How all records, or the changed ones, are read.');

export const resource = z.strictObject({
  path: relativePath('id', 'accountId').optional().describe('One record, e.g. `/customers/{id}`.'),
  recordPath: path.optional().describe('Where the answer has it. Default: all of it.'),
  idPath: path.default('id').describe('Where the record has its id.'),
  updatedAtPath: path.optional().describe('Where the record has the time of its last change.'),
  batch: z
    .strictObject({
      path: relativePath('ids', 'accountId').describe(
        'Several records at once, e.g. `/customers?ids={ids}`.',
      ),
      size: count.max(1_000).describe('Most ids at once.'),
      separator: word.default(',').describe('What stands between ids.'),
      itemsPath: path.optional().describe('Where the answer has the list. Default: the answer is the list.'),
    })
    .optional()
    .describe('How several records are read together.'),
  list: list.optional(),
  mask: z.array(word).default([]).describe('Members, wherever they stand, whose values nobody may see.'),
});

export type ResourceFacts = z.output<typeof resource>;
