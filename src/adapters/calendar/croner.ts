import { Cron } from 'croner';
import { FairleadError } from '../../domain/failure.ts';
import { viewOfWindow, type Window } from '../../domain/rollout/window.ts';
import type { Calendar } from '../../ports/calendar.ts';

/**
 * The most openings that are looked at on each side of an instant. One that opens every minute and stays open for longer never closes: its end is told as
 * the end of what was looked at, and asked again then.
 */
const mostOpenings = 750;

/**
 * Calendar over croner (five fields, and names such as MON). Where the clock goes forward, a single time that does not exist opens at the first instant after the gap; where
 * it goes back, a single time that occurs twice opens once, at the first; expressions with steps, lists or ranges of hours open at every instant that they name
 * (crond's rule, which croner follows). A window stays open for the seconds that it says, across both changes.
 */
export function createCronerCalendar(): Calendar {
  return {
    windowAt(window, now) {
      const cron = cronOf(window);
      const at = Date.parse(now);
      const durationMs = window.durationSeconds * 1000;
      const openings: number[] = [];
      // Back to the beginning of what is open now, or of what was open last: one opening may begin before the one before it has closed.
      for (let before = at + 1000; openings.length < mostOpenings; ) {
        const [opening] = cron.previousRuns(1, new Date(before));
        if (!opening || (openings.length > 0 && opening.getTime() + durationMs < before)) break;
        before = opening.getTime();
        if (before <= at) openings.unshift(before);
      }
      // Onwards to the first opening after a gap.
      for (let last = openings.at(-1) ?? -Infinity, from = at, looked = 0; looked < mostOpenings; looked += 1) {
        const opening = cron.nextRun(new Date(from));
        if (opening === null) break;
        from = opening.getTime();
        openings.push(from);
        if (from > last + durationMs) break;
        last = from;
      }
      return viewOfWindow(openings.map((opening) => new Date(opening).toISOString()), window.durationSeconds, now);
    },
    check(window, now) {
      if (cronOf(window).nextRun(new Date(now)) === null) {
        throw refusal('window_never_opens', `The window ${JSON.stringify(window.cron)} in ${window.zone} has no date on which it opens.`, 'Look at its day and its month: the 30th of February never comes.');
      }
    },
  };
}

function cronOf({ cron, zone }: Window): Cron {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
  } catch (cause) {
    throw refusal('zone_unknown', `${JSON.stringify(zone)} is no time zone that this machine knows.`, 'Give an IANA name, for example Europe/Berlin or UTC.', cause);
  }
  // Offsets such as +02:00 are zones for Intl, but have no changes of the clock: whoever writes one for a place is wrong half of the year.
  if (/^[+-]/.test(zone) || zone === '') throw refusal('zone_unknown', `${JSON.stringify(zone)} is an offset and no IANA time zone.`, 'Give the name of the place, for example Europe/Berlin.');
  try {
    // Paused: nothing is ever scheduled here.
    return new Cron(cron, { timezone: zone, paused: true, mode: '5-part' });
  } catch (cause) {
    throw refusal('cron_unusable', `${JSON.stringify(cron)} is no cron expression: ${cause instanceof Error ? cause.message : String(cause)}`, 'Five fields: minute, hour, day of month, month, day of week; for example "0 2 * * SAT".', cause);
  }
}

const refusal = (code: string, message: string, hint: string, cause?: unknown): FairleadError => new FairleadError({ class: 'request', code, message, hint }, { cause });
