import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../ids.ts';
import type { Evidence, Reason } from '../failure.ts';
import type { Role } from '../product/manifest.ts';
import type { RunKind } from './kind.ts';

/**
 * How a run ended. `unchanged`: there was nothing to do. `refused`: a precondition, nothing was touched. `rolled_back` and `cancelled`:
 * healthy on the last good release. `stranded`: the undo failed as well, and the recovery record says how to go on.
 */
export type Outcome = 'succeeded' | 'unchanged' | 'refused' | 'rolled_back' | 'stranded' | 'cancelled';

export interface StepReport {
  readonly name: string;
  /** `do` on the way forward, `undo` on the way back. */
  readonly direction: 'do' | 'undo';
  readonly instance?: InstanceName;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly attempts: number;
  readonly outcome: 'done' | 'failed' | 'cancelled' | 'skipped';
  readonly reason?: Reason;
  /** What the step found or made, in a few words; never a secret. */
  readonly note?: string;
}

/** What a person or `fairlead recover` needs to bring a host back. */
export interface RecoveryRecord {
  readonly schema: 1;
  readonly runId: RunId;
  readonly host: HostId;
  readonly product: ProductName;
  readonly backupPath: string | null;
  readonly failedStep: string;
  readonly attemptedReleaseId: ReleaseId;
  readonly lastGoodReleaseId: ReleaseId | null;
  /** What `current` resolved to when the record was written; null where the host could not be asked. */
  readonly activeReleaseId: ReleaseId | null;
  readonly undone: readonly string[];
  readonly stuckAt: string;
  readonly reason: Reason;
  readonly instances: readonly { readonly name: InstanceName; readonly status: string; readonly releaseId: ReleaseId | null }[];
  /** What to type on the host, in order. */
  readonly commands: readonly string[];
}

export interface RunReport {
  readonly schema: 1;
  readonly runId: RunId;
  readonly workflowId: string;
  readonly kind: RunKind;
  readonly host: HostId;
  readonly product: ProductName;
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  readonly artifactRole: Role;
  readonly artifactProfile: string;
  readonly requestedBy: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly outcome: Outcome;
  readonly reason: Reason | null;
  readonly steps: readonly StepReport[];
  readonly evidence: readonly Evidence[];
  readonly backupPath: string | null;
  readonly recovery: RecoveryRecord | null;
}

/** What a run waits for, for the status, the Web UI and `why`: never "please wait" alone. */
export interface Waiting {
  readonly for: string;
  readonly since: string;
  readonly until: string | null;
  /** Who or what can end the wait. */
  readonly release: string;
}

/** What a run answers while it is under way (query `progress`). */
export interface RunProgress {
  readonly phase: string;
  readonly step: string | null;
  readonly stepsDone: number;
  readonly stepsPlanned: number;
  readonly direction: 'do' | 'undo';
  readonly waiting: Waiting | null;
  readonly steps: readonly StepReport[];
}

/** The exit code of a command that followed a run to its end. */
export const exitCodeOf: Readonly<Record<Outcome, number>> = {
  succeeded: 0,
  unchanged: 0,
  cancelled: 2,
  refused: 3,
  rolled_back: 5,
  stranded: 6,
};
