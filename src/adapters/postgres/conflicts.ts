import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Selectable, Transaction } from 'kysely';
import type { ConflictingAgent, IdentityConflict } from '../../domain/fleet/session.ts';
import type { HostId } from '../../domain/ids.ts';
import { timeIn } from './fleet-state-store.ts';
import { toJson } from './json.ts';
import type { Tables } from './tables.ts';

type Row = Selectable<Tables['fleet_conflicts']>;
/** A host that starts its agent over and over during a conflict must not fill the row. */
const keptAgents = 20;

/** The undecided conflict of the host, else the latest that this agent took part in. */
export async function conflictFor(transaction: Transaction<Tables>, host: HostId, bootId: string): Promise<Row | null> {
  const row = await transaction
    .selectFrom('fleet_conflicts')
    .selectAll()
    .where('host', '=', host)
    .where((expression) => expression.or([expression('decided_at', 'is', null), sql<boolean>`agents @> ${toJson([{ bootId }])}::jsonb`]))
    .orderBy(sql`decided_at is null`, 'desc')
    .orderBy('position', 'desc')
    .executeTakeFirst();
  return row ?? null;
}

/** Adds the agents to the host's undecided conflict, which is made where there is none. */
export async function addToConflict(transaction: Transaction<Tables>, host: HostId, agents: readonly Omit<ConflictingAgent, 'seenAt'>[]): Promise<Row> {
  const seenAt = await timeIn(transaction);
  const before = await transaction.selectFrom('fleet_conflicts').selectAll().where('host', '=', host).where('decided_at', 'is', null).executeTakeFirst();
  const seen = agents.map(({ bootId, remoteAddress, agentVersion }) => ({ bootId, remoteAddress, agentVersion, seenAt }));
  const known = (before?.agents ?? []).filter(({ bootId }) => !seen.some((each) => each.bootId === bootId));
  const all = toJson([...known, ...seen].slice(-keptAgents));
  if (before === undefined) return transaction.insertInto('fleet_conflicts').values({ id: randomUUID(), host, agents: all }).returningAll().executeTakeFirstOrThrow();
  return transaction.updateTable('fleet_conflicts').set({ agents: all }).where('id', '=', before.id).returningAll().executeTakeFirstOrThrow();
}

/** @param bootId null: the host is enrolled anew, and none of the agents is accepted */
export async function decideConflict(transaction: Transaction<Tables>, host: HostId, bootId: string | null, by: string): Promise<'accepted' | 'no_conflict' | 'unknown_boot'> {
  const row = await transaction.selectFrom('fleet_conflicts').selectAll().where('host', '=', host).where('decided_at', 'is', null).executeTakeFirst();
  if (row === undefined) return 'no_conflict';
  if (bootId !== null && !row.agents.some((agent) => agent.bootId === bootId)) return 'unknown_boot';
  await transaction.updateTable('fleet_conflicts').set({ decided_at: sql<Date>`clock_timestamp()`, decided_by: by, accepted_boot_id: bootId }).where('id', '=', row.id).execute();
  return 'accepted';
}

export const conflictOf = (row: Row): IdentityConflict => ({
  id: row.id,
  host: row.host,
  agents: row.agents,
  foundAt: row.found_at.toISOString(),
  decidedAt: row.decided_at?.toISOString() ?? null,
  decidedBy: row.decided_by,
  acceptedBootId: row.accepted_boot_id,
});
