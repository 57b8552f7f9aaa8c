import { sql } from 'kysely';
import type { Selectable, Transaction } from 'kysely';
import { chainRow } from '../../domain/audit/chain.ts';
import type { AuditEntry, AuditRow, ChainHead } from '../../domain/audit/chain.ts';
import type { AuditCheckpoint } from '../../domain/audit/checkpoint.ts';
import { subjectsOfHosts } from '../../domain/ids.ts';
import { createAuditVerification } from '../../domain/audit/verification.ts';
import type { AuditLog } from '../../ports/control-stores.ts';
import { sha256Hex } from '../audit-signature/ed25519.ts';
import { createGathering } from './audit-gathering.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { cleanText, toJson } from './json.ts';
import type { Tables } from './tables.ts';

const verifyBatch = 1_000;

export function createAuditLog(database: Database): AuditLog {
  // The chain takes one transaction at a time, whoever writes: what is asked for while one is under way goes into the next together, and holds one connection, not one each.
  const gathered = createGathering<{ readonly entry: AuditEntry; readonly key: string | undefined }, AuditRow>((all) =>
    database.transaction(all.length === 1 ? `appending ${all[0]?.entry.event} to the audit` : `appending ${all.length} rows to the audit`, (transaction) => appendAll(transaction, all)),
  );
  return {
    append: async (entry, key) => gathered({ entry: storable(entry), key }),

    list: ({ limit, afterSequence, runId, subject, actor, event, host, since, until }) =>
      database.query('reading the audit', async (db) => {
        let query = db.selectFrom('audit').selectAll().limit(limit);
        if (runId !== undefined) query = query.where('run_id', '=', runId);
        if (subject !== undefined) query = query.where('subject', '=', subject);
        if (actor !== undefined) query = query.where(sql<boolean>`(actor = ${actor} or starts_with(actor, ${`${actor} (`}))`);
        if (event !== undefined) query = query.where(sql<boolean>`(event = ${event} or starts_with(event, ${`${event}.`}))`);
        if (host !== undefined) query = query.where(sql<boolean>`split_part(subject, '/', 1) = any(${[...subjectsOfHosts]}) and split_part(subject, '/', 2) = ${host}`);
        if (since !== undefined) query = query.where(sql<boolean>`at >= ${since}::timestamptz`);
        if (until !== undefined) query = query.where(sql<boolean>`at < ${until}::timestamptz`);
        if (afterSequence !== undefined) return (await query.where('sequence', '>', String(afterSequence)).orderBy('sequence').execute()).map(auditRowOf);
        return (await query.orderBy('sequence', 'desc').execute()).map(auditRowOf).reverse();
      }),

    head: () => database.query('reading where the audit ends', async (db) => headOf(await db.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirstOrThrow())),

    // One snapshot for all batches, the checkpoints and the head, so that rows appended meanwhile are neither missing nor too many.
    verify: ({ checkSignature = null, saved = [] } = {}) =>
      database.transaction('verifying the audit', async (transaction) => {
        await sql`set transaction isolation level repeatable read, read only`.execute(transaction);
        const end = headOf(await transaction.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirstOrThrow());
        const checkpoints = (await transaction.selectFrom('audit_checkpoints').selectAll().orderBy('number').execute()).map(checkpointOf);
        const verification = createAuditVerification({ sha256: sha256Hex, checkpoints, saved, checkSignature });
        for (let last = '0'; ; ) {
          const batch = await transaction.selectFrom('audit').selectAll().where('sequence', '>', last).orderBy('sequence').limit(verifyBatch).execute();
          for (const row of batch) verification.row(auditRowOf(row));
          last = batch.at(-1)?.sequence ?? last;
          if (batch.length < verifyBatch) return verification.end(end);
        }
      }),

    checkpoints: ({ limit, afterNumber }) =>
      database.query('reading the checkpoints of the audit', async (db) => {
        const query = db.selectFrom('audit_checkpoints').selectAll().limit(limit);
        if (afterNumber !== undefined) return (await query.where('number', '>', String(afterNumber)).orderBy('number').execute()).map(checkpointOf);
        return (await query.orderBy('number', 'desc').execute()).map(checkpointOf).reverse();
      }),

    keepCheckpoint: ({ number, sequence, hash, at, previousHash, keyId, signature }) =>
      database.query('keeping a checkpoint of the audit', async (db) => {
        const kept = await db
          .insertInto('audit_checkpoints')
          .values({ number, sequence, hash, at, previous_hash: previousHash, key_id: keyId, signature })
          .onConflict((conflict) => conflict.doNothing())
          .returning('number')
          .executeTakeFirst();
        return kept === undefined ? 'taken' : 'kept';
      }),
  };
}

/** One row for each entry, in their order; for a key that has one, that one. */
async function appendAll(transaction: Transaction<Tables>, all: readonly { readonly entry: AuditEntry; readonly key: string | undefined }[]): Promise<AuditRow[]> {
  await lockInTransaction(transaction, 'fairlead.audit');
  const keys = [...new Set(all.flatMap(({ key }) => key ?? []))];
  const before = keys.length === 0 ? [] : await transaction.selectFrom('audit').selectAll().where('append_key', 'in', keys).execute();
  const byKey = new Map(before.map((row) => [row.append_key, auditRowOf(row)]));
  let head = headOf(await transaction.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirstOrThrow());
  const added: { row: AuditRow; key: string | undefined }[] = [];
  const rows = all.map(({ entry, key }) => {
    const known = key === undefined ? undefined : byKey.get(key);
    if (known !== undefined) return known;
    const row = chainRow(entry, head, sha256Hex);
    head = row;
    added.push({ row, key });
    if (key !== undefined) byKey.set(key, row);
    return row;
  });
  if (added.length > 0) await transaction.insertInto('audit').values(added.map(({ row, key }) => columnsOf(row, key))).execute();
  return rows;
}

const columnsOf = (row: AuditRow, key: string | undefined) => ({
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
});

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

export const auditRowOf = (row: Selectable<Tables['audit']>): AuditRow => ({
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

const checkpointOf = (row: Selectable<Tables['audit_checkpoints']>): AuditCheckpoint => ({
  number: Number(row.number),
  sequence: Number(row.sequence),
  hash: row.hash,
  at: row.at.toISOString(),
  previousHash: row.previous_hash,
  keyId: row.key_id,
  signature: row.signature,
});
