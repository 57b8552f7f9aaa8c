import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Selectable, Transaction } from 'kysely';
import { decideBegin, isFailedAttempt, isLost, silenceMs, steadyMs, type BeginFacts, type Session, type SessionEnd } from '../../domain/fleet/session.ts';
import type { HostId } from '../../domain/ids.ts';
import type { NewSession, SessionStore } from '../../ports/fleet-stores.ts';
import { addToConflict, conflictFor, conflictOf, decideConflict } from './conflicts.ts';
import type { Database } from './database.ts';
import { applyEvent, lockHost, timeIn } from './fleet-state-store.ts';
import { toJson } from './json.ts';
import type { Tables } from './tables.ts';

export function createSessionStore(database: Database): SessionStore {
  return {
    begin: (newcomer, asked) =>
      database.transaction(`beginning a session of host ${newcomer.host}`, async (transaction) => {
        await lockHost(transaction, newcomer.host);
        const { host } = newcomer;
        const open = await openOf(transaction, host);
        const conflict = await conflictFor(transaction, host, newcomer.bootId);
        const supersededMsAgo = await supersededAgo(transaction, newcomer, conflict?.decided_at ?? null);
        const facts: BeginFacts = { newcomer, open: open === null ? null : { id: open.id, bootId: open.boot_id, transport: open.transport, clientRef: open.client_ref }, asked, supersededMsAgo, conflict: conflict && conflictOf(conflict) };
        const decision = decideBegin(facts);
        switch (decision.do) {
          case 'continue': {
            await transaction.updateTable('fleet_sessions').set({ last_heard_at: sql<Date>`now()` }).where('id', '=', open!.id).execute();
            await noteSteady(transaction, open!);
            return { result: 'continued', session: sessionOf(open!) };
          }
          case 'ask':
            return { result: 'ask', session: sessionOf(open!) };
          case 'refuse': {
            const noted = decision.code === 'identity_conflict' ? await addToConflict(transaction, host, [newcomer]) : conflict;
            // A word that came late is nobody's failure.
            if (decision.code !== 'session_superseded') await fail(transaction, newcomer, decision.code);
            return { result: 'refused', code: decision.code, conflict: noted && conflictOf(noted) };
          }
          case 'conflict': {
            const others = open === null ? await supersederOf(transaction, newcomer) : [{ bootId: open.boot_id, remoteAddress: open.remote_address, agentVersion: open.agent_version }];
            const found = await addToConflict(transaction, host, [...others, newcomer]);
            const ended = open === null ? null : await endRow(transaction, open, 'identity_conflict', null);
            await fail(transaction, newcomer, 'identity_conflict');
            return { result: 'conflict', conflict: conflictOf(found), ended };
          }
          case 'begin': {
            const ended = open === null ? null : await endRow(transaction, open, decision.ends ?? 'renewed', decision.ends === 'superseded' ? newcomer.bootId : null);
            const at = await timeIn(transaction);
            const { bootId, transport, clientRef, role, releases, agentVersion, copy, remoteAddress } = newcomer;
            const row = await transaction
              .insertInto('fleet_sessions')
              .values({ id: randomUUID(), host, boot_id: bootId, transport, client_ref: clientRef, role, releases: toJson(releases), agent_version: agentVersion, copy, remote_address: remoteAddress, connected_at: at, last_heard_at: at })
              .returningAll()
              .executeTakeFirstOrThrow();
            await applyEvent(transaction, host, { type: 'SessionBegan' }, role);
            return { result: 'begun', session: sessionOf(row), ended };
          }
        }
      }),

    heard: (id) =>
      database
        .query('noting that a session was heard', (db) => db.updateTable('fleet_sessions').set({ last_heard_at: sql<Date>`now()` }).where('id', '=', id).where('ended_at', 'is', null).returningAll().executeTakeFirst())
        .then(async (row) => {
          // In a transaction of its own: the host's lock comes before its rows, everywhere.
          if (row !== undefined && Date.now() - row.connected_at.getTime() > steadyMs / 2) await database.transaction('noting that a host is heard well', (transaction) => noteSteady(transaction, row));
          return row !== undefined;
        }),

    end: (id, why) => database.transaction('ending a session', (transaction) => endOne(transaction, id, why)),

    endSilent: async () => {
      const isSilent = sql<boolean>`last_heard_at < now() - make_interval(secs => ${silenceMs / 1_000})`;
      const silent = await database.query('looking for silent sessions', (db) => db.selectFrom('fleet_sessions').select('id').where('ended_at', 'is', null).where(isSilent).execute());
      const ended: Session[] = [];
      // One by one: each is its own host's business, and may have been heard since.
      for (const { id } of silent) {
        const session = await database.transaction('ending a silent session', async (transaction) => {
          const still = await transaction.selectFrom('fleet_sessions').select('id').where('id', '=', id).where(isSilent).executeTakeFirst();
          return still === undefined ? null : endOne(transaction, id, 'silent');
        });
        if (session !== null) ended.push(session);
      }
      return ended;
    },

    open: async (host) => {
      const row = await database.query(`looking up the session of host ${host}`, (db) => db.selectFrom('fleet_sessions').selectAll().where('host', '=', host).where('ended_at', 'is', null).executeTakeFirst());
      return row === undefined ? null : sessionOf(row);
    },

    allOpen: async () => (await database.query('listing open sessions', (db) => db.selectFrom('fleet_sessions').selectAll().where('ended_at', 'is', null).orderBy('host').execute())).map(sessionOf),

    list: ({ host, limit, before }) =>
      database.query(`listing the sessions of host ${host}`, async (db) => {
        let query = db.selectFrom('fleet_sessions').selectAll().where('host', '=', host).orderBy('position', 'desc').limit(limit);
        if (before !== undefined) query = query.where('position', '<', db.selectFrom('fleet_sessions').select('position').where('id', '=', before));
        return (await query.execute()).map(sessionOf);
      }),

    observed: ({ host, product, releaseId, after }) =>
      database.query(`looking for ${releaseId} in the sessions of host ${host}`, async (db) => {
        const since = db.selectFrom('fleet_sessions').selectAll().where('host', '=', host).where('connected_at', '>', sql<Date>`${after}::timestamptz`);
        const tells = (release: string | null) => sql<boolean>`releases @> ${toJson([{ product, releaseId: release }])}::jsonb`;
        const session = await since.where(tells(releaseId)).orderBy('position').executeTakeFirst();
        const other = await since.where(sql<boolean>`releases @> ${toJson([{ product }])}::jsonb and not ${tells(releaseId)}`).orderBy('position', 'desc').executeTakeFirst();
        return { session: session === undefined ? null : sessionOf(session), other: other === undefined ? null : sessionOf(other) };
      }),

    clock: () => database.transaction("asking for the database's time", timeIn),

    conflict: (host) =>
      database.query(`looking for identity conflicts of host ${host}`, async (db) => {
        const row = await db.selectFrom('fleet_conflicts').selectAll().where('host', '=', host).orderBy(sql`decided_at is null`, 'desc').orderBy('position', 'desc').executeTakeFirst();
        return row === undefined ? null : conflictOf(row);
      }),

    accept: (host, bootId, by) =>
      database.transaction(`deciding the identity conflict of host ${host}`, async (transaction) => {
        await lockHost(transaction, host);
        const result = await decideConflict(transaction, host, bootId, by);
        // The person vouches for the host: what failed because of the conflict is over.
        if (result === 'accepted') await succeed(transaction, host);
        return result;
      }),
  };
}

const openOf = async (transaction: Transaction<Tables>, host: HostId) =>
  (await transaction.selectFrom('fleet_sessions').selectAll().where('host', '=', host).where('ended_at', 'is', null).executeTakeFirst()) ?? null;

/** How long ago another process took this one's place. What was before a person's decision no longer counts. */
async function supersededAgo(transaction: Transaction<Tables>, { host, bootId }: NewSession, since: Date | null): Promise<number | null> {
  let query = transaction
    .selectFrom('fleet_sessions')
    .select(sql<number>`(extract(epoch from clock_timestamp() - min(ended_at)) * 1000)::float8`.as('ago'))
    .where('host', '=', host)
    .where('boot_id', '=', bootId)
    .where('superseded_by', 'is not', null);
  if (since !== null) query = query.where('ended_at', '>', since);
  return (await query.executeTakeFirst())?.ago ?? null;
}

/** The process that took the newcomer's place, where its session has ended since. */
async function supersederOf(transaction: Transaction<Tables>, { host, bootId }: NewSession) {
  const rows = await transaction
    .selectFrom('fleet_sessions as mine')
    .innerJoin('fleet_sessions as other', (join) => join.onRef('other.host', '=', 'mine.host').onRef('other.boot_id', '=', 'mine.superseded_by'))
    .select(['other.boot_id as bootId', 'other.remote_address as remoteAddress', 'other.agent_version as agentVersion'])
    .where('mine.host', '=', host)
    .where('mine.boot_id', '=', bootId)
    .orderBy('other.position', 'desc')
    .limit(1)
    .execute();
  return rows;
}

async function endOne(transaction: Transaction<Tables>, id: string, why: SessionEnd): Promise<Session | null> {
  const found = await transaction.selectFrom('fleet_sessions').select('host').where('id', '=', id).executeTakeFirst();
  if (found === undefined) return null;
  await lockHost(transaction, found.host);
  const row = await transaction.selectFrom('fleet_sessions').selectAll().where('id', '=', id).where('ended_at', 'is', null).executeTakeFirst();
  return row === undefined ? null : endRow(transaction, row, why, null);
}

/** Ends a session of a host that this transaction has locked, and lets the host's state know. */
export async function endRow(transaction: Transaction<Tables>, row: Selectable<Tables['fleet_sessions']>, why: SessionEnd, supersededBy: string | null): Promise<Session> {
  const ended = await transaction
    .updateTable('fleet_sessions')
    .set({ ended_at: sql<Date>`clock_timestamp()`, why, superseded_by: supersededBy })
    .where('id', '=', row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  if (isLost(why)) await applyEvent(transaction, row.host, { type: 'SessionLost', why }, row.role);
  const ageMs = ended.ended_at!.getTime() - ended.connected_at.getTime();
  if (isFailedAttempt(why, ageMs)) {
    await applyEvent(transaction, row.host, { type: 'AttemptFailed', kind: 'contact', code: `session_${why}`, message: `a session ended after ${Math.round(ageMs / 1_000)} s: ${why}`, runId: null }, row.role);
  }
  return sessionOf(ended);
}

async function noteSteady(transaction: Transaction<Tables>, { host, role, connected_at }: Selectable<Tables['fleet_sessions']>): Promise<void> {
  const failing = await transaction
    .selectFrom('fleet_hosts')
    .select('host')
    .where('host', '=', host)
    .where(sql<boolean>`(state->'failures'->>'contact')::int > 0 and ${connected_at}::timestamptz < now() - make_interval(secs => ${steadyMs / 1_000})`)
    .executeTakeFirst();
  if (failing === undefined) return;
  await lockHost(transaction, host);
  await applyEvent(transaction, host, { type: 'AttemptSucceeded', kind: 'contact', runId: null }, role);
}

async function fail(transaction: Transaction<Tables>, { host, role, bootId, remoteAddress }: NewSession, code: string): Promise<void> {
  await applyEvent(transaction, host, { type: 'AttemptFailed', kind: 'contact', code, message: `agent ${bootId} from ${remoteAddress} was refused: ${code}`, runId: null }, role);
}

async function succeed(transaction: Transaction<Tables>, host: HostId): Promise<void> {
  const known = await transaction.selectFrom('fleet_hosts').select('role').where('host', '=', host).executeTakeFirst();
  if (known !== undefined) await applyEvent(transaction, host, { type: 'AttemptSucceeded', kind: 'contact', runId: null }, known.role);
}

export const sessionOf = (row: Selectable<Tables['fleet_sessions']>): Session => ({
  id: row.id,
  host: row.host,
  bootId: row.boot_id,
  transport: row.transport,
  role: row.role,
  releases: row.releases,
  agentVersion: row.agent_version,
  copy: row.copy,
  remoteAddress: row.remote_address,
  connectedAt: row.connected_at.toISOString(),
  lastHeardAt: row.last_heard_at.toISOString(),
  endedAt: row.ended_at?.toISOString() ?? null,
  why: row.why,
});
