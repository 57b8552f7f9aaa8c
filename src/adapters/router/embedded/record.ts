import { addAttempt, mergeTally, type Attempt, type Tally } from '../figures.ts';

const partMs = 100_000;
const partEntries = 50_000;
/** About 12 MB. What is older is only kept added up. */
const keptEntries = 500_000;
/** Longer than a tier of a canary may be held. */
const keptMs = 30 * 3_600_000;

/** What went through within a span of time. */
interface Part {
  readonly from: number;
  /** Three numbers for each attempt: when it ended, the number of its instance, and its latency (-1: failed, -2: not measured). Null where only the sum is kept. */
  entries: number[] | null;
  /** The sum of all of it, once it is complete and was asked for: whoever asks every few seconds must not keep the router from its requests. */
  tally: Tally | null;
}

/**
 * What went through the router, in the memory of its process: each attempt of the newest 500,000; before those, the sums of parts of at most
 * 100 seconds. A window that begins inside of such a part begins with it.
 */
export function createTrafficRecord(now: () => number) {
  const startedAt = now();
  const known: { readonly service: string; readonly instance: string }[] = [];
  const numbers = new Map<string, number>();
  let parts: Part[] = [];

  function numberOf(service: string, instance: string): number {
    const key = `${service} ${instance}`;
    const number = numbers.get(key) ?? known.push({ service, instance }) - 1;
    numbers.set(key, number);
    return number;
  }

  function openPart(at: number): number[] {
    const last = parts.at(-1);
    if (last?.entries != null && at < last.from + partMs && last.entries.length < partEntries * 3) return last.entries;
    const entries: number[] = [];
    parts = parts.filter(({ from }) => from >= at - keptMs);
    parts.push({ from: at, entries, tally: null });
    let kept = parts.reduce((sum, part) => sum + (part.entries?.length ?? 0), 0);
    for (const part of parts) {
      if (kept <= keptEntries * 3) break;
      kept -= part.entries?.length ?? 0;
      part.tally ??= sumOf(part, 0);
      part.entries = null;
    }
    return entries;
  }

  function sumOf({ entries, tally }: Part, since: number): Tally {
    if (entries === null) return tally ?? {};
    const sum: Tally = {};
    for (let index = 0; index < entries.length; index += 3) {
      if ((entries[index] as number) < since) continue;
      const ms = entries[index + 2] as number;
      const of = known[entries[index + 1] as number];
      if (of !== undefined) addAttempt(sum, { ...of, failed: ms === -1, ms: ms < 0 ? null : ms });
    }
    return sum;
  }

  return {
    add({ service, instance, failed, ms }: Attempt): void {
      const at = now();
      openPart(at).push(at, numberOf(service, instance), failed ? -1 : (ms ?? -2));
    },
    /** Milliseconds since 1970. Null where the router was not there yet, or does not remember so far back. */
    since(instant: number): Tally | null {
      if (instant < startedAt || instant < now() - keptMs) return null;
      const sum: Tally = {};
      parts.forEach((part, index) => {
        const next = parts[index + 1];
        if (next === undefined) mergeTally(sum, sumOf(part, instant));
        else if (part.from >= instant) mergeTally(sum, (part.tally ??= sumOf(part, 0)));
        else if (next.from > instant) mergeTally(sum, sumOf(part, instant));
      });
      return sum;
    },
  };
}

export type TrafficRecord = ReturnType<typeof createTrafficRecord>;
