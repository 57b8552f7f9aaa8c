import { FairleadError } from '../domain/failure.ts';

/** Reads one row more than was asked for, to tell whether there is a next page. */
export async function pageOf<Filter extends { limit: number }, Row>(
  filter: Filter,
  list: (filter: Filter) => Promise<Row[]>,
  cursorOf: (row: Row) => string,
): Promise<{ rows: Row[]; nextBefore: string | null }> {
  const found = await list({ ...filter, limit: filter.limit + 1 });
  const rows = found.slice(0, filter.limit);
  const last = rows.at(-1);
  return { rows, nextBefore: found.length > filter.limit && last !== undefined ? cursorOf(last) : null };
}

/**
 * A page of rows that are at hand already, in their order.
 * @throws FairleadError `cursor_gone` where the row that the page before ended with is there no more
 */
export function pageOfAll<Row>(rows: readonly Row[], { limit, after }: { readonly limit: number; readonly after?: string | undefined }, cursorOf: (row: Row) => string): { rows: Row[]; nextAfter: string | null } {
  const last = after === undefined ? -1 : rows.findIndex((row) => cursorOf(row) === after);
  if (after !== undefined && last === -1) throw new FairleadError({ class: 'request', code: 'cursor_gone', message: `There is no ${JSON.stringify(after)} in this list any more, after which it could go on.`, hint: 'Begin with the first page again.' });
  const page = rows.slice(last + 1, last + 1 + limit);
  const end = page.at(-1);
  return { rows: page, nextAfter: end !== undefined && last + 1 + limit < rows.length ? cursorOf(end) : null };
}
