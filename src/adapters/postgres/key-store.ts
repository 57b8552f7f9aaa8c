import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sql } from 'kysely';
import { FairleadError } from '../../domain/failure.ts';
import type { KeyIdentity, KeyStore } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { keyDigest, makeKeyText, maskKey, readKeyText } from './key-text.ts';

export function createKeyStore(database: Database): KeyStore {
  return {
    create: (name, role, given) =>
      database.transaction(`keeping key ${name}`, async (transaction) => {
        const text = given ?? makeKeyText(role);
        const named = readKeyText(text);
        if (named === null || named.role !== role) throw invalidKey(name, role);
        const digest = keyDigest(text);
        // Every process of a development setup registers the same key file at its start.
        await lockInTransaction(transaction, `fairlead.key:${digest}`);
        const before = await transaction.selectFrom('api_keys').select(['id', 'name', 'role', 'host', 'revoked_at']).where('sha256', '=', digest).executeTakeFirst();
        if (before?.revoked_at) throw revokedKey(before.name);
        if (before !== undefined) return { identity: { id: before.id, name: before.name, role: before.role, host: before.host }, text };
        const identity: KeyIdentity = { id: randomBytes(8).toString('hex'), name, role, host: null };
        await transaction.insertInto('api_keys').values({ ...identity, sha256: digest, masked: maskKey(text) }).execute();
        return { identity, text };
      }),

    identify: async (text) => {
      if (readKeyText(text) === null) return null;
      const digest = keyDigest(text);
      const candidates = await database.query('looking up a key', (db) =>
        db
          .selectFrom('api_keys')
          .select(['id', 'name', 'role', 'host', 'sha256'])
          .where(sql<string>`left(sha256, 8)`, '=', digest.slice(0, 8))
          .where('revoked_at', 'is', null)
          .execute(),
      );
      const wanted = Buffer.from(digest, 'hex');
      const match = candidates.find((candidate) => timingSafeEqual(Buffer.from(candidate.sha256, 'hex'), wanted));
      return match === undefined ? null : { id: match.id, name: match.name, role: match.role, host: match.host };
    },

    list: async () => {
      const rows = await database.query('listing keys', (db) =>
        db.selectFrom('api_keys').select(['id', 'name', 'role', 'host', 'masked', 'created_at', 'revoked_at']).orderBy('created_at').orderBy('id').execute(),
      );
      return rows.map((row) => ({
        id: row.id,
        name: row.name,
        role: row.role,
        host: row.host,
        masked: row.masked,
        createdAt: row.created_at.toISOString(),
        revokedAt: row.revoked_at?.toISOString() ?? null,
      }));
    },

    revoke: async (id) => {
      const row = await database.query(`revoking key ${id}`, (db) =>
        db
          .updateTable('api_keys')
          .set({ revoked_at: sql<Date>`coalesce(revoked_at, now())` })
          .where('id', '=', id)
          .returning('id')
          .executeTakeFirst(),
      );
      return row === undefined ? 'not_found' : 'revoked';
    },

    isValid: async (id) => (await database.query(`looking whether key ${id} is valid`, (db) => db.selectFrom('api_keys').select('id').where('id', '=', id).where('revoked_at', 'is', null).executeTakeFirst())) !== undefined,

    bind: (id, host) =>
      database.transaction(`binding key ${id} to host ${host}`, async (transaction) => {
        const bound = await transaction.updateTable('api_keys').set({ host }).where('id', '=', id).where('role', '=', 'agent').where('host', 'is', null).returning('id').executeTakeFirst();
        if (bound !== undefined) return 'bound';
        const row = await transaction.selectFrom('api_keys').select('host').where('id', '=', id).executeTakeFirst();
        return row?.host === host ? 'already' : 'other_host';
      }),
  };
}

const invalidKey = (name: string, role: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'invalid_key',
    message: `The text given for key "${name}" is no ${role} key: it must read fl_${role}_ and 49 characters with a valid checksum`,
    hint: `Make one with: fairlead keys create --role ${role}`,
  });

const revokedKey = (name: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'key_revoked', message: `The text given is that of key "${name}", which was revoked`, hint: 'Make a new key; a revoked one does not come back.' });
