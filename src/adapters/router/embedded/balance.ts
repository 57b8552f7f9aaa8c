import { cycleLength, isTurnOf, sidesOf } from '../split.ts';
import type { RouterConfig } from './config.ts';

export type Member = RouterConfig['members'][number];

/** A member that could not be connected to is asked last for this long. */
const suspectMs = 2_000;

/** Which member gets a request, and how many each one works on. Counts go on for members that left the configuration. */
export function createBalancer(now: () => number) {
  const working = new Map<string, number>();
  const suspectUntil = new Map<string, number>();
  /** Of each service, and of each side of it: a turn that all shared would let two services that are asked by turns always meet the same member. */
  const turns = new Map<string, number>();
  const nextTurn = (of: string): number => {
    const turn = turns.get(of) ?? 0;
    turns.set(of, turn + 1);
    return turn;
  };

  /** The admitted members that a request may go to. One that is tried again stays on its side: a side answers for itself. */
  function sideFor({ members, split }: RouterConfig, service: string, tried: ReadonlySet<string>): { readonly name: string; readonly members: readonly Member[] } {
    const admitted = members.filter((member) => member.service === service && member.admitted);
    const sides = split == null ? null : sidesOf(admitted, split);
    if (split == null || sides === null) return { name: 'all', members: admitted };
    const to = { name: 'to', members: sides.to };
    const rest = { name: 'rest', members: sides.rest };
    if (sides.to.some(({ instance }) => tried.has(instance))) return to;
    if (sides.rest.some(({ instance }) => tried.has(instance))) return rest;
    return isTurnOf(split.percent, nextTurn(`${service} ${split.percent}`) % cycleLength) ? to : rest;
  }

  return {
    /** The least busy admitted member that was not tried yet, on the side whose turn it is, in turn among equals; null where none is left. */
    choose(config: RouterConfig, service: string, tried: ReadonlySet<string>): Member | null {
      const side = sideFor(config, service, tried);
      const candidates = side.members.filter(({ instance }) => !tried.has(instance));
      const turn = nextTurn(`${service} ${side.name}`);
      const rank = (member: Member) => ((suspectUntil.get(member.instance) ?? 0) > now() ? 1e9 : 0) + (working.get(member.instance) ?? 0);
      const lowest = Math.min(...candidates.map(rank));
      const best = candidates.filter((member) => rank(member) === lowest);
      return best[turn % best.length] ?? null;
    },
    /** @returns what must be called once when the work has ended; calling it again does nothing. */
    begin(instance: string): () => void {
      working.set(instance, (working.get(instance) ?? 0) + 1);
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        const left = (working.get(instance) ?? 1) - 1;
        if (left === 0) working.delete(instance);
        else working.set(instance, left);
      };
    },
    suspect: (instance: string) => void suspectUntil.set(instance, now() + suspectMs),
    trust: (instance: string) => void suspectUntil.delete(instance),
    inFlight: (): Record<string, number> => Object.fromEntries(working),
  };
}

export type Balancer = ReturnType<typeof createBalancer>;

/** Pure: the service of the longest route that the path begins with; null where none does. */
export function routeOf(config: RouterConfig, url: string): string | null {
  const path = url.startsWith('/') ? url : pathOfAbsolute(url);
  return config.routes.find((route) => path.startsWith(route.path))?.service ?? null;
}

/** A client may send the absolute form (RFC 9112 section 3.2.2). */
function pathOfAbsolute(url: string): string {
  try {
    return new URL(url).pathname;
  } catch {
    return '/';
  }
}
