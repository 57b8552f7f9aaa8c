import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table releases (
    position bigint generated always as identity primary key,
    product text not null,
    release_id text not null,
    role text not null check (role in ('controller', 'node')),
    profile text not null,
    format text not null check (format in ('gz', 'zst')),
    size_bytes bigint not null check (size_bytes >= 0),
    sha256 text not null unique check (sha256 ~ '^[0-9a-f]{64}$'),
    file_list_sha256 text not null,
    platform_version text not null,
    signature jsonb,
    manifest jsonb not null,
    published_at timestamptz not null default now(),
    published_by text not null,
    unique (product, release_id, role, profile)
  )`,

  `create table hosts (
    host text primary key,
    role text not null check (role in ('controller', 'node')),
    agent_version text not null,
    boot_id text not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    products jsonb not null
  )`,

  // Fences come from a sequence of their own: a number that was given once is never given again, also after a rollback.
  'create sequence run_fence as bigint',
  `create table runs (
    run_id text primary key,
    fence bigint not null unique default nextval('run_fence'),
    workflow_id text not null,
    kind text not null,
    host text not null,
    product text not null,
    from_release_id text,
    to_release_id text not null,
    requested_by text not null,
    requested_at timestamptz not null,
    ended_at timestamptz,
    outcome text check (outcome in ('succeeded', 'unchanged', 'refused', 'rolled_back', 'stranded', 'cancelled')),
    report jsonb,
    recovered_at timestamptz,
    recovery_detail jsonb,
    check ((ended_at is null) = (outcome is null))
  )`,
  'create index runs_by_host on runs (host, product, fence desc)',

  // No reference to runs: an event must not be lost because of the order in which retried activities land.
  `create table run_events (
    run_id text not null,
    sequence integer not null check (sequence > 0),
    at timestamptz not null,
    kind text not null,
    step text,
    message text not null,
    data jsonb not null,
    primary key (run_id, sequence)
  )`,

  `create table audit (
    sequence bigint primary key,
    at timestamptz not null,
    event text not null,
    actor text not null,
    subject text not null,
    run_id text,
    detail jsonb not null,
    previous_hash text not null,
    hash text not null,
    append_key text unique
  )`,
  'create index audit_by_run on audit (run_id, sequence)',
  'create index audit_by_subject on audit (subject, sequence)',

  // Where the chain ends. Rows that are dropped at the end break no link, but they no longer reach the head.
  `create table audit_head (
    singleton boolean primary key default true check (singleton),
    sequence bigint not null,
    hash text not null
  )`,
  `insert into audit_head (sequence, hash) values (0, repeat('0', 64))`,

  // Runs with its owner's rights: the application moves the head by appending a row, and in no other way.
  `create function audit_append() returns trigger language plpgsql security definer set search_path from current as $$
  declare
    head audit_head%rowtype;
  begin
    select * into strict head from audit_head for update;
    if new.sequence <> head.sequence + 1 or new.previous_hash <> head.hash then
      raise exception 'audit row % is not chained to the last row, %', new.sequence, head.sequence using errcode = 'integrity_constraint_violation';
    end if;
    update audit_head set sequence = new.sequence, hash = new.hash;
    return new;
  end
  $$`,
  'create trigger audit_append before insert on audit for each row execute function audit_append()',

  `create function audit_refuse() returns trigger language plpgsql as $$
  begin
    raise exception 'audit rows are only ever appended: % is refused', tg_op using errcode = 'insufficient_privilege';
  end
  $$`,
  'create trigger audit_refuse_row before update or delete on audit for each row execute function audit_refuse()',
  'create trigger audit_refuse_truncate before truncate on audit for each statement execute function audit_refuse()',
  'create trigger audit_head_refuse before delete or truncate on audit_head for each statement execute function audit_refuse()',

  `create table api_keys (
    id text primary key,
    name text not null,
    role text not null check (role in ('admin', 'agent')),
    sha256 text not null unique,
    masked text not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
  )`,
  // A key is looked up by the start of its digest, and the rest compared in constant time.
  'create index api_keys_by_prefix on api_keys (left(sha256, 8))',

  `create table idempotency (
    caller text not null,
    key text not null,
    fingerprint text not null,
    status integer,
    body jsonb,
    claimed_at timestamptz not null default now(),
    primary key (caller, key)
  )`,
  'create index idempotency_by_age on idempotency (claimed_at)',
];
