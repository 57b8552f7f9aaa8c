import { sql } from 'kysely';

/** The right side of an `in` for any number of values: one parameter, since PostgreSQL takes 65,535 at most, and none of them is a valid list too. */
export const anyOf = <Value extends string>(values: readonly Value[]) => sql<Value>`(select unnest(${[...values]}::text[]))`;
