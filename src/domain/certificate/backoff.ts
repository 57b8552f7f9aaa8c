import type { Reason } from '../failure.ts';
import { fraction } from './renewal.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** The longest rate limit of a public CA is one week; a CA that says more is not believed. */
export const longestWaitMs = 7 * day;
/** What is waited where a CA says something that cannot be meant. */
const insteadOfAbsurdMs = day;
const shortestWaitMs = 1_000;

/** After the first, second, … failure in a row. A dependency that is away costs the CA nothing, so it is asked sooner. */
const schedules = {
  away: [minute, 5 * minute, 15 * minute, hour, 3 * hour, 6 * hour],
  // Public CAs allow five failed validations of a name in an hour.
  failed: [15 * minute, hour, 3 * hour, 6 * hour, 12 * hour, day],
  // A person has to change something; once a day looks whether it was done.
  request: [hour, 6 * hour, day],
} as const;

/** Codes of class `dependency` that say that the CA did not get to do anything. */
const away = new Set(['ca_away', 'ca_unavailable', 'ca_tls_failed', 'certificate_not_delivered', 'certbot_busy']);

/**
 * When the next try may begin: over days, with a tenth of spread, so that neither a CA nor a fleet sees a storm. A CA's own `Retry-After` comes first,
 * and is never shortened; a rate limit may outlast the certificate, and asking earlier would only prolong it.
 * @param failures how many tries failed in a row, at least 1
 * @param seed what spreads hosts: host and certificate
 * @param now milliseconds since the epoch
 * @returns ISO 8601
 */
export function nextTryAt({ failures, reason, seed, now }: { readonly failures: number; readonly reason: Reason; readonly seed: string; readonly now: number }): string {
  const schedule: readonly number[] = schedules[reason.class === 'request' ? 'request' : away.has(reason.code) ? 'away' : 'failed'];
  const step = schedule[Math.min(Math.max(failures, 1), schedule.length) - 1] ?? day;
  const own = now + step * (0.9 + 0.2 * fraction(`${seed}/${failures}`));
  const said = reason.retryAt === undefined ? Number.NaN : Date.parse(reason.retryAt);
  const at = Number.isNaN(said) ? own : Math.max(own, Math.min(said, now + longestWaitMs));
  return new Date(Math.round(at)).toISOString();
}

/**
 * `Retry-After` in either form (RFC 9110, 10.2.3): seconds, or an HTTP date.
 * @param now milliseconds since the epoch
 * @returns how long to wait, in milliseconds, between a second and a week; null where there is none or it cannot be read. More than a week becomes a day.
 */
export function readRetryAfter(header: string | null | undefined, now: number): number | null {
  const text = header?.trim() ?? '';
  if (text === '') return null;
  const isSeconds = /^\d+$/.test(text);
  // The three forms of HTTP-date all begin with a day's name.
  const ms = isSeconds ? Number(text) * 1_000 : /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text) ? Date.parse(text) - now : Number.NaN;
  if (Number.isNaN(ms)) return null;
  if (ms > longestWaitMs) return insteadOfAbsurdMs;
  return Math.max(shortestWaitMs, ms);
}
