import type { Reason } from '../failure.ts';
import { lifetimeMs, type CertificateFacts } from './facts.ts';
import { shortLivedMs, type RenewalPlan } from './renewal.ts';

/** `waiting`: its renewal is due, and the last try failed. `expiring`: the last of the thresholds that matter was passed. */
export type CertificateState = 'missing' | 'valid' | 'due' | 'waiting' | 'expiring' | 'expired';

export interface LastTry {
  readonly at: string;
  readonly succeeded: boolean;
  readonly reason: Reason | null;
}

/** What `fairlead cert status` shows of one certificate. */
export interface CertificateStatus {
  readonly certificate: string;
  readonly state: CertificateState;
  readonly names: readonly string[];
  readonly issuer: string | null;
  readonly serial: string | null;
  readonly notAfter: string | null;
  /** Whole days, rounded down; negative once it is over. */
  readonly daysLeft: number | null;
  readonly plan: RenewalPlan | null;
  readonly lastTry: LastTry | null;
  readonly nextTryAt: string | null;
}

const day = 24 * 3_600_000;
/** Days before the end at which people are told. */
export const expiryThresholds = [14, 7, 3, 1] as const;
export type ExpiryThreshold = (typeof expiryThresholds)[number];

export function certificateStatus({ certificate, facts, plan, lastTry, nextTryAt, now }: { certificate: string; facts: CertificateFacts | null; plan: RenewalPlan | null; lastTry: LastTry | null; nextTryAt: string | null; now: number }): CertificateStatus {
  if (facts === null) return { certificate, state: 'missing', names: [], issuer: null, serial: null, notAfter: null, daysLeft: null, plan: null, lastTry, nextTryAt };
  const leftMs = Date.parse(facts.notAfter) - now;
  return {
    certificate,
    state: stateOf(facts, plan, lastTry, now),
    names: facts.names,
    issuer: facts.issuer,
    serial: facts.serial,
    notAfter: facts.notAfter,
    daysLeft: Math.floor(leftMs / day),
    plan,
    lastTry,
    nextTryAt,
  };
}

function stateOf(facts: CertificateFacts, plan: RenewalPlan | null, lastTry: LastTry | null, now: number): CertificateState {
  const leftMs = Date.parse(facts.notAfter) - now;
  if (leftMs <= 0) return 'expired';
  const last = Math.min(...thresholdsOf(facts));
  if (leftMs <= (Number.isFinite(last) ? last : 0) * day) return 'expiring';
  if (plan === null || Date.parse(plan.at) > now) return 'valid';
  return lastTry !== null && !lastTry.succeeded ? 'waiting' : 'due';
}

/** The thresholds that mean something for it: those that lie after its renewal should have been done. */
export function thresholdsOf(facts: Pick<CertificateFacts, 'notBefore' | 'notAfter'>): readonly ExpiryThreshold[] {
  const lifetime = lifetimeMs(facts);
  const renewalLeftMs = lifetime / (lifetime < shortLivedMs ? 2 : 3);
  return expiryThresholds.filter((days) => days * day < renewalLeftMs);
}

/**
 * The threshold to tell people of, once: the lowest one that was passed since it was looked at last. `0` is the end itself.
 * @param lastLook milliseconds since the epoch; null where nobody looked yet
 */
export function expiryEvent(facts: Pick<CertificateFacts, 'notBefore' | 'notAfter'>, lastLook: number | null, now: number): ExpiryThreshold | 0 | null {
  const end = Date.parse(facts.notAfter);
  const passed = [...thresholdsOf(facts), 0 as const].filter((days) => end - now <= days * day && (lastLook === null || end - lastLook > days * day));
  return passed.length === 0 ? null : (Math.min(...passed) as ExpiryThreshold | 0);
}
