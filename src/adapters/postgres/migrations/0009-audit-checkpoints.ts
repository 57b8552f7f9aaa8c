import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  // Kept beside the audit, and as it is only ever appended to; the key that signs them is not in the database.
  `create table audit_checkpoints (
    number bigint primary key check (number > 0),
    sequence bigint not null unique check (sequence > 0),
    hash text not null,
    at timestamptz not null,
    previous_hash text not null,
    key_id text not null,
    signature text not null
  )`,
  'create trigger audit_checkpoints_refuse_row before update or delete on audit_checkpoints for each row execute function audit_refuse()',
  'create trigger audit_checkpoints_refuse_truncate before truncate on audit_checkpoints for each statement execute function audit_refuse()',
];
