import { createHash } from 'node:crypto';
import type { RouterState } from '../../../ports/router.ts';

/** A set of members of one service that may share its requests, behind a Unix socket of its own. */
export interface Pool {
  /** Named after what it holds, so that the same set has the same socket in every generation. */
  readonly socket: string;
  readonly service: string;
  readonly members: readonly { readonly instance: string; readonly port: number }[];
}

/** `pools.json` of a generation: what its sockets stand for. */
export interface PoolFile {
  readonly schema: 1;
  readonly pools: readonly Pool[];
}

/** More members than this have 2^n sets no longer spelled out. */
const maxSpelledOut = 4;

/**
 * Pure: every set of members that a service may be switched to without a reload: all of them where they are few; else everybody, everybody but one,
 * each alone, and who is admitted now. Which set is in use is not part of it, except where it had to be added.
 */
export function poolsOf(directory: string, state: RouterState): Pool[] {
  return servicesOf(state).flatMap((service) => {
    const members = membersOf(state, service);
    const admitted = members.filter((member) => member.admitted);
    const sets = members.length <= maxSpelledOut ? subsets(members) : [members, ...members.map((out) => members.filter((member) => member !== out)), ...members.map((member) => [member]), admitted];
    const pools = sets.filter((set) => set.length > 0).map((set) => poolOf(directory, service, set));
    return [...new Map(pools.map((pool) => [pool.socket, pool])).values()];
  });
}

/** Pure: the pool that each service is meant to use now; null where nobody is admitted. */
export function chosenPools(directory: string, state: RouterState): { readonly service: string; readonly pool: Pool | null }[] {
  return servicesOf(state).map((service) => {
    const admitted = membersOf(state, service).filter((member) => member.admitted);
    return { service, pool: admitted.length === 0 ? null : poolOf(directory, service, admitted) };
  });
}

/** Services that no route names are there as well, for includes that know them. */
function servicesOf(state: RouterState): string[] {
  return [...new Set([...state.declaration.routes.map(({ service }) => String(service)), ...state.members.map(({ service }) => String(service))])].sort();
}

function membersOf(state: RouterState, service: string) {
  return state.members.filter((member) => member.service === service).sort((a, b) => (a.instance < b.instance ? -1 : 1));
}

/** The directory is part of the name, so that two hosts on one machine are told apart in `/proc/net/unix`, which shows the name only. */
function poolOf(directory: string, service: string, set: readonly { instance: string; port: number }[]): Pool {
  const members = set.map(({ instance, port }) => ({ instance: String(instance), port }));
  const digest = createHash('sha256').update(JSON.stringify([directory, service, members])).digest('hex').slice(0, 20);
  return { socket: `pool-${digest}.sock`, service, members };
}

function subsets<Item>(items: readonly Item[]): Item[][] {
  return items.reduce<Item[][]>((sets, item) => [...sets, ...sets.map((set) => [...set, item])], [[]]);
}
