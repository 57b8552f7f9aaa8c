import type { InstanceName, ReleaseId } from '../ids.ts';
import type { Phase } from '../product/manifest.ts';

/**
 * The steps of an update, forward and back, as data: the plan lists them, `update plan` prints them, the workflow looks up the
 * executor of each by its name.
 */
export type UpdateStep =
  | { readonly name: 'open-intent' }
  | { readonly name: 'check-setup' }
  | { readonly name: 'download' }
  | { readonly name: 'verify' }
  | { readonly name: 'extract' }
  | { readonly name: 'preflight' }
  | { readonly name: 'backup' }
  | { readonly name: 'arm-recovery' }
  | { readonly name: 'migrate' }
  | { readonly name: 'write-environment' }
  | { readonly name: 'configure' }
  | { readonly name: 'activate' }
  | { readonly name: 'drain'; readonly instance: InstanceName }
  | { readonly name: 'restart'; readonly instance: InstanceName }
  | { readonly name: 'prove'; readonly instance: InstanceName }
  | { readonly name: 'admit'; readonly instance: InstanceName }
  | Shift
  | { readonly name: 'hold'; readonly percent: number; readonly seconds: number; readonly to: readonly InstanceName[]; readonly judged: boolean }
  | { readonly name: 'retire'; readonly instance: InstanceName }
  | { readonly name: 'verify-health' }
  | { readonly name: 'commit' }
  | { readonly name: 'prune' }
  /** In a promotion: over the plain HTTP of the setup phase. */
  | { readonly name: 'obtain-certificate' }
  | { readonly name: 'serve-certificate' }
  | { readonly name: 'commit-certificate' }
  | { readonly name: 'keep-certificate' }
  | { readonly name: 'close-intent' };

/** Lets `percent` of the requests go to `to` and the rest to `from`, in one change of the router. At 100 the others get none. */
export type Shift = {
  readonly name: 'shift';
  readonly percent: number;
  readonly to: readonly InstanceName[];
  readonly from: readonly InstanceName[];
};

export type UndoStep =
  | { readonly name: 'reactivate'; readonly releaseId: ReleaseId }
  | { readonly name: 'deactivate' }
  | { readonly name: 'restore-data' }
  | { readonly name: 'reset-phase'; readonly phase: Phase }
  | Shift
  | { readonly name: 'drain'; readonly instance: InstanceName }
  | { readonly name: 'restart'; readonly instance: InstanceName; readonly releaseId: ReleaseId }
  | { readonly name: 'prove'; readonly instance: InstanceName; readonly releaseId: ReleaseId }
  | { readonly name: 'admit'; readonly instance: InstanceName }
  | { readonly name: 'retire'; readonly instance: InstanceName }
  | { readonly name: 'unconfigure' }
  | { readonly name: 'restore-environment' }
  | { readonly name: 'restore-certificate' }
  | { readonly name: 'verify-health'; readonly releaseId: ReleaseId }
  | { readonly name: 'discard'; readonly condemn: boolean }
  | { readonly name: 'close-intent' };

/** `restart api-a`: how a step is called in reports, events and the Web UI. */
export function stepTitle(step: UpdateStep | UndoStep): string {
  if ('percent' in step) return `${step.name} ${step.percent} %`;
  return 'instance' in step ? `${step.name} ${step.instance}` : step.name;
}

/**
 * Steps back that only tidy up: the host is proven healthy on its last good release before them. One that fails is said in the report, and what it
 * leaves is cleared by the next run; it strands nobody.
 */
export const isTidying = (step: UndoStep): boolean => step.name === 'discard' || step.name === 'close-intent';

/** Steps after which the host serves the new release for good: a cancel that comes later is too late. */
export const isPastReturn = (step: UpdateStep): boolean => step.name === 'commit' || step.name === 'prune' || step.name === 'close-intent';
