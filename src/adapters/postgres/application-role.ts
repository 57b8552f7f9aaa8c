import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

/** The role that every connection but the migrations' takes on: it can append to the audit and read it, nothing more. */
export const applicationRole = 'fairlead_app';

/**
 * Makes the role and grants it what it needs, as far as the connected user may. Roles belong to the whole cluster, and several databases may
 * be migrated at once, so each step takes "somebody else just did it" for success. Idempotent.
 *
 * @returns whether the process's connections are without rights to change the audit. Where not, the triggers on it still stand.
 */
export async function grantApplicationRole(db: Kysely<Tables>): Promise<boolean> {
  const rights = await sql<{ owner: boolean; mayChange: boolean }>`
    select pg_has_role(session_user, relowner, 'member') as owner, has_table_privilege(session_user, oid, 'update, delete, truncate') as "mayChange"
    from pg_class where oid = 'audit'::regclass`.execute(db);
  // A login that somebody else's migration prepared: there is nothing that it could grant.
  if (rights.rows[0]?.owner !== true) return rights.rows[0]?.mayChange === false;
  const role = sql.id(applicationRole);
  await sql`
    do $do$
    begin
      if not exists (select from pg_roles where rolname = ${sql.lit(applicationRole)}) then
        create role ${role} nologin;
      end if;
    exception when duplicate_object or unique_violation or insufficient_privilege then null;
    end
    $do$`.execute(db);
  await sql`
    do $do$
    begin
      if not pg_has_role(session_user, ${sql.lit(applicationRole)}, 'member') then
        execute format('grant %I to %I', ${sql.lit(applicationRole)}, session_user);
      end if;
    exception when undefined_object or insufficient_privilege or internal_error then null;
    end
    $do$`.execute(db);
  const member = await sql<{ member: boolean }>`
    select coalesce((select pg_has_role(session_user, oid, 'member') from pg_roles where rolname = ${applicationRole}), false) as member`.execute(db);
  if (member.rows[0]?.member !== true) return false;

  const schema = await sql<{ name: string }>`select current_schema() as name`.execute(db);
  await sql`grant usage on schema ${sql.id(schema.rows[0]?.name ?? 'public')} to ${role}`.execute(db);
  await sql`grant select, insert, update, delete on releases, hosts, runs, run_events, api_keys, idempotency, healings, fleet_hosts, fleet_sessions, fleet_conflicts, enrolments, rollouts, rollout_hosts, freezes, certificates, settings, update_policies, webhooks, webhook_deliveries to ${role}`.execute(db);
  await sql`grant select, update on webhook_progress to ${role}`.execute(db);
  await sql`grant usage on sequence run_fence, releases_position_seq, rollouts_position_seq, webhook_deliveries_position_seq to ${role}`.execute(db);
  await sql`grant select, insert on audit, audit_checkpoints to ${role}`.execute(db);
  await sql`grant select on audit_head, fairlead_migrations to ${role}`.execute(db);
  return true;
}
