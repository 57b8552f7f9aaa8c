import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table healings (
    id text primary key,
    claim text not null,
    host text not null,
    product text not null,
    kind text not null,
    subject text not null,
    by text not null check (by in ('host', 'run')),
    tried_at timestamptz not null default now(),
    run_id text,
    note text not null default ''
  )`,
  'create index healings_by_host on healings (host, product, tried_at desc)',
  'create index healings_by_claim on healings (claim)',
];
