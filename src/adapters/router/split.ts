import type { TrafficSplit } from '../../ports/router.ts';

/** A cycle of requests: in each, as many go to one side as the percentage says. */
export const cycleLength = 100;

/** A percentage as both routers use it: whole, from 0 to 100. What is more than nothing stays more than nothing, what is less than everything stays less. */
export function wholePercent(percent: number): number {
  if (percent <= 0) return 0;
  if (percent >= 100) return 100;
  return Math.min(99, Math.max(1, Math.round(percent)));
}

/** Pure: the two sides of a split among the admitted members of one service; null where they are all on one side, which is no split. */
export function sidesOf<Member extends { readonly instance: string }>(admitted: readonly Member[], split: TrafficSplit | RouterSplit | null): { readonly to: Member[]; readonly rest: Member[] } | null {
  if (split === null) return null;
  const named = new Set<string>(split.to);
  const to = admitted.filter(({ instance }) => named.has(instance));
  const rest = admitted.filter(({ instance }) => !named.has(instance));
  return to.length === 0 || rest.length === 0 ? null : { to, rest };
}

/** `TrafficSplit` in plain words of JSON. */
export interface RouterSplit {
  readonly to: readonly string[];
  readonly percent: number;
}

/**
 * Pure: whether the request with this number (from 0) of a cycle goes to the side with `percent`. Spread as evenly as can be: of any requests in a row,
 * the side gets its share within one request.
 */
export function isTurnOf(percent: number, number: number): boolean {
  const before = Math.floor((cycleLength / 2 + number * percent) / cycleLength);
  return Math.floor((cycleLength / 2 + (number + 1) * percent) / cycleLength) > before;
}
