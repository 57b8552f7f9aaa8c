import { randomBytes, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Selectable, Transaction } from 'kysely';
import type { AuditRow } from '../../domain/audit/chain.ts';
import { FairleadError } from '../../domain/failure.ts';
import { shownAddress } from '../../domain/webhook/address.ts';
import type { ListedWebhook, WebhookDelivery, WebhookStore, WebhookTarget } from '../../ports/webhook-store.ts';
import { SealError, type Sealing } from '../sealed/sealing.ts';
import type { SettingSealing } from '../setting-keys/file.ts';
import { auditRowOf } from './audit-log.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { cleanText, toJson } from './json.ts';
import type { Tables } from './tables.ts';

type Row = Selectable<Tables['webhooks']>;
const outboxLock = 'fairlead.webhooks';
const columns = ['id', 'webhook_id', 'message', 'state', 'attempts', 'created_at', 'next_at', 'last_at', 'last_answer', 'ended_at'] as const;

export function createWebhookStore(database: Database, sealingOf: SettingSealing): WebhookStore {
  const listed = (id?: string): Promise<ListedWebhook[]> =>
    database.query('reading webhooks', async (db) => {
      const count = (state: WebhookDelivery['state']) => sql<string>`(select count(*) from webhook_deliveries d where d.webhook_id = webhooks.id and d.state = ${state})`;
      let query = db.selectFrom('webhooks').selectAll().select([count('waiting').as('waiting'), count('given_up').as('given_up')]).orderBy('created_at').orderBy('id');
      if (id !== undefined) query = query.where('id', '=', id);
      return (await query.execute()).map(listedOf);
    });

  return {
    create: async ({ url, events, products, by }) => {
      const sealing = await sealingOf();
      const id = randomUUID();
      const secret = `whsec_${randomBytes(32).toString('base64')}`;
      const sealed = sealing.seal(Buffer.from(JSON.stringify({ url, secret } satisfies WebhookTarget), 'utf8'), aboutOf(id));
      const row = await database.transaction('making a webhook', async (transaction) => {
        const { sequence } = await transaction.selectFrom('audit_head').select('sequence').executeTakeFirstOrThrow();
        return transaction
          .insertInto('webhooks')
          .values({ id, address: shownAddress(url), sealed, key_id: sealing.keyId, events: toJson([...new Set(events)]), products: toJson([...new Set(products)]), after_sequence: sequence, created_by: cleanText(by) })
          .returningAll()
          .executeTakeFirstOrThrow();
      });
      return { webhook: listedOf({ ...row, waiting: '0', given_up: '0' }), secret };
    },
    list: () => listed(),
    find: async (id) => (await listed(id))[0] ?? null,
    remove: async (id) => {
      const row = await database.query(`removing webhook ${id}`, (db) => db.deleteFrom('webhooks').where('id', '=', id).returning('id').executeTakeFirst());
      return row === undefined ? 'not_found' : 'removed';
    },
    target: async (id) => {
      const row = await database.query(`reading webhook ${id}`, (db) => db.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst());
      return row === undefined ? null : (JSON.parse(opened(row, await sealingOf()).toString('utf8')) as WebhookTarget);
    },
    disable: (id, why) =>
      database.transaction(`disabling webhook ${id}`, async (transaction) => {
        // Whoever fills the outbox now still takes it for one that is told.
        await lockInTransaction(transaction, outboxLock);
        await transaction.updateTable('webhooks').set({ disabled: cleanText(why) }).where('id', '=', id).where('disabled', 'is', null).execute();
        await transaction
          .updateTable('webhook_deliveries')
          .set({ state: 'given_up', next_at: null, ended_at: sql<Date>`now()`, last_answer: sql<string>`coalesce(last_answer, 'the webhook was disabled')` })
          .where('webhook_id', '=', id)
          .where('state', '=', 'waiting')
          .execute();
      }),
    enqueue: (id, message) =>
      database.query(`keeping a delivery for webhook ${id}`, async (db) =>
        deliveryOf(await db.insertInto('webhook_deliveries').values(newDelivery(id, message)).returningAll().executeTakeFirstOrThrow()),
      ),
    deliveries: ({ webhookId, limit, before }) =>
      database.query(`listing deliveries of webhook ${webhookId}`, async (db) => {
        let query = db.selectFrom('webhook_deliveries').select(columns).where('webhook_id', '=', webhookId).orderBy('position', 'desc').limit(limit);
        if (before !== undefined) query = query.where('position', '<', (row) => row.selectFrom('webhook_deliveries as last').select('last.position').where('last.id', '=', before));
        return (await query.execute()).map(deliveryOf);
      }),

    fill: (limit, choose) =>
      database.transaction('looking through the audit for webhooks', async (transaction) => {
        await lockInTransaction(transaction, outboxLock);
        const { sequence } = await transaction.selectFrom('webhook_progress').select('sequence').executeTakeFirstOrThrow();
        const webhooks = (await transaction.selectFrom('webhooks').selectAll().where('disabled', 'is', null).execute()).map(choiceOf);
        // Nobody is to be told: the rows need not even be read.
        if (webhooks.length === 0) {
          await sql`update webhook_progress set sequence = audit_head.sequence from audit_head where webhook_progress.sequence < audit_head.sequence`.execute(transaction);
          return 0;
        }
        const rows: AuditRow[] = (await transaction.selectFrom('audit').selectAll().where('sequence', '>', sequence).orderBy('sequence').limit(limit).execute()).map(auditRowOf);
        const last = rows.at(-1);
        if (last === undefined) return 0;
        const made = await choose(rows, webhooks);
        for (let at = 0; at < made.length; at += 500) {
          const values = made.slice(at, at + 500).map(({ webhookId, message }) => newDelivery(webhookId, message));
          await transaction.insertInto('webhook_deliveries').values(values).onConflict((conflict) => conflict.columns(['webhook_id', 'audit_sequence']).doNothing()).execute();
        }
        await transaction.updateTable('webhook_progress').set({ sequence: last.sequence }).execute();
        return rows.length;
      }),

    claim: (now, { limit, leaseMs, busy }) =>
      database.transaction('taking deliveries that are due', async (transaction) => {
        await lockInTransaction(transaction, outboxLock);
        // The one that was asked longest ago first: eight that are dead, with long queues, keep no other from its turn.
        let due = transaction
          .selectFrom('webhooks as w')
          .innerJoinLateral((from) => from.selectFrom('webhook_deliveries as d').select('d.id').whereRef('d.webhook_id', '=', 'w.id').where('d.state', '=', 'waiting').where('d.next_at', '<=', now).orderBy('d.next_at').orderBy('d.position').limit(1).as('due'), (join) => join.onTrue())
          .select('due.id')
          .orderBy('w.attempted_at', (order) => order.asc().nullsFirst())
          .limit(limit);
        if (busy.length > 0) due = due.where('w.id', 'not in', [...busy]);
        const rows = await transaction
          .updateTable('webhook_deliveries')
          .set({ attempts: sql<number>`attempts + 1`, next_at: new Date(now.getTime() + leaseMs), last_at: now })
          .where('id', 'in', due)
          .returning(columns)
          .execute();
        if (rows.length > 0) await transaction.updateTable('webhooks').set({ attempted_at: now }).where('id', 'in', rows.map((row) => row.webhook_id)).execute();
        return rows.map(deliveryOf);
      }),

    conclude: async (id, verdict, lastAnswer, now) => {
      const ended = verdict.next === 'again' ? { next_at: verdict.at } : { state: verdict.next, next_at: null, ended_at: now };
      await database.query(`noting what came of delivery ${id}`, (db) => db.updateTable('webhook_deliveries').set({ ...ended, last_answer: cleanText(lastAnswer) }).where('id', '=', id).where('state', '=', 'waiting').execute());
    },
    forget: async (before) => {
      await database.query('forgetting old deliveries', (db) => db.deleteFrom('webhook_deliveries').where('ended_at', '<', before).execute());
    },
  };
}

/** Seals with the first key what others have sealed. @throws FairleadError as {@link WebhookStore.target} */
export async function resealWebhooks(transaction: Transaction<Tables>, sealing: Sealing): Promise<{ readonly resealed: readonly string[]; readonly already: number }> {
  const all = await transaction.selectFrom('webhooks').selectAll().orderBy('id').forUpdate().execute();
  const stale = all.filter(({ key_id: keyId }) => keyId !== sealing.keyId);
  for (const row of stale) await transaction.updateTable('webhooks').set({ sealed: sealing.seal(opened(row, sealing), aboutOf(row.id)), key_id: sealing.keyId }).where('id', '=', row.id).execute();
  return { resealed: stale.map(({ id }) => aboutOf(id)), already: all.length - stale.length };
}

const aboutOf = (id: string): string => `webhook/${id}`;

function opened({ id, sealed }: Row, sealing: Sealing): Buffer {
  try {
    return sealing.open(sealed, aboutOf(id));
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    throw new FairleadError(
      { class: 'request', code: 'webhook_unreadable', message: `The address and the secret of webhook ${id} do not open: ${error.message}.`, hint: `Put the key back that sealed them (the last line of the key file will do), or make it anew: fairlead webhooks remove ${id}, then add` },
      { cause: error },
    );
  }
}

const newDelivery = (webhookId: string, message: WebhookDelivery['message']) => ({ id: randomUUID(), webhook_id: webhookId, audit_sequence: message.auditSequence, message: toJson(message), created_at: sql<Date>`now()`, next_at: sql<Date>`now()` });

const choiceOf = ({ id, events, products, after_sequence: after, disabled }: Row) => ({ id, events, products, afterSequence: Number(after), disabled });

const listedOf = ({ waiting, given_up: givenUp, ...row }: Row & { readonly waiting: string; readonly given_up: string }): ListedWebhook => ({
  ...choiceOf(row),
  address: row.address,
  createdAt: row.created_at.toISOString(),
  createdBy: row.created_by,
  waiting: Number(waiting),
  givenUp: Number(givenUp),
});

const deliveryOf = (row: Pick<Selectable<Tables['webhook_deliveries']>, (typeof columns)[number]>): WebhookDelivery => ({
  id: row.id,
  webhookId: row.webhook_id,
  message: row.message,
  state: row.state,
  attempts: row.attempts,
  createdAt: row.created_at.toISOString(),
  nextAt: row.state === 'waiting' ? (row.next_at?.toISOString() ?? null) : null,
  lastAt: row.last_at?.toISOString() ?? null,
  lastAnswer: row.last_answer,
  endedAt: row.ended_at?.toISOString() ?? null,
});
