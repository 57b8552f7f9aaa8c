import { sql } from 'kysely';
import type { Selectable, Transaction } from 'kysely';
import type { RunId } from '../../domain/ids.ts';
import type { RunEvent } from '../../domain/run/event.ts';
import type { RunReport } from '../../domain/run/report.ts';
import type { RunRow, RunStore } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { anyOf } from './any-of.ts';
import { cleanText, toJson } from './json.ts';
import type { Tables } from './tables.ts';

export function createRunStore(database: Database): RunStore {
  return {
    open: (run) =>
      database.query(`opening run ${run.runId}`, async (db) => {
        await db
          .insertInto('runs')
          .values({
            run_id: run.runId,
            workflow_id: run.workflowId,
            kind: run.kind,
            host: run.host,
            product: run.product,
            to_release_id: run.toReleaseId,
            requested_by: cleanText(run.requestedBy),
            requested_at: run.requestedAt,
          })
          .onConflict((conflict) => conflict.column('run_id').doNothing())
          .execute();
        const row = await db.selectFrom('runs').select('fence').where('run_id', '=', run.runId).executeTakeFirstOrThrow();
        return { fence: Number(row.fence) };
      }),

    renewFence: (runId) =>
      database.query(`renewing the fence of run ${runId}`, async (db) => {
        const row = await db
          .updateTable('runs')
          .set({ fence: sql<string>`nextval('run_fence')` })
          .where('run_id', '=', runId)
          .where('ended_at', 'is', null)
          .returning('fence')
          .executeTakeFirstOrThrow();
        return { fence: Number(row.fence) };
      }),

    appendEvents: (events) =>
      database.transaction(`keeping events of run ${events[0]?.runId ?? ''}`, async (transaction) => {
        if (events.length === 0) return;
        await insertEvents(transaction, events);
        for (const runId of new Set(events.filter(({ kind }) => kind === 'run_ended').map((event) => event.runId))) await tellRecovery(transaction, runId);
      }),

    close: (report) =>
      database.transaction(`keeping the report of run ${report.runId}`, async (transaction) => {
        // A run that could not be opened (the database was away the whole time) still leaves its report.
        await transaction
          .insertInto('runs')
          .values({
            run_id: report.runId,
            workflow_id: report.workflowId,
            kind: report.kind,
            host: report.host,
            product: report.product,
            to_release_id: report.toReleaseId,
            requested_by: cleanText(report.requestedBy),
            requested_at: report.startedAt,
          })
          .onConflict((conflict) => conflict.column('run_id').doNothing())
          .execute();
        await transaction
          .updateTable('runs')
          .set({ ended_at: report.endedAt, outcome: report.outcome, from_release_id: report.fromReleaseId, report: toJson(report) })
          .where('run_id', '=', report.runId)
          .where('ended_at', 'is', null)
          .execute();
      }),

    markRecovered: (runId, at, detail) =>
      database.transaction(`marking run ${runId} as recovered`, async (transaction) => {
        await transaction.updateTable('runs').set({ recovered_at: at, recovery_detail: toJson(detail) }).where('run_id', '=', runId).where('recovered_at', 'is', null).execute();
        await tellRecovery(transaction, runId);
      }),

    find: (runId) =>
      database.query(`reading run ${runId}`, async (db) => {
        const row = await db.selectFrom('runs').selectAll().where('run_id', '=', runId).executeTakeFirst();
        return row === undefined ? null : runOf(row);
      }),

    list: ({ host, product, outcome, kind, open, limit, before, within }) =>
      database.query('listing runs', async (db) => {
        let query = db.selectFrom('runs').selectAll().orderBy('fence', 'desc').limit(limit);
        if (host !== undefined) query = query.where('host', '=', host);
        if (product !== undefined) query = query.where('product', '=', product);
        if (outcome !== undefined) query = query.where('outcome', '=', outcome);
        if (kind !== undefined) query = query.where('kind', '=', kind);
        if (open !== undefined) query = query.where('ended_at', open ? 'is' : 'is not', null);
        if (within?.products) query = query.where('product', 'in', anyOf(within.products));
        if (within?.hosts) query = query.where('host', 'in', anyOf(within.hosts));
        if (before !== undefined) query = query.where('fence', '<', (row) => row.selectFrom('runs as last').select('last.fence').where('last.run_id', '=', before as RunId));
        return (await query.execute()).map(runOf);
      }),

    events: (runId, afterSequence, limit) =>
      database.query(`reading events of run ${runId}`, async (db) => {
        const rows = await db.selectFrom('run_events').selectAll().where('run_id', '=', runId).where('sequence', '>', afterSequence).orderBy('sequence').limit(limit).execute();
        return rows.map(eventOf);
      }),
  };
}

async function insertEvents(transaction: Transaction<Tables>, events: readonly RunEvent[]): Promise<void> {
  const values = events.map((event) => ({
    run_id: event.runId,
    sequence: event.sequence,
    at: event.at,
    kind: event.kind,
    step: event.step,
    message: cleanText(event.message),
    data: toJson(event.data),
  }));
  await transaction
    .insertInto('run_events')
    .values(values)
    .onConflict((conflict) => conflict.columns(['run_id', 'sequence']).doNothing())
    .execute();
}

/**
 * Puts `recovered` at the end of the run's story, once. It waits for `run_ended`: a host may be brought back by hand while its run is still
 * open, and the event must not take a sequence number that the run is going to use.
 */
async function tellRecovery(transaction: Transaction<Tables>, runId: RunId): Promise<void> {
  // The row's lock puts this in order with the same call in another process.
  const run = await transaction.selectFrom('runs').select(['recovered_at', 'recovery_detail']).where('run_id', '=', runId).forUpdate().executeTakeFirst();
  if (run === undefined || run.recovered_at === null) return;
  const story = await transaction
    .selectFrom('run_events')
    .select([
      sql<number>`max(sequence)`.as('last'),
      sql<boolean>`bool_or(kind = 'run_ended')`.as('ended'),
      sql<boolean>`bool_or(kind = 'recovered')`.as('told'),
    ])
    .where('run_id', '=', runId)
    .executeTakeFirstOrThrow();
  if (!story.ended || story.told) return;
  await insertEvents(transaction, [
    {
      runId,
      sequence: story.last + 1,
      at: run.recovered_at.toISOString(),
      kind: 'recovered',
      step: null,
      message: 'The host was brought back by hand',
      data: run.recovery_detail ?? {},
    },
  ]);
}

const instantOf = (date: Date | null): string | null => date?.toISOString() ?? null;

const runOf = (row: Selectable<Tables['runs']>): RunRow => ({
  runId: row.run_id,
  workflowId: row.workflow_id,
  kind: row.kind,
  host: row.host,
  product: row.product,
  fromReleaseId: row.from_release_id,
  toReleaseId: row.to_release_id,
  requestedBy: row.requested_by,
  requestedAt: row.requested_at.toISOString(),
  endedAt: instantOf(row.ended_at),
  outcome: row.outcome,
  report: row.report as RunReport | null,
  recoveredAt: instantOf(row.recovered_at),
});

const eventOf = (row: Selectable<Tables['run_events']>): RunEvent => ({
  runId: row.run_id,
  sequence: row.sequence,
  at: row.at.toISOString(),
  kind: row.kind,
  step: row.step,
  message: row.message,
  data: row.data,
});
