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
