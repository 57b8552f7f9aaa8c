import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  'alter table api_keys drop constraint api_keys_role_check',
  `alter table api_keys add constraint api_keys_role_check check (role in ('viewer', 'operator', 'approver', 'admin', 'agent'))`,
  // A rotated key keeps its row, so that whatever it did and is bound to stays its own; the text before is good until its end.
  `alter table api_keys
    add column scope jsonb,
    add column expires_at timestamptz,
    add column last_used_at timestamptz,
    add column previous_sha256 text,
    add column previous_masked text,
    add column previous_ends_at timestamptz,
    add constraint api_keys_previous check ((previous_sha256 is null) = (previous_ends_at is null) and (previous_sha256 is null) = (previous_masked is null))`,
  'create index api_keys_by_previous on api_keys (left(previous_sha256, 8)) where previous_sha256 is not null',
  `alter table hosts add column labels jsonb not null default '{}'`,
];
