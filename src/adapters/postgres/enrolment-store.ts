import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { Enrolment, EnrolmentStore } from '../../ports/fleet-stores.ts';
import { decideConflict } from './conflicts.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { applyEvent, lockHost } from './fleet-state-store.ts';
import { isEnrolmentText, keyDigest, makeEnrolmentText, makeKeyText, maskKey } from './key-text.ts';
import { endRow } from './session-store.ts';
import type { Tables } from './tables.ts';

export function createEnrolmentStore(database: Database): EnrolmentStore {
  return {
    create: ({ host, role, expiresSeconds, createdBy }) =>
      database.transaction('keeping an enrolment token', async (transaction) => {
        const text = makeEnrolmentText();
        const row = await transaction
          .insertInto('enrolments')
          .values({ id: randomBytes(8).toString('hex'), sha256: keyDigest(text), host, role, created_by: createdBy, expires_at: sql<Date>`now() + make_interval(secs => ${expiresSeconds})` })
          .returningAll()
          .executeTakeFirstOrThrow();
        if (host !== null) {
          await lockHost(transaction, host);
          const known = await transaction.selectFrom('fleet_hosts').select('host').where('host', '=', host).executeTakeFirst();
          if (known === undefined) await applyEvent(transaction, host, null, role);
        }
        return { enrolment: enrolmentOf(row), text };
      }),

    exchange: (text, named) =>
      database.transaction('exchanging an enrolment token', async (transaction) => {
        if (!isEnrolmentText(text)) return { result: 'refused', code: 'enrolment_unknown' };
        const digest = keyDigest(text);
        await lockInTransaction(transaction, `fairlead.enrolment:${digest}`);
        const candidates = await transaction.selectFrom('enrolments').selectAll().select(sql<boolean>`expires_at <= now()`.as('expired')).where(sql<string>`left(sha256, 8)`, '=', digest.slice(0, 8)).execute();
        const row = candidates.find(({ sha256 }) => timingSafeEqual(Buffer.from(sha256, 'hex'), Buffer.from(digest, 'hex')));
        if (row === undefined) return { result: 'refused', code: 'enrolment_unknown' };
        if (row.used_at !== null) return { result: 'refused', code: 'enrolment_used' };
        if (row.expired) return { result: 'refused', code: 'enrolment_expired' };
        const host = named ?? row.host;
        if (host === null || (row.host !== null && row.host !== host)) return { result: 'refused', code: 'enrolment_other_host' };
        await lockHost(transaction, host);
        const before = await transaction.selectFrom('api_keys').select('id').where('host', '=', host).where('revoked_at', 'is', null).execute();
        // A token for whatever host there may be must not take the place of one that is there.
        if (row.host === null && before.length > 0) return { result: 'refused', code: 'enrolment_host_taken' };

        const key = makeKeyText('agent');
        const keyId = randomBytes(8).toString('hex');
        const revokedKeys = before.map(({ id }) => id);
        if (revokedKeys.length > 0) await transaction.updateTable('api_keys').set({ revoked_at: sql<Date>`now()` }).where('id', 'in', revokedKeys).execute();
        await transaction.insertInto('api_keys').values({ id: keyId, name: host, role: 'agent', sha256: keyDigest(key), masked: maskKey(key), host }).execute();
        await transaction.updateTable('enrolments').set({ used_at: sql<Date>`now()`, used_by: host }).where('id', '=', row.id).execute();
        const open = await transaction.selectFrom('fleet_sessions').selectAll().where('host', '=', host).where('ended_at', 'is', null).executeTakeFirst();
        const ended = open === undefined ? null : await endRow(transaction, open, 're_enrolled', null);
        await decideConflict(transaction, host, null, row.created_by);
        await applyEvent(transaction, host, { type: 'AttemptSucceeded', kind: 'contact', runId: null }, row.role);
        return { result: 'enrolled', host, role: row.role, keyId, key, revokedKeys, ended, enrolment: row.id };
      }),

    list: async () => (await database.query('listing enrolments', (db) => db.selectFrom('enrolments').selectAll().orderBy('created_at', 'desc').limit(10_000).execute())).map(enrolmentOf),
  };
}

const enrolmentOf = (row: Selectable<Tables['enrolments']>): Enrolment => ({
  id: row.id,
  host: row.host,
  role: row.role,
  createdBy: row.created_by,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at.toISOString(),
  usedAt: row.used_at?.toISOString() ?? null,
  usedBy: row.used_by,
});
