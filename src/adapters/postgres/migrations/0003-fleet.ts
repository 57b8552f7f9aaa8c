import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  // Null: a key of people, or one of an agent that has not said hello yet.
  'alter table api_keys add column host text',
  'create index api_keys_by_host on api_keys (host) where host is not null',

  `create table fleet_hosts (
    host text primary key,
    role text not null check (role in ('controller', 'node')),
    state jsonb not null,
    updated_at timestamptz not null default now()
  )`,

  `create table fleet_sessions (
    position bigint generated always as identity,
    id text primary key,
    host text not null,
    boot_id text not null,
    transport text not null check (transport in ('websocket', 'http')),
    client_ref text not null default '',
    role text not null,
    releases jsonb not null,
    agent_version text not null,
    copy text not null,
    remote_address text not null,
    connected_at timestamptz not null default now(),
    last_heard_at timestamptz not null default now(),
    ended_at timestamptz,
    why text,
    superseded_by text
  )`,
  // Whatever the copies of the API believe: one host has one session.
  'create unique index fleet_sessions_open on fleet_sessions (host) where ended_at is null',
  'create index fleet_sessions_by_host on fleet_sessions (host, connected_at)',
  'create index fleet_sessions_superseded on fleet_sessions (host, boot_id) where superseded_by is not null',

  `create table fleet_conflicts (
    position bigint generated always as identity,
    id text primary key,
    host text not null,
    agents jsonb not null,
    found_at timestamptz not null default now(),
    decided_at timestamptz,
    decided_by text,
    accepted_boot_id text
  )`,
  'create unique index fleet_conflicts_undecided on fleet_conflicts (host) where decided_at is null',
  'create index fleet_conflicts_by_host on fleet_conflicts (host, position)',

  `create table enrolments (
    id text primary key,
    sha256 text not null unique,
    host text,
    role text not null check (role in ('controller', 'node')),
    created_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    used_by text
  )`,
  'create index enrolments_by_prefix on enrolments (left(sha256, 8))',
];
