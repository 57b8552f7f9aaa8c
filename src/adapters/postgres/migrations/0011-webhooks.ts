import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table webhooks (
    id text primary key,
    address text not null,
    sealed bytea not null,
    key_id text not null,
    events jsonb not null,
    products jsonb not null,
    after_sequence bigint not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    disabled text,
    attempted_at timestamptz
  )`,
  `create table webhook_deliveries (
    position bigserial primary key,
    id text not null unique,
    webhook_id text not null references webhooks on delete cascade,
    audit_sequence bigint,
    message jsonb not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'given_up')),
    attempts integer not null default 0,
    created_at timestamptz not null,
    next_at timestamptz,
    last_at timestamptz,
    last_answer text,
    ended_at timestamptz,
    unique (webhook_id, audit_sequence)
  )`,
  `create index webhook_deliveries_due on webhook_deliveries (webhook_id, next_at) where state = 'waiting'`,
  'create index webhook_deliveries_ended on webhook_deliveries (ended_at) where ended_at is not null',
  // How far the audit was read.
  'create table webhook_progress (singleton boolean primary key default true check (singleton), sequence bigint not null)',
  'insert into webhook_progress (sequence) select sequence from audit_head',
];
