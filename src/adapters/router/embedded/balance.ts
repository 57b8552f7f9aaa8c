import type { RouterConfig } from './config.ts';

export type Member = RouterConfig['members'][number];

/** A member that could not be connected to is asked last for this long. */
const suspectMs = 2_000;

/** Which member gets a request, and how many each one works on. Counts go on for members that left the configuration. */
export function createBalancer(now: () => number) {
  const working = new Map<string, number>();
  const suspectUntil = new Map<string, number>();
  let turn = 0;

  return {
    /** The least busy admitted member that was not tried yet, in turn among equals; null where none is left. */
    choose(config: RouterConfig, service: string, tried: ReadonlySet<string>): Member | null {
      const candidates = config.members.filter((member) => member.service === service && member.admitted && !tried.has(member.instance));
      turn += 1;
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
