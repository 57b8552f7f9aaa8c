import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table certificates (
    host text not null,
    product text not null,
    wish jsonb not null,
    facts jsonb,
    plan jsonb,
    looked_at timestamptz,
    last_try jsonb,
    failures integer not null default 0,
    next_try_at timestamptz,
    primary key (host, product)
  )`,
];
