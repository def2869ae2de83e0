import type { Parameters } from './parameters.ts';

/** As in the header `X-Pagination`, and in some answers themselves. */
export interface Pagination {
  pageNumber: number;
  pageSize: number;
  totalPages: number;
  totalCount: number;
}

export const pageParameters = { pageNumber: 'int', pageSize: 'int' } as const;

export interface PageSizes {
  usual: number;
  largest: number;
}

export const manySizes: PageSizes = { usual: 2500, largest: 5000 };
export const fewSizes: PageSizes = { usual: 250, largest: 500 };

/** A size that is not allowed gives the usual one, which a client sees only in the pagination; a page past the end is empty. */
export function pageOf<T>(rows: readonly T[], parameters: Parameters, { usual, largest }: PageSizes) {
  const pageNumber = Math.max(1, parameters.int('pageNumber') ?? 1);
  const asked = parameters.int('pageSize') ?? usual;
  const pageSize = asked >= 1 && asked <= largest ? asked : usual;
  const totalCount = rows.length;
  const pagination: Pagination = {
    pageNumber,
    pageSize,
    totalPages: Math.ceil(totalCount / pageSize),
    totalCount,
  };
  return { rows: rows.slice((pageNumber - 1) * pageSize, pageNumber * pageSize), pagination };
}

/** Everything, without the header, unless a page is asked for. */
export function pageIfAsked<T>(rows: readonly T[], parameters: Parameters, sizes: PageSizes) {
  const isAsked = parameters.has('pageNumber') || parameters.has('pageSize');
  return isAsked ? pageOf(rows, parameters, sizes) : { rows, pagination: undefined };
}
