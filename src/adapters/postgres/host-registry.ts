import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import type { Labels } from '../../domain/access/scope.ts';
import { isInMaintenance, type FleetState } from '../../domain/fleet/host-state.ts';
import { silenceMs } from '../../domain/fleet/session.ts';
import type { HostRegistry, HostRow } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { toJson } from './json.ts';
import type { Tables } from './tables.ts';

const silenceSeconds = silenceMs / 1_000;

/** Times are the database's: the clocks of hosts and of several API processes differ. */
export function createHostRegistry(database: Database): HostRegistry {
  const rows = (what: string, host?: string): Promise<HostRow[]> =>
    database.query(what, async (db) => {
      let query = withLink(db).selectAll('hosts').orderBy('hosts.host');
      if (host !== undefined) query = query.where('hosts.host', '=', host as never);
      return (await query.execute()).map(hostOf);
    });

  return {
    hello: async (beat) => {
      const said = { role: beat.role, agent_version: beat.agentVersion, boot_id: beat.bootId, products: toJson(beat.products), last_seen_at: sql<Date>`now()` };
      await database.query(`keeping the word of host ${beat.host}`, (db) =>
        db
          .insertInto('hosts')
          .values({ host: beat.host, ...said })
          .onConflict((conflict) => conflict.column('host').doUpdateSet(said))
          .execute(),
      );
    },
    list: () => rows('listing hosts'),
    find: async (host) => (await rows(`looking up host ${host}`, host))[0] ?? null,
    connected: (names) =>
      names.length === 0
        ? Promise.resolve([])
        : database.query('asking which hosts are connected', async (db) => {
            const found = await withLink(db)
              .select('hosts.host')
              .where(sql<boolean>`hosts.host = any(${[...names]}::text[])`)
              .orderBy('hosts.host')
              .execute();
            return found.filter((row) => statusOf(row) === 'connected').map(({ host }) => host);
          }),
    label: (host, changes) => {
      const set = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null)) as Labels;
      const gone = Object.keys(changes).filter((name) => changes[name] === null);
      return database.query(`labelling host ${host}`, async (db) => {
        const row = await db.updateTable('hosts').set({ labels: sql<string>`(labels - ${gone}::text[]) || ${toJson(set)}::jsonb` }).where('host', '=', host).returning('labels').executeTakeFirst();
        return row?.labels ?? null;
      });
    },
  };
}

/** Hosts with what their status is computed from. */
const withLink = (db: Kysely<Tables>) =>
  db
    .selectFrom('hosts')
    .leftJoin('fleet_hosts', 'fleet_hosts.host', 'hosts.host')
    .select(['fleet_hosts.state', sql<Date>`now()`.as('now')])
    .select(sql<boolean>`last_seen_at < now() - make_interval(secs => ${silenceSeconds})`.as('silent'));

const hostOf = (row: Selectable<Tables['hosts']> & { silent: boolean; now: Date; state: FleetState | null }): HostRow => ({
  host: row.host,
  role: row.role,
  labels: row.labels,
  status: statusOf(row),
  state: row.state,
  agentVersion: row.agent_version,
  bootId: row.boot_id,
  firstSeenAt: row.first_seen_at.toISOString(),
  lastSeenAt: row.last_seen_at.toISOString(),
  products: row.products,
});

/** A session that nobody ended yet although nothing is heard of it is no connection. */
function statusOf({ silent, now, state }: { silent: boolean; now: Date; state: FleetState | null }): HostRow['status'] {
  if (state?.phase === 'maintenance' && isInMaintenance(state, now.toISOString())) return 'maintenance';
  if (state?.phase === 'error') return 'error';
  return silent || state?.link.phase === 'disconnected' ? 'disconnected' : 'connected';
}
