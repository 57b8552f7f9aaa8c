import { reached } from './instant.ts';

/** When waves may run: opens by a cron expression in a zone, and stays open for a duration that really passes (not one on the clock on the wall). */
export interface Window {
  /** Five fields: minute, hour, day of month, month, day of week. */
  readonly cron: string;
  /** IANA name of the zone in which the expression is read, for example `Europe/Berlin`. */
  readonly zone: string;
  readonly durationSeconds: number;
}

/** What a calendar says of a window at an instant. */
export interface WindowView {
  readonly open: boolean;
  /** When the state began; null where it was never open before. */
  readonly since: string | null;
  /** When it ends: the closing of an open window, the next opening of a closed one. Null: never. */
  readonly until: string | null;
  /** The next opening that is still to come, also while the window is open. */
  readonly nextOpen: string | null;
}

/**
 * What holds at `now`, from the openings around it. Openings that come before the one before them has closed make one longer window.
 * @param openings instants in ascending order: at least every one in `durationSeconds` before `now`, and those after it up to the first gap
 */
export function viewOfWindow(openings: readonly string[], durationSeconds: number, now: string): WindowView {
  const at = Date.parse(now);
  const spans: { from: number; to: number }[] = [];
  for (const opening of openings) {
    const from = Date.parse(opening);
    const last = spans.at(-1);
    if (last && from <= last.to) last.to = from + durationSeconds * 1000;
    else spans.push({ from, to: from + durationSeconds * 1000 });
  }
  const current = spans.find(({ from, to }) => from <= at && at < to);
  const closed = spans.filter(({ to }) => to <= at).at(-1);
  const next = spans.find(({ from }) => from > at);
  const nextOpen = next ? text(next.from) : null;
  if (current) return { open: true, since: text(current.from), until: text(current.to), nextOpen };
  return { open: false, since: closed ? text(closed.to) : null, until: nextOpen, nextOpen };
}

/** What a rollout remembers of the window of its wave: asked again when `until` is reached. */
export interface WindowStanding {
  readonly open: boolean;
  readonly since: string;
  readonly until: string | null;
}

/** Whether waves may run by this standing. One that was never asked, or whose time is over, is closed until it was asked. */
export const windowOpen = (standing: WindowStanding | null, now: string): boolean => standing !== null && standing.open && !reached(now, standing.until);

/** Whether the calendar has to be asked (again). */
export const windowDue = (standing: WindowStanding | null, now: string): boolean => standing === null || reached(now, standing.until);

const text = (ms: number): string => new Date(ms).toISOString();
