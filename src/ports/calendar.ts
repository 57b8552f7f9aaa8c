import type { Window, WindowView } from '../domain/rollout/window.ts';

/** Reads cron expressions in time zones. Pure but for the zone data of the machine, so it is asked in activities and never in a workflow. */
export interface Calendar {
  /** Whether a window is open at `now`, since when and until when. Throws `cron_unusable` or `zone_unknown` (class `request`). */
  windowAt(window: Window, now: string): WindowView;
  /** Throws as `windowAt` does, and `window_never_opens` for an expression without a next date: what the API refuses a request by. */
  check(window: Window, now: string): void;
}
