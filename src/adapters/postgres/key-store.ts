import { randomBytes, timingSafeEqual } from 'node:crypto';
import { sql } from 'kysely';
import { normalScope, refuseScope } from '../../domain/access/scope.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { KeyIdentity, KeyStore } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { toJson } from './json.ts';
import { keyDigest, makeKeyText, maskKey, readKeyText } from './key-text.ts';

/** How often it is noted that a key is used. */
const usedEverySeconds = 60;
const columns = ['id', 'name', 'role', 'host', 'scope'] as const;

export function createKeyStore(database: Database): KeyStore {
  /** In the background: whoever asks something does not wait for this note, nor fails without it. */
  function noteUse(id: string): void {
    const stale = sql<boolean>`(last_used_at is null or last_used_at < now() - make_interval(secs => ${usedEverySeconds}))`;
    database.query('noting that a key is used', (db) => db.updateTable('api_keys').set({ last_used_at: sql<Date>`now()` }).where('id', '=', id).where(stale).execute()).catch(() => undefined);
  }

  return {
    create: (name, role, { text: given, scope = null, expiresSeconds = null } = {}) =>
      database.transaction(`keeping key ${name}`, async (transaction) => {
        const text = given ?? makeKeyText(role);
        const named = readKeyText(text);
        if (named === null || named.role !== role) throw invalidKey(name, role);
        const refused = refuseScope(role, scope);
        if (refused !== null) throw new FairleadError(refused);
        const digest = keyDigest(text);
        // Every process of a development setup registers the same key file at its start.
        await lockInTransaction(transaction, `fairlead.key:${digest}`);
        const before = await transaction.selectFrom('api_keys').select([...columns, 'revoked_at']).where('sha256', '=', digest).executeTakeFirst();
        if (before?.revoked_at) throw revokedKey(before.name);
        if (before !== undefined) return { identity: identityOf(before), text };
        const identity: KeyIdentity = { id: randomBytes(8).toString('hex'), name, role, host: null, scope: normalScope(scope) };
        const expires = expiresSeconds === null ? {} : { expires_at: sql<Date>`now() + make_interval(secs => ${expiresSeconds})` };
        await transaction.insertInto('api_keys').values({ ...identity, scope: identity.scope && toJson(identity.scope), sha256: digest, masked: maskKey(text), ...expires }).execute();
        return { identity, text };
      }),

    identify: async (text) => {
      if (readKeyText(text) === null) return null;
      const digest = keyDigest(text);
      const start = digest.slice(0, 8);
      const candidates = await database.query('looking up a key', (db) =>
        db
          .selectFrom('api_keys')
          .select([...columns, 'sha256', 'previous_sha256'])
          .select(sql<boolean>`previous_ends_at > now()`.as('previousWorks'))
          .select(sql<boolean>`(last_used_at is null or last_used_at < now() - make_interval(secs => ${usedEverySeconds}))`.as('stale'))
          .where((key) => key.or([key(sql<string>`left(sha256, 8)`, '=', start), key(sql<string>`left(previous_sha256, 8)`, '=', start)]))
          .where('revoked_at', 'is', null)
          .where(unexpired)
          .execute(),
      );
      const wanted = Buffer.from(digest, 'hex');
      const equals = (sha256: string | null): boolean => sha256 !== null && timingSafeEqual(Buffer.from(sha256, 'hex'), wanted);
      const match = candidates.find((candidate) => equals(candidate.sha256) || (candidate.previousWorks === true && equals(candidate.previous_sha256)));
      if (match === undefined) return null;
      if (match.stale) noteUse(match.id);
      return identityOf(match);
    },

    list: async () => {
      const rows = await database.query('listing keys', (db) =>
        db
          .selectFrom('api_keys')
          .select([...columns, 'masked', 'created_at', 'expires_at', 'revoked_at', 'last_used_at', 'previous_masked', 'previous_ends_at'])
          .select(sql<boolean>`previous_ends_at > now()`.as('previousWorks'))
          .orderBy('created_at')
          .orderBy('id')
          .execute(),
      );
      return rows.map((row) => ({
        ...identityOf(row),
        masked: row.masked,
        createdAt: row.created_at.toISOString(),
        expiresAt: row.expires_at?.toISOString() ?? null,
        revokedAt: row.revoked_at?.toISOString() ?? null,
        lastUsedAt: row.last_used_at?.toISOString() ?? null,
        previous: row.previousWorks && row.revoked_at === null && row.previous_masked !== null && row.previous_ends_at !== null ? { masked: row.previous_masked, endsAt: row.previous_ends_at.toISOString() } : null,
      }));
    },

    rotate: (id, graceSeconds) =>
      database.transaction(`rotating key ${id}`, async (transaction) => {
        const row = await transaction
          .selectFrom('api_keys')
          .select([...columns, 'sha256', 'masked', 'previous_ends_at'])
          .select(sql<boolean>`previous_ends_at > now()`.as('previousWorks'))
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .where(unexpired)
          .forUpdate()
          .executeTakeFirst();
        if (row === undefined) return { result: 'not_found' };
        if (row.previousWorks && row.previous_ends_at !== null && graceSeconds > 0) return { result: 'under_way', previousEndsAt: row.previous_ends_at.toISOString() };
        const text = makeKeyText(row.role);
        const { previous_ends_at: endsAt } = await transaction
          .updateTable('api_keys')
          .set({ sha256: keyDigest(text), masked: maskKey(text), previous_sha256: row.sha256, previous_masked: row.masked, previous_ends_at: sql<Date>`now() + make_interval(secs => ${graceSeconds})` })
          .where('id', '=', id)
          .returning('previous_ends_at')
          .executeTakeFirstOrThrow();
        return { result: 'rotated', identity: identityOf(row), text, previousEndsAt: endsAt!.toISOString() };
      }),

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

    isValid: async (id) => (await database.query(`looking whether key ${id} is valid`, (db) => db.selectFrom('api_keys').select('id').where('id', '=', id).where('revoked_at', 'is', null).where(unexpired).executeTakeFirst())) !== undefined,

    bind: (id, host) =>
      database.transaction(`binding key ${id} to host ${host}`, async (transaction) => {
        const bound = await transaction.updateTable('api_keys').set({ host }).where('id', '=', id).where('role', '=', 'agent').where('host', 'is', null).returning('id').executeTakeFirst();
        if (bound !== undefined) return 'bound';
        const row = await transaction.selectFrom('api_keys').select('host').where('id', '=', id).executeTakeFirst();
        return row?.host === host ? 'already' : 'other_host';
      }),
  };
}

const unexpired = sql<boolean>`(expires_at is null or expires_at > now())`;

const identityOf = ({ id, name, role, host, scope }: KeyIdentity): KeyIdentity => ({ id, name, role, host, scope });

const invalidKey = (name: string, role: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'invalid_key',
    message: `The text given for key "${name}" is no ${role} key: it must read fl_${role}_ and 49 characters with a valid checksum`,
    hint: `Make one with: fairlead keys create --role ${role}`,
  });

const revokedKey = (name: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'key_revoked', message: `The text given is that of key "${name}", which was revoked`, hint: 'Make a new key; a revoked one does not come back.' });
