import type { ColumnType } from 'kysely';

/** Written as text (see `toJson`), read as a value. */
export type Json<Value> = ColumnType<Value, string, string>;
export type NullableJson<Value> = ColumnType<Value | null, string | null, string | null>;
/** `bigint` arrives as text. */
export type BigInteger = ColumnType<string, number | string, number | string>;
export type Instant = ColumnType<Date, string | Date, string | Date>;
export type NullableInstant = ColumnType<Date | null, string | Date | null, string | Date | null>;
export type Defaulted<Column> = Column extends ColumnType<infer S, infer I, infer U> ? ColumnType<S, I | undefined, U> : never;
