import type { Reason } from '../failure.ts';
import type { HostOutcome } from './outcome.ts';

/** How many hosts of the whole rollout may fail before it is halted. Exceeded when either limit is passed; a null limit is none. */
export interface FailureBudget {
  readonly count: number | null;
  /** Of the hosts that the rollout changes. */
  readonly percent: number | null;
}

/** How many failures the budget still bears among `total` hosts: `Infinity` where it has no limit. */
export function failuresBorne(budget: FailureBudget, total: number): number {
  const byCount = budget.count ?? Infinity;
  // Whole hosts, compared without a division: 10 % of 30 must bear 3.
  const byPercent = budget.percent === null ? Infinity : Math.floor((budget.percent * total) / 100 + 1e-9);
  return Math.min(byCount, byPercent);
}

export const budgetExceeded = (budget: FailureBudget, failed: number, total: number): boolean => failed > failuresBorne(budget, total);

/**
 * Whether a host's end counts against the budget: it was rolled back, is stranded, was never seen on the release, or could not be reached under `fail`.
 * A refusal counts unless the request itself was refused (class `request`): then nothing was tried and nothing is wrong with the host or the release.
 */
export function countsAsFailure(outcome: HostOutcome, reason: Pick<Reason, 'class'> | null): boolean {
  if (outcome === 'refused') return reason?.class !== 'request';
  return outcome === 'rolled_back' || outcome === 'stranded' || outcome === 'not_verified' || outcome === 'offline';
}

/** Why a rollout whose budget is spent goes no further. */
export function budgetReason(budget: FailureBudget, failed: number, total: number): Reason {
  const limits = [...(budget.count === null ? [] : [`${budget.count}`]), ...(budget.percent === null ? [] : [`${budget.percent} %`])];
  return {
    class: 'release',
    code: 'budget_exceeded',
    message: `${failed} of ${total} hosts failed; ${limits.join(' and ')} may.`,
    hint: 'See which and why: fairlead rollout status. Retry tries the failed hosts of this wave again.',
  };
}
