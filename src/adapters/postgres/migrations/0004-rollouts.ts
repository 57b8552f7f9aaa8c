import { sql } from 'kysely';
import type { Kysely } from 'kysely';

export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `create table rollouts (
    position bigint generated always as identity primary key,
    rollout_id text not null unique,
    product text not null,
    release_id text not null,
    request jsonb not null,
    requested_by text not null,
    requested_at timestamptz not null,
    outline jsonb,
    warnings jsonb not null default '[]',
    phase text not null default 'Requested',
    behind text,
    standing jsonb not null,
    ended_at timestamptz,
    outcome text,
    ok boolean,
    reason jsonb,
    check ((ended_at is null) = (outcome is null)),
    check ((ended_at is null) = (ok is null))
  )`,
  // Who has to wait for whom is asked at the start of every rollout.
  'create index rollouts_open on rollouts (product, position) where ended_at is null',

  // One row for each host of a rollout: what grows with the fleet lies here, and never in a workflow.
  `create table rollout_hosts (
    rollout_id text not null references rollouts (rollout_id),
    host text not null,
    role text not null,
    artifact_role text not null,
    artifact_profile text,
    from_release_id text,
    to_release_id text not null,
    action text not null,
    wave integer,
    position integer,
    why text,
    outcome text,
    reason jsonb,
    run_id text,
    back_run_id text,
    observed jsonb,
    recovery jsonb,
    ended_at timestamptz,
    primary key (rollout_id, host),
    unique (rollout_id, wave, position)
  )`,

  `create table freezes (
    id text primary key,
    product text,
    reason text not null,
    set_by text not null,
    since timestamptz not null,
    until timestamptz not null
  )`,
];
