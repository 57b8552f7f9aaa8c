import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `alter table releases add column channel text not null default 'stable'`,
  // An empty host is every host of the product.
  `create table update_policies (
    product text not null,
    host text not null,
    channel text not null,
    action text not null,
    windows jsonb not null,
    set_by text not null,
    set_at timestamptz not null,
    primary key (product, host)
  )`,
];
