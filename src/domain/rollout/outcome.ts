import type { Reason } from '../failure.ts';
import type { Outcome } from '../run/report.ts';

/**
 * How a rollout left one host. `updated` and `unchanged`: observed on the release. `not_verified`: its run succeeded and nobody saw it come back on the
 * release. `offline`: could not be reached, and that counts as a failure; `skipped`: it does not. `returned` and `not_returned`: updated by
 * this rollout, then brought back to where it was, or not.
 */
export const hostOutcomes = ['updated', 'unchanged', 'refused', 'rolled_back', 'stranded', 'not_verified', 'offline', 'skipped', 'cancelled', 'returned', 'not_returned'] as const;
export type HostOutcome = (typeof hostOutcomes)[number];

/**
 * How a rollout ended. `succeeded`: every host in scope was observed on the release. `partial`: it came to its end within its budget, and some hosts are
 * not on the release. `failed`: halted by its budget, its controller or a gate. `rolled_back`: halted, and no host is left on the release by this rollout.
 */
export const rolloutOutcomes = ['succeeded', 'partial', 'failed', 'rolled_back', 'aborted', 'superseded', 'refused'] as const;
export type RolloutOutcome = (typeof rolloutOutcomes)[number];

/** The exit code of a command that followed a rollout to its end: the same numbers as for a run. */
export const rolloutExitCode: Readonly<Record<RolloutOutcome, number>> = { succeeded: 0, partial: 1, failed: 1, rolled_back: 5, aborted: 2, superseded: 2, refused: 3 };

/**
 * A host's end from the outcome of its run.
 * @param observed whether the controller saw the host on the release after the run (asked only where the run says that it is there)
 */
export function hostOutcomeOf(run: Outcome, observed: boolean): HostOutcome {
  if (run === 'succeeded') return observed ? 'updated' : 'not_verified';
  if (run === 'unchanged') return observed ? 'unchanged' : 'not_verified';
  return run;
}

/** Whether a host came back, from the outcome of the run that was to take it to the release it had before. */
export const returnOutcomeOf = (run: Outcome): HostOutcome => (run === 'succeeded' || run === 'unchanged' ? 'returned' : 'not_returned');

/** Hosts by how they ended: what a shard tells its rollout, and all that a rollout holds of them. */
export interface HostCounts {
  readonly updated: number;
  readonly unchanged: number;
  /** Against the budget, those that are stranded among them. */
  readonly failed: number;
  readonly stranded: number;
  /** Not on the release, and no failure: refused by request, skipped, cancelled. */
  readonly left: number;
  /** Of the updated ones: brought back by the rollout, or not although it tried. */
  readonly returned: number;
  readonly notReturned: number;
}

export const noHosts: HostCounts = { updated: 0, unchanged: 0, failed: 0, stranded: 0, left: 0, returned: 0, notReturned: 0 };

export function sumOfCounts(all: readonly HostCounts[]): HostCounts {
  const sum = (of: (counts: HostCounts) => number): number => all.reduce((total, counts) => total + of(counts), 0);
  return {
    updated: sum((counts) => counts.updated),
    unchanged: sum((counts) => counts.unchanged),
    failed: sum((counts) => counts.failed),
    stranded: sum((counts) => counts.stranded),
    left: sum((counts) => counts.left),
    returned: sum((counts) => counts.returned),
    notReturned: sum((counts) => counts.notReturned),
  };
}

/** Hosts of these counts that are on the release now. */
export const onRelease = (counts: HostCounts): number => counts.updated + counts.unchanged - counts.returned - counts.notReturned;

/** How each host ended, one line of the final report. */
export interface HostEnd {
  readonly outcome: HostOutcome;
  readonly reason: Reason | null;
}
