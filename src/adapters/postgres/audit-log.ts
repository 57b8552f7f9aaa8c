import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { brokenEnd, brokenLink, chainRow, emptyChain } from '../../domain/audit/chain.ts';
import type { AuditEntry, AuditRow, ChainHead, HashFunction } from '../../domain/audit/chain.ts';
import type { AuditLog } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { cleanText, toJson } from './json.ts';
import type { Tables } from './tables.ts';

const sha256: HashFunction = (text) => createHash('sha256').update(text, 'utf8').digest('hex');
const verifyBatch = 1_000;

export function createAuditLog(database: Database): AuditLog {
  return {
    append: (entry, key) =>
      database.transaction(`appending ${entry.event} to the audit`, async (transaction) => {
        await lockInTransaction(transaction, 'fairlead.audit');
        if (key !== undefined) {
          const before = await transaction.selectFrom('audit').selectAll().where('append_key', '=', key).executeTakeFirst();
          if (before !== undefined) return rowOf(before);
        }
        const head = await transaction.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirstOrThrow();
        const row = chainRow(storable(entry), headOf(head), sha256);
        await transaction
          .insertInto('audit')
          .values({
            sequence: row.sequence,
            at: row.at,
            event: row.event,
            actor: row.actor,
            subject: row.subject,
            run_id: row.runId,
            detail: toJson(row.detail),
            previous_hash: row.previousHash,
            hash: row.hash,
            append_key: key ?? null,
          })
          .execute();
        return row;
      }),

    list: ({ limit, afterSequence, runId, subject }) =>
      database.query('reading the audit', async (db) => {
        let query = db.selectFrom('audit').selectAll().limit(limit);
        if (runId !== undefined) query = query.where('run_id', '=', runId);
        if (subject !== undefined) query = query.where('subject', '=', subject);
        if (afterSequence !== undefined) return (await query.where('sequence', '>', String(afterSequence)).orderBy('sequence').execute()).map(rowOf);
        return (await query.orderBy('sequence', 'desc').execute()).map(rowOf).reverse();
      }),

    // One snapshot for all batches and the head, so that rows appended meanwhile are neither missing nor too many.
    verify: () =>
      database.transaction('verifying the audit', async (transaction) => {
        await sql`set transaction isolation level repeatable read, read only`.execute(transaction);
        const end = headOf(await transaction.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirstOrThrow());
        let head: ChainHead = emptyChain;
        let rows = 0;
        for (;;) {
          const batch = await transaction.selectFrom('audit').selectAll().where('sequence', '>', String(head.sequence)).orderBy('sequence').limit(verifyBatch).execute();
          for (const row of batch.map(rowOf)) {
            const broken = brokenLink(row, head, sha256);
            if (broken !== null) return { rows, ok: false, firstBroken: broken };
            head = row;
            rows += 1;
          }
          if (batch.length < verifyBatch) break;
        }
        const broken = brokenEnd(head, end);
        return { rows, ok: broken === null, firstBroken: broken };
      }),
  };
}

/** The entry as it will be read back: what is hashed must be what the database gives, to the letter. */
const storable = (entry: AuditEntry): AuditEntry => ({
  at: new Date(entry.at).toISOString(),
  event: cleanText(entry.event),
  actor: cleanText(entry.actor),
  subject: cleanText(entry.subject),
  runId: entry.runId,
  detail: JSON.parse(toJson(entry.detail)),
});

const headOf = (row: { sequence: string; hash: string }): ChainHead => ({ sequence: Number(row.sequence), hash: row.hash });

const rowOf = (row: Selectable<Tables['audit']>): AuditRow => ({
  at: row.at.toISOString(),
  event: row.event,
  actor: row.actor,
  subject: row.subject,
  runId: row.run_id,
  detail: row.detail,
  sequence: Number(row.sequence),
  previousHash: row.previous_hash,
  hash: row.hash,
});
