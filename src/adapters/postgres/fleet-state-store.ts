import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import { enrolledAt, isInMaintenance, nextFleetState, type FleetEvent, type FleetState } from '../../domain/fleet/host-state.ts';
import type { HostId } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { RunReport } from '../../domain/run/report.ts';
import type { FleetHost, FleetStateStore } from '../../ports/fleet-stores.ts';
import type { Database } from './database.ts';
import { lockInTransaction } from './database.ts';
import { toJson } from './json.ts';
import type { Tables } from './tables.ts';

type Timeless<Event> = Event extends { readonly at: string } ? Omit<Event, 'at'> : never;

/** Whoever changes what the fleet knows of a host does so one at a time, on whatever copy of the API. */
export const lockHost = (transaction: Transaction<Tables>, host: HostId): Promise<void> => lockInTransaction(transaction, `fairlead.fleet:${host}`);

/** The database's time; ISO 8601. */
export async function timeIn(transaction: Transaction<Tables>): Promise<string> {
  const { rows } = await sql<{ at: Date }>`select clock_timestamp() as at`.execute(transaction);
  return rows[0]!.at.toISOString();
}

/** One event of a host that this transaction has locked. A host that is not there yet is made. */
export async function applyEvent(transaction: Transaction<Tables>, host: HostId, event: Timeless<FleetEvent> | null, role: Role): Promise<FleetState> {
  const at = await timeIn(transaction);
  const row = await transaction.selectFrom('fleet_hosts').select(['role', 'state']).where('host', '=', host).executeTakeFirst();
  const before = row === undefined ? enrolledAt(at) : asOf(row.state, at);
  const after = event === null ? before : nextFleetState(before, { ...event, at } as FleetEvent);
  if (row !== undefined && after === row.state && row.role === role) return after;
  const values = { role, state: toJson(after), updated_at: sql<Date>`now()` };
  await transaction.insertInto('fleet_hosts').values({ host, ...values }).onConflict((conflict) => conflict.column('host').doUpdateSet(values)).execute();
  return after;
}

/** A maintenance whose end has passed has ended then. */
function asOf(state: FleetState, at: string): FleetState {
  if (state.phase !== 'maintenance' || isInMaintenance(state, at)) return state;
  return nextFleetState(state, { type: 'MaintenanceEnded', at: state.until ?? at });
}

export function createFleetStateStore(database: Database): FleetStateStore {
  const rows = async (what: string, host?: HostId): Promise<FleetHost[]> =>
    database.query(what, async (db) => {
      let query = db.selectFrom('fleet_hosts').select(['host', 'role', 'state', sql<Date>`now()`.as('now')]).orderBy('host');
      if (host !== undefined) query = query.where('host', '=', host);
      return (await query.execute()).map((row) => ({ host: row.host, role: row.role, state: asOf(row.state, row.now.toISOString()) }));
    });
  const apply: FleetStateStore['apply'] = (host, event, role) =>
    database.transaction(`keeping the state of host ${host}`, async (transaction) => {
      await lockHost(transaction, host);
      const known = role ?? (await transaction.selectFrom('fleet_hosts').select('role').where('host', '=', host).executeTakeFirst())?.role ?? 'node';
      return applyEvent(transaction, host, event, known);
    });

  return {
    find: async (host) => (await rows(`looking up the state of host ${host}`, host))[0] ?? null,
    list: () => rows('listing the states of hosts'),
    apply,
    noteRun: async (report) => {
      const event = eventOf(report);
      if (event !== null) await apply(report.host, event);
    },
    endPastMaintenance: async () => {
      const past = await database.query('looking for maintenance that is over', (db) =>
        db.selectFrom('fleet_hosts').select(['host', 'role']).where(sql<boolean>`state->>'phase' = 'maintenance' and (state->>'until')::timestamptz <= now()`).execute(),
      );
      for (const { host, role } of past) {
        await database.transaction(`ending the maintenance of host ${host}`, async (transaction) => {
          await lockHost(transaction, host);
          await applyEvent(transaction, host, null, role);
        });
      }
      return past.map(({ host }) => host);
    },
  };
}

/**
 * A run failed on its host where it ended stranded, or where the host is to blame (no room, a service manager that refuses, an agent that never
 * answered). A release that was rolled back says nothing of the host, nor does a refusal, nor a run that a person cancelled.
 */
export function eventOf({ runId, outcome, reason }: Pick<RunReport, 'runId' | 'outcome' | 'reason'>): Timeless<FleetEvent> | null {
  if (outcome === 'succeeded' || outcome === 'unchanged') return { type: 'AttemptSucceeded', kind: 'run', runId };
  if (outcome !== 'stranded' && (outcome === 'cancelled' || reason?.class !== 'host')) return null;
  return { type: 'AttemptFailed', kind: 'run', code: reason?.code ?? outcome, message: reason?.message ?? `a run ended ${outcome}`, runId };
}
