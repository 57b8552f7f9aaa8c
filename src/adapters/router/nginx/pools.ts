import { createHash } from 'node:crypto';
import type { RouterMember, RouterState } from '../../../ports/router.ts';
import { cycleLength, isTurnOf, sidesOf, wholePercent } from '../split.ts';

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
 * each alone, who is admitted now, who is not, and the two sides of a split. The colours of a release are so there before the first request is let
 * to the new one. Which set is in use is not part of it, except where it had to be added.
 */
export function poolsOf(directory: string, state: RouterState): Pool[] {
  return servicesOf(state).flatMap((service) => {
    const members = membersOf(state, service);
    const sets = members.length <= maxSpelledOut ? subsets(members) : [members, ...members.map((out) => members.filter((member) => member !== out)), ...members.map((member) => [member]), ...setsInUse(state, members)];
    const pools = sets.filter((set) => set.length > 0).map((set) => poolOf(directory, service, set));
    // Sorted: the same sets are the same configuration, whichever of them is in use.
    return [...new Map(pools.map((pool) => [pool.socket, pool])).values()].sort((a, b) => (a.socket < b.socket ? -1 : 1));
  });
}

function setsInUse({ split }: RouterState, members: readonly RouterMember[]): RouterMember[][] {
  const admitted = members.filter((member) => member.admitted);
  const sides = sidesOf(admitted, split);
  return [admitted, members.filter((member) => !member.admitted), ...(sides === null ? [] : [sides.to, sides.rest])];
}

/**
 * Where the requests of one service go. They take a hundred slots in turn, and each slot is a symlink to a pool: with a split of 10 %, ten of
 * them lead to the one side. All slots lie in one directory, so that one rename of a symlink to it changes every one in the same moment.
 */
export interface Way {
  readonly service: string;
  /** Of the directory. Named after what it holds. */
  readonly name: string;
  /** The pool of each slot; null where nobody is admitted. */
  readonly slots: readonly (Pool | null)[];
}

/** Pure: the way that each service is meant to use now. */
export function chosenWays(directory: string, state: RouterState): Way[] {
  return servicesOf(state).map((service) => {
    const admitted = membersOf(state, service).filter((member) => member.admitted);
    const sides = sidesOf(admitted, state.split);
    const percent = wholePercent(state.split?.percent ?? 0);
    const all = admitted.length === 0 ? null : poolOf(directory, service, admitted);
    const [to, rest] = sides === null ? [all, all] : [poolOf(directory, service, sides.to), poolOf(directory, service, sides.rest)];
    const slots = slotNames.map((_name, number) => (isTurnOf(percent, number) ? to : rest));
    const name = createHash('sha256').update(JSON.stringify(slots.map((pool) => pool?.socket ?? null))).digest('hex').slice(0, 20);
    return { service, name, slots };
  });
}

/** What the slots of a way are called, in the order in which requests take them. */
export const slotNames: readonly string[] = Array.from({ length: cycleLength }, (_none, number) => `${String(number).padStart(2, '0')}.sock`);

/** Services that no route names are there as well, for includes that know them. */
export function servicesOf(state: RouterState): string[] {
  return [...new Set([...state.declaration.routes.map(({ service }) => String(service)), ...state.members.map(({ service }) => String(service))])].sort();
}

function membersOf(state: RouterState, service: string): RouterMember[] {
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
