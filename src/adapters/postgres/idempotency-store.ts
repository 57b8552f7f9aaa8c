import { sql } from 'kysely';
import type { IdempotencyClaim, IdempotencyStore, StoredAnswer } from '../../ports/idempotency-store.ts';
import type { Database } from './database.ts';
import { toJson } from './json.ts';

const keptSeconds = 24 * 3600;
const abandonedSeconds = 120;

export function createIdempotencyStore(database: Database): IdempotencyStore {
  return {
    claim: async ({ caller, key, fingerprint }) => {
      await sweep(database);
      return database.transaction('claiming an idempotency key', async (transaction) => {
        // Left by a process that died.
        await transaction
          .deleteFrom('idempotency')
          .where('caller', '=', caller)
          .where('key', '=', key)
          .where('status', 'is', null)
          .where('claimed_at', '<', sql<Date>`now() - make_interval(secs => ${abandonedSeconds})`)
          .execute();
        const claimed = await transaction
          .insertInto('idempotency')
          .values({ caller, key, fingerprint })
          .onConflict((conflict) => conflict.columns(['caller', 'key']).doNothing())
          .returning('key')
          .executeTakeFirst();
        if (claimed !== undefined) return { state: 'claimed' } as const;
        const before = await transaction.selectFrom('idempotency').select(['fingerprint', 'status', 'body']).where('caller', '=', caller).where('key', '=', key).executeTakeFirst();
        // Given back between the two statements: asking again will claim it.
        if (before === undefined) return { state: 'under_way' } as const;
        if (before.fingerprint !== fingerprint) return { state: 'mismatch' } as const;
        if (before.status === null) return { state: 'under_way' } as const;
        return { state: 'answered', answer: { status: before.status, body: before.body } } as const;
      });
    },

    answer: async (claim: IdempotencyClaim, answer: StoredAnswer) => {
      await database.query('keeping an answer', (db) =>
        db
          .updateTable('idempotency')
          .set({ status: answer.status, body: toJson(answer.body ?? null) })
          .where('caller', '=', claim.caller)
          .where('key', '=', claim.key)
          .where('fingerprint', '=', claim.fingerprint)
          .execute(),
      );
    },

    release: async (claim: IdempotencyClaim) => {
      await database.query('giving an idempotency key back', (db) =>
        db
          .deleteFrom('idempotency')
          .where('caller', '=', claim.caller)
          .where('key', '=', claim.key)
          .where('fingerprint', '=', claim.fingerprint)
          .where('status', 'is', null)
          .execute(),
      );
    },
  };
}

/** Rows that another process is just looking at are left to it. */
async function sweep(database: Database): Promise<void> {
  await database.query('sweeping old answers', (db) =>
    sql`delete from idempotency where (caller, key) in (
      select caller, key from idempotency where claimed_at < now() - make_interval(secs => ${keptSeconds}) limit 100 for update skip locked)`.execute(db),
  );
}
