import { lifetimeMs, type CertificateFacts } from './facts.ts';

/** When the CA would like the certificate to be renewed (RFC 9773, 4.2). ISO 8601. */
export interface RenewalWindow {
  readonly start: string;
  readonly end: string;
  /** A page that says why, as after a mistake of the CA. */
  readonly explanationUrl: string | null;
}

/** What a CA answered to the question for a certificate's renewal information, before anything of it is believed. */
export interface RenewalInformation {
  readonly start: unknown;
  readonly end: unknown;
  readonly explanationUrl?: unknown;
  /** How long it is good for, in milliseconds, from `Retry-After`; null where there was none. */
  readonly retryAfterMs: number | null;
}

export type WindowRefusal = 'ari_malformed' | 'ari_inverted' | 'ari_before_certificate' | 'ari_too_late' | 'ari_too_long';

export interface RenewalPlan {
  /** Renew at this instant or as soon after as possible; ISO 8601. */
  readonly at: string;
  readonly because: 'ari' | 'one_third_left' | 'half_left';
  readonly window: RenewalWindow | null;
  /** Why the CA's window was not followed; null where it was, or where there was none. */
  readonly refused: WindowRefusal | null;
  /** When to ask for the window again; ISO 8601. */
  readonly askAgainAt: string;
}

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** Below this lifetime a certificate is renewed at half of it: a third of a short life leaves too little time for faults. */
export const shortLivedMs = 10 * day;
/** RFC 9773, 4.3.2, asks for limits; these are the ones that it names. */
const askAgainMs = { least: minute, most: day, withoutAnswer: 6 * hour } as const;

/**
 * When to renew. The instant is chosen evenly over the CA's window, but always the same one for a host and a certificate, so that a restart does not
 * move it and a fleet does not come all at once. A window in the past means now; one that cannot be meant is not followed.
 * @param answer what the CA said; null where it has no such service, did not answer, or answered with an error
 * @param now milliseconds since the epoch
 */
export function planRenewal(facts: CertificateFacts, answer: RenewalInformation | null, host: string, now: number): RenewalPlan {
  const fallback = ownSchedule(facts);
  const asked = answer === null ? null : readWindow(answer, facts);
  const askAgainAt = iso(now + (asked === null || 'refused' in asked ? askAgainMs.withoutAnswer : bounded(answer?.retryAfterMs ?? askAgainMs.withoutAnswer)));
  if (asked === null || 'refused' in asked) return { ...fallback, window: null, refused: asked?.refused ?? null, askAgainAt };
  const start = Date.parse(asked.window.start);
  const end = Math.min(Date.parse(asked.window.end), latest(facts));
  const chosen = start + Math.max(0, end - start) * fraction(`${host}/${facts.serial}`);
  return { at: iso(Math.max(chosen, earliest(facts))), because: 'ari', window: asked.window, refused: null, askAgainAt };
}

/** One third of the lifetime left, or half of a short one. */
function ownSchedule(facts: CertificateFacts): Pick<RenewalPlan, 'at' | 'because'> {
  const lifetime = lifetimeMs(facts);
  const isShort = lifetime < shortLivedMs;
  return { at: iso(Date.parse(facts.notAfter) - lifetime / (isShort ? 2 : 3)), because: isShort ? 'half_left' : 'one_third_left' };
}

/** @returns the window, or why it cannot be meant: RFC 9773, 4.2, has an inverted one treated as no answer. */
export function readWindow(answer: RenewalInformation, facts: CertificateFacts): { readonly window: RenewalWindow } | { readonly refused: WindowRefusal } {
  const [start, end] = [instant(answer.start), instant(answer.end)];
  if (start === null || end === null) return { refused: 'ari_malformed' };
  if (end <= start) return { refused: 'ari_inverted' };
  // It would have been over before there was anything to renew; followed, it would have every new certificate renewed at once, for ever.
  if (end <= Date.parse(facts.notBefore)) return { refused: 'ari_before_certificate' };
  if (start > latest(facts)) return { refused: 'ari_too_late' };
  if (end - start > lifetimeMs(facts)) return { refused: 'ari_too_long' };
  const url = answer.explanationUrl;
  return { window: { start: iso(start), end: iso(end), explanationUrl: typeof url === 'string' && /^https:\/\/[\x21-\x7e]{1,500}$/.test(url) ? url : null } };
}

/** The last tenth of the life is for trying again, whatever the CA would like. */
const latest = (facts: CertificateFacts): number => Date.parse(facts.notAfter) - lifetimeMs(facts) / 10;
/** A new certificate is not renewed at once, so that a CA at fault cannot have its clients ask in a circle. */
const earliest = (facts: CertificateFacts): number => Date.parse(facts.notBefore) + Math.min(6 * hour, lifetimeMs(facts) / 10);
const bounded = (ms: number): number => Math.min(askAgainMs.most, Math.max(askAgainMs.least, ms));
const iso = (at: number): string => new Date(Math.round(at)).toISOString();

/** RFC 3339 alone: what Date.parse also takes, as `1` or `May 2026`, is not a time that a CA wrote. */
function instant(value: unknown): number | null {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(value)) return null;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : at;
}

/** A number from 0 to below 1 that a text always gives: FNV-1a, stirred so that texts that differ in one letter lie far apart. */
export function fraction(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
