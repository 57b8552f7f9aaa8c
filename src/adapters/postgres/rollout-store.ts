import { sql } from 'kysely';
import type { Insertable, Selectable } from 'kysely';
import type { RolloutId } from '../../domain/ids.ts';
import type { PlannedHost } from '../../domain/rollout/plan.ts';
import type { RolloutStanding } from '../../domain/rollout/standing.ts';
import type { RolloutHost, RolloutRow, RolloutStore } from '../../ports/rollout-store.ts';
import { lockInTransaction, type Database } from './database.ts';
import { anyOf } from './any-of.ts';
import { cleanText, toJson } from './json.ts';
import type { Tables } from './tables.ts';

/** PostgreSQL takes 65,535 parameters in one statement. */
const hostsAtOnce = 1_000;
const requested: RolloutStanding = { phase: 'Requested', status: 'requested', wave: null, behind: null, waiting: null, counts: [] };

export function createRolloutStore(database: Database): RolloutStore {
  return {
    open: async ({ rolloutId, request, requestedAt }) => {
      await database.transaction(`opening rollout ${rolloutId}`, async (transaction) => {
        // Positions become visible in their order: whoever asks what is before it must not miss one that is still being written.
        await lockInTransaction(transaction, `fairlead.rollouts.${request.product}`);
        await transaction
          .insertInto('rollouts')
          .values({ rollout_id: rolloutId, product: request.product, release_id: request.releaseId, request: toJson(request), requested_by: cleanText(request.requestedBy), requested_at: requestedAt, standing: toJson(requested) })
          .onConflict((conflict) => conflict.column('rollout_id').doNothing())
          .execute();
      });
    },

    openBefore: (rolloutId, product) =>
      database.query(`looking for open rollouts of ${product}`, async (db) => {
        const rows = await db
          .selectFrom('rollouts')
          .selectAll()
          .where('product', '=', product)
          .where('ended_at', 'is', null)
          .where('position', '<', (own) => own.selectFrom('rollouts as own').select('own.position').where('own.rollout_id', '=', rolloutId))
          .orderBy('position')
          .execute();
        return rows.map(rolloutOf);
      }),

    queuedBehind: (rolloutId) =>
      database.query(`looking for rollouts behind ${rolloutId}`, async (db) => {
        const rows = await db.selectFrom('rollouts').select('rollout_id').where('behind', '=', rolloutId).where('ended_at', 'is', null).orderBy('position').execute();
        return rows.map(({ rollout_id }) => rollout_id);
      }),

    keepPlan: (rolloutId, plan, outline, profiles) =>
      database.transaction(`keeping the plan of rollout ${rolloutId}`, async (transaction) => {
        const begun = await transaction.selectFrom('rollout_hosts').select('host').where('rollout_id', '=', rolloutId).where('outcome', 'is not', null).where('wave', 'is not', null).limit(1).executeTakeFirst();
        if (begun) return;
        await transaction.deleteFrom('rollout_hosts').where('rollout_id', '=', rolloutId).execute();
        const rows = [...plan.waves.flatMap(({ hosts }) => hosts), ...plan.unchanged, ...plan.skipped].map((host) => plannedRow(rolloutId, host, profiles[host.artifactRole] ?? null));
        for (let from = 0; from < rows.length; from += hostsAtOnce) await transaction.insertInto('rollout_hosts').values(rows.slice(from, from + hostsAtOnce)).execute();
        await transaction.updateTable('rollouts').set({ outline: toJson(outline), warnings: toJson(plan.warnings) }).where('rollout_id', '=', rolloutId).execute();
      }),

    keepStanding: async (rolloutId, standing) => {
      await database.query(`keeping where rollout ${rolloutId} stands`, (db) => db.updateTable('rollouts').set(standingColumns(standing)).where('rollout_id', '=', rolloutId).where('ended_at', 'is', null).execute());
    },

    shardRows: (rolloutId, wave, from, count) =>
      database.query(`reading hosts of rollout ${rolloutId}`, async (db) => {
        const rows = await db.selectFrom('rollout_hosts').selectAll().where('rollout_id', '=', rolloutId).where('wave', '=', wave).where('position', '>=', from).where('position', '<', from + count).orderBy('position').execute();
        return rows.map(({ host, role, artifact_role, from_release_id, to_release_id, action, outcome, reason }) => ({
          host,
          role,
          artifactRole: artifact_role,
          fromReleaseId: from_release_id,
          toReleaseId: to_release_id,
          action,
          outcome,
          reasonClass: reason?.class ?? null,
        }));
      }),

    settle: (rolloutId, endings) =>
      database.transaction(`keeping how hosts of rollout ${rolloutId} ended`, async (transaction) => {
        for (const { host, direction, outcome, reason, runId, observed, recovery } of endings) {
          await transaction
            .updateTable('rollout_hosts')
            .set({
              outcome,
              reason: reason === null ? null : toJson(reason),
              recovery: recovery === null ? null : toJson(recovery),
              ended_at: sql<Date>`now()`,
              ...(direction === 'back' ? { back_run_id: runId } : { run_id: runId, observed: observed === null ? null : toJson(observed) }),
            })
            .where('rollout_id', '=', rolloutId)
            .where('host', '=', host)
            .execute();
        }
      }),

    close: async (rolloutId, { outcome, ok, reason, at, standing }) => {
      await database.query(`closing rollout ${rolloutId}`, (db) =>
        db
          .updateTable('rollouts')
          .set({ ...standingColumns(standing), outcome, ok, reason: reason === null ? null : toJson(reason), ended_at: at, behind: null })
          .where('rollout_id', '=', rolloutId)
          .where('ended_at', 'is', null)
          .execute(),
      );
    },

    find: (rolloutId) =>
      database.query(`reading rollout ${rolloutId}`, async (db) => {
        const row = await db.selectFrom('rollouts').selectAll().where('rollout_id', '=', rolloutId).executeTakeFirst();
        return row === undefined ? null : rolloutOf(row);
      }),

    list: ({ product, open, limit, before, within }) =>
      database.query('listing rollouts', async (db) => {
        let query = db.selectFrom('rollouts').selectAll().orderBy('position', 'desc').limit(limit);
        if (product !== undefined) query = query.where('product', '=', product);
        if (within?.products) query = query.where('product', 'in', anyOf(within.products));
        if (open !== undefined) query = query.where('ended_at', open ? 'is' : 'is not', null);
        if (before !== undefined) query = query.where('position', '<', (last) => last.selectFrom('rollouts as last').select('last.position').where('last.rollout_id', '=', before));
        return (await query.execute()).map(rolloutOf);
      }),

    hosts: (rolloutId, { wave, outcome, limit, after, within }) =>
      database.query(`listing hosts of rollout ${rolloutId}`, async (db) => {
        // Hosts in no wave come last: one comparison of rows pages through all of them.
        const key = (table: string) => sql`coalesce(${sql.ref(`${table}.wave`)}, 1000000), coalesce(${sql.ref(`${table}.position`)}, 0), ${sql.ref(`${table}.host`)}`;
        let query = db
          .selectFrom('rollout_hosts as hosts')
          .leftJoin('rollouts', 'rollouts.rollout_id', 'hosts.rollout_id')
          .selectAll('hosts')
          .select((row) => row.selectFrom('runs').select('runs.run_id').whereRef('runs.host', '=', 'hosts.host').whereRef('runs.product', '=', 'rollouts.product').where('runs.ended_at', 'is', null).orderBy('runs.fence', 'desc').limit(1).as('open_run_id'))
          .where('hosts.rollout_id', '=', rolloutId)
          .orderBy(sql`(${key('hosts')})`)
          .limit(limit);
        if (within?.hosts) query = query.where('hosts.host', 'in', anyOf(within.hosts));
        if (wave !== undefined) query = query.where('hosts.wave', '=', wave);
        if (outcome !== undefined) query = query.where('hosts.outcome', '=', outcome);
        if (after !== undefined) query = query.where(sql<boolean>`(${key('hosts')}) > (select ${key('last')} from rollout_hosts as last where last.rollout_id = ${rolloutId} and last.host = ${after})`);
        return (await query.execute()).map(hostOf);
      }),

    setFreeze: async ({ id, product, reason, setBy, since, until }) => {
      await database.query('setting a freeze', (db) =>
        db.insertInto('freezes').values({ id, product, reason: cleanText(reason), set_by: cleanText(setBy), since, until }).onConflict((conflict) => conflict.column('id').doNothing()).execute(),
      );
    },

    liftFreeze: (id, at) =>
      database.query('lifting a freeze', async (db) => {
        const lifted = await db.updateTable('freezes').set({ until: at }).where('id', '=', id).where('until', '>', new Date(at)).executeTakeFirst();
        return Number(lifted.numUpdatedRows) > 0;
      }),

    freezes: (now) =>
      database.query('listing freezes', async (db) => {
        const rows = await db.selectFrom('freezes').selectAll().where('until', '>', new Date(now)).orderBy('since').execute();
        return rows.map(({ id, product, reason, set_by, since, until }) => ({ id, product, reason, setBy: set_by, since: since.toISOString(), until: until.toISOString() }));
      }),
  };
}

const standingColumns = (standing: RolloutStanding) => ({
  phase: standing.phase,
  // A column as well, because the one that ends has to find those that wait for it.
  behind: standing.behind,
  standing: toJson(standing),
});

const plannedRow = (rolloutId: RolloutId, host: PlannedHost, profile: string | null): Insertable<Tables['rollout_hosts']> => ({
  rollout_id: rolloutId,
  host: host.host,
  role: host.role,
  artifact_role: host.artifactRole,
  artifact_profile: profile,
  from_release_id: host.fromReleaseId,
  to_release_id: host.toReleaseId,
  action: host.action,
  wave: host.wave,
  position: host.position,
  why: host.why,
  // What is in no wave is at its end already.
  outcome: host.wave !== null ? null : host.action === 'unchanged' ? 'unchanged' : 'skipped',
});

const rolloutOf = (row: Selectable<Tables['rollouts']>): RolloutRow => ({
  rolloutId: row.rollout_id,
  product: row.product,
  releaseId: row.release_id,
  request: row.request,
  requestedBy: row.requested_by,
  requestedAt: row.requested_at.toISOString(),
  outline: row.outline,
  warnings: row.warnings,
  standing: row.standing,
  endedAt: row.ended_at?.toISOString() ?? null,
  outcome: row.outcome,
  ok: row.ok,
  reason: row.reason,
});

const hostOf = (row: Selectable<Tables['rollout_hosts']> & { open_run_id: string | null }): RolloutHost => ({
  host: row.host,
  role: row.role,
  artifactRole: row.artifact_role,
  artifactProfile: row.artifact_profile,
  fromReleaseId: row.from_release_id,
  toReleaseId: row.to_release_id,
  action: row.action,
  wave: row.wave,
  position: row.position,
  why: row.why,
  outcome: row.outcome,
  reason: row.reason,
  runId: row.run_id,
  backRunId: row.back_run_id,
  observed: row.observed,
  recovery: row.recovery,
  endedAt: row.ended_at?.toISOString() ?? null,
  openRunId: row.open_run_id as RolloutHost['openRunId'],
});
