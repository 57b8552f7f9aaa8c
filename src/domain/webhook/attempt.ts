/** What came of one attempt to deliver. */
export type AttemptResult =
  | { readonly kind: 'answered'; readonly status: number; /** The header as it came; null where there was none. */ readonly retryAfter: string | null }
  /** Nobody answered, or not in time. */
  | { readonly kind: 'failed'; readonly why: string }
  /** Nobody may be asked there, today and tomorrow. */
  | { readonly kind: 'refused'; readonly why: string };

export type AttemptVerdict =
  | { readonly next: 'delivered' }
  | { readonly next: 'again'; readonly at: string }
  /** `disable`: the receiver has said that it wants nothing more. */
  | { readonly next: 'given_up'; readonly disable: boolean; readonly why: string };

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** How long a delivery is tried, from when it was made. */
export const deliveryLifeMs = 24 * hour;
/** The wait after the first attempt that failed, after the second, and so on; the last one for all that follow. */
export const retryWaitsMs: readonly number[] = [10 * second, 30 * second, 2 * minute, 10 * minute, 30 * minute, hour, 2 * hour, 4 * hour];

/**
 * What follows from an attempt. Whatever 2xx says has arrived; 410 means that the receiver is gone for good (RFC 9110 section 15.5.11); a redirect is not followed and counts as a failure;
 * after anything else it is tried again, also after 4xx, since most of those are mended at the receiver within the day. Pure.
 *
 * @param attempts those made, this one among them @param now milliseconds
 */
export function afterAttempt(result: AttemptResult, { createdAt, attempts }: { readonly createdAt: string; readonly attempts: number }, now: number): AttemptVerdict {
  if (result.kind === 'refused') return { next: 'given_up', disable: false, why: result.why };
  if (result.kind === 'answered' && result.status >= 200 && result.status < 300) return { next: 'delivered' };
  const why = result.kind === 'answered' ? `it answered ${result.status}` : result.why;
  if (result.kind === 'answered' && result.status === 410) return { next: 'given_up', disable: true, why };
  const asked = result.kind === 'answered' ? retryAfterMs(result.retryAfter, now) : 0;
  const at = now + Math.max(retryWaitsMs[Math.min(attempts, retryWaitsMs.length) - 1] ?? 0, asked);
  return at > Date.parse(createdAt) + deliveryLifeMs ? { next: 'given_up', disable: false, why: `${why}, and its 24 hours are over before it may be tried again` } : { next: 'again', at: new Date(at).toISOString() };
}

/** How long the other side wants to be left alone (RFC 9110 section 10.2.3): seconds or a date. 0 where it did not say, or said nothing that can be read. */
export function retryAfterMs(header: string | null, now: number): number {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * second;
  const at = /^[A-Z][a-z]{2,8}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.max(0, at - now);
}
