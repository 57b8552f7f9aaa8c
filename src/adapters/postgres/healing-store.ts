import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { FindingKind } from '../../domain/host/drift.ts';
import type { HealingStore } from '../../ports/healing-store.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { cleanText } from './json.ts';

export function createHealingStore(database: Database): HealingStore {
  const since = (withinMs: number) => sql<Date>`now() - make_interval(secs => ${withinMs / 1000})`;
  return {
    claim: (host, product, findings, withinMs) =>
      database.transaction(`claiming repairs of ${product} on host ${host}`, async (transaction) => {
        await lockInTransaction(transaction, `fairlead.healing.${host}/${product}`);
        const recent = await transaction.selectFrom('healings').select(['kind', 'subject']).where('host', '=', host).where('product', '=', product).where('tried_at', '>', since(withinMs)).execute();
        if (findings.some((finding) => recent.some(({ kind, subject }) => kind === finding.kind && (subject === cleanText(finding.subject) || kind === 'leftover_intent')))) return null;
        const claim = randomUUID();
        await transaction
          .insertInto('healings')
          .values(findings.map(({ kind, subject }) => ({ id: randomUUID(), claim, host, product, kind, subject: cleanText(subject), by: 'run' as const })))
          .execute();
        return claim;
      }),
    started: async (claim, runId) => {
      await database.query('noting the run of a repair', (db) => db.updateTable('healings').set({ run_id: runId }).where('claim', '=', claim).execute());
    },
    withdraw: async (claim) => {
      await database.query('withdrawing a repair', (db) => db.deleteFrom('healings').where('claim', '=', claim).where('run_id', 'is', null).execute());
    },
    failed: async (claim, note) => {
      await database.query('noting that no repair came about', (db) => db.updateTable('healings').set({ note: cleanText(note) }).where('claim', '=', claim).execute());
    },
    noteAct: async (host, product, { id, kind, subject, note, at }) => {
      await database.query(`noting what host ${host} did itself`, (db) =>
        db
          .insertInto('healings')
          .values({ id, claim: id, host, product, kind: kind ?? 'none', subject: cleanText(subject), by: 'host', note: cleanText(note), tried_at: at })
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute(),
      );
    },
    list: (host, withinMs) =>
      database.query(`listing repairs of host ${host}`, async (db) => {
        const rows = await db
          .selectFrom('healings')
          .leftJoin('runs', 'runs.run_id', 'healings.run_id')
          .select(['healings.product', 'healings.kind', 'healings.subject', 'healings.by', 'healings.tried_at', 'healings.run_id', 'healings.note', 'runs.outcome'])
          .where('healings.host', '=', host)
          .where('healings.tried_at', '>', since(withinMs))
          .orderBy('healings.tried_at', 'desc')
          .limit(200)
          .execute();
        return rows.map(({ product, kind, subject, by, tried_at, run_id, note, outcome }) => ({ product, kind: kind as FindingKind, subject, by, at: tried_at.toISOString(), runId: run_id, note, outcome }));
      }),
  };
}
