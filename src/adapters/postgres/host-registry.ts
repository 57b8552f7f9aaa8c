import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { HostRegistry, HostRow } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { toJson } from './json.ts';
import type { Tables } from './tables.ts';

/** Three beats of 15 s: one that is late or lost is no alarm. */
const silenceSeconds = 45;

/** Times are the database's: the clocks of hosts and of several API processes differ. */
export function createHostRegistry(database: Database): HostRegistry {
  const rows = (what: string, host?: string): Promise<HostRow[]> =>
    database.query(what, async (db) => {
      let query = db
        .selectFrom('hosts')
        .selectAll()
        .select(sql<boolean>`last_seen_at < now() - make_interval(secs => ${silenceSeconds})`.as('silent'))
        .orderBy('host');
      if (host !== undefined) query = query.where('host', '=', host as never);
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
  };
}

const hostOf = (row: Selectable<Tables['hosts']> & { silent: boolean }): HostRow => ({
  host: row.host,
  role: row.role,
  status: row.silent ? 'disconnected' : 'connected',
  agentVersion: row.agent_version,
  bootId: row.boot_id,
  firstSeenAt: row.first_seen_at.toISOString(),
  lastSeenAt: row.last_seen_at.toISOString(),
  products: row.products,
});
