import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table settings (
    name text primary key,
    sealed bytea not null,
    key_id text not null,
    set_at timestamptz not null default now(),
    set_by text not null
  )`,
];
