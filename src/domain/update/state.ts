import type { Reason } from '../failure.ts';
import type { InstanceName, ReleaseId } from '../ids.ts';
import type { Outcome } from '../run/report.ts';

/**
 * Where an update stands. Each state carries what the next decision needs. `Planned` and `Staged` have changed nothing that serves; from
 * `BackedUp` on a failure has to be rolled back. The last six are final, and each is one outcome.
 */
export type UpdateState =
  | { readonly phase: 'Requested'; readonly target: ReleaseId }
  | { readonly phase: 'Planned'; readonly target: ReleaseId; readonly from: ReleaseId | null }
  | { readonly phase: 'Staged'; readonly target: ReleaseId; readonly from: ReleaseId | null }
  | { readonly phase: 'BackedUp'; readonly target: ReleaseId; readonly from: ReleaseId | null; readonly backupPath: string }
  | { readonly phase: 'Migrated'; readonly target: ReleaseId; readonly from: ReleaseId | null; readonly backupPath: string }
  | {
      readonly phase: 'Activated';
      readonly target: ReleaseId;
      readonly from: ReleaseId | null;
      readonly backupPath: string;
      readonly rolled: readonly InstanceName[];
    }
  | { readonly phase: 'Verified'; readonly target: ReleaseId; readonly from: ReleaseId | null; readonly backupPath: string }
  | {
      readonly phase: 'Undoing';
      readonly target: ReleaseId;
      readonly from: ReleaseId | null;
      readonly backupPath: string | null;
      /** Whether something that serves may have been changed. */
      readonly touched: boolean;
      readonly cancelled: boolean;
      readonly failedStep: string;
      readonly reason: Reason;
      readonly undone: readonly string[];
    }
  | { readonly phase: 'Succeeded'; readonly active: ReleaseId; readonly backupPath: string }
  | { readonly phase: 'Unchanged'; readonly active: ReleaseId }
  | { readonly phase: 'Refused'; readonly reason: Reason }
  | { readonly phase: 'RolledBack'; readonly active: ReleaseId | null; readonly reason: Reason; readonly backupPath: string | null }
  | { readonly phase: 'Cancelled'; readonly active: ReleaseId | null; readonly reason: Reason; readonly backupPath: string | null }
  | {
      readonly phase: 'Stranded';
      readonly target: ReleaseId;
      readonly lastGood: ReleaseId | null;
      readonly backupPath: string | null;
      readonly failedStep: string;
      /** Why the update had to be undone, and why the undo could not be. */
      readonly reason: Reason;
      readonly stuckAt: string;
      readonly stuckReason: Reason;
      readonly undone: readonly string[];
    };

/** What happened. Past facts, told by the workflow after an activity ended. */
export type UpdateEvent =
  | { readonly type: 'HostInspected'; readonly from: ReleaseId | null }
  | { readonly type: 'NothingToDo'; readonly active: ReleaseId }
  | { readonly type: 'PreconditionFailed'; readonly reason: Reason }
  | { readonly type: 'BundleStaged' }
  /** Promotion: the setup phase says that it is complete. */
  | { readonly type: 'SetupConfirmed' }
  | { readonly type: 'BackupTaken'; readonly backupPath: string }
  | { readonly type: 'DataMigrated' }
  | { readonly type: 'ReleaseActivated' }
  /** All requests go to the other set of instances, without another release: a promotion. */
  | { readonly type: 'TrafficShifted' }
  | { readonly type: 'InstanceRolled'; readonly instance: InstanceName }
  | { readonly type: 'HealthProven' }
  | { readonly type: 'ReleaseCommitted' }
  | { readonly type: 'StepFailed'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'CancelRequested'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'UndoStepDone'; readonly step: string }
  | { readonly type: 'UndoStuck'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'HostRestored' };

export class IllegalTransition extends Error {
  constructor(state: UpdateState['phase'], event: UpdateEvent['type']) {
    super(`an update in state ${state} cannot take the event ${event}`);
    this.name = 'IllegalTransition';
  }
}

/** The only way from one state to the next. Throws {@link IllegalTransition} for every pair that is not a line here. */
export function nextUpdateState(state: UpdateState, event: UpdateEvent): UpdateState {
  switch (state.phase) {
    case 'Requested':
      if (event.type === 'HostInspected') return { phase: 'Planned', target: state.target, from: event.from };
      if (event.type === 'NothingToDo') return { phase: 'Unchanged', active: event.active };
      if (event.type === 'PreconditionFailed') return { phase: 'Refused', reason: event.reason };
      // Nothing was begun, so nothing is undone.
      if (event.type === 'StepFailed') return { phase: 'Refused', reason: event.reason };
      if (event.type === 'CancelRequested') return { phase: 'Cancelled', active: null, reason: event.reason, backupPath: null };
      break;
    case 'Planned':
      if (event.type === 'BundleStaged' || event.type === 'SetupConfirmed') return { ...state, phase: 'Staged' };
      if (isEndOfForward(event)) return undoing(state, event, { touched: false, backupPath: null });
      break;
    case 'Staged':
      if (event.type === 'BackupTaken') return { ...state, phase: 'BackedUp', backupPath: event.backupPath };
      if (isEndOfForward(event)) return undoing(state, event, { touched: false, backupPath: null });
      break;
    case 'BackedUp':
      if (event.type === 'DataMigrated') return { ...state, phase: 'Migrated' };
      if (event.type === 'ReleaseActivated' || event.type === 'TrafficShifted') return { ...state, phase: 'Activated', rolled: [] };
      if (isEndOfForward(event)) return undoing(state, event, { touched: true, backupPath: state.backupPath });
      break;
    case 'Migrated':
      if (event.type === 'ReleaseActivated') return { ...state, phase: 'Activated', rolled: [] };
      if (isEndOfForward(event)) return undoing(state, event, { touched: true, backupPath: state.backupPath });
      break;
    case 'Activated':
      if (event.type === 'InstanceRolled') return { ...state, rolled: [...state.rolled, event.instance] };
      if (event.type === 'HealthProven') {
        return { phase: 'Verified', target: state.target, from: state.from, backupPath: state.backupPath };
      }
      if (isEndOfForward(event)) return undoing(state, event, { touched: true, backupPath: state.backupPath });
      break;
    case 'Verified':
      if (event.type === 'ReleaseCommitted') return { phase: 'Succeeded', active: state.target, backupPath: state.backupPath };
      // A cancel comes too late here; a commit that cannot be written is a failure like any other.
      if (event.type === 'StepFailed') return undoing(state, event, { touched: true, backupPath: state.backupPath });
      break;
    case 'Undoing':
      if (event.type === 'UndoStepDone') return { ...state, undone: [...state.undone, event.step] };
      if (event.type === 'HostRestored') return restored(state);
      if (event.type === 'UndoStuck') {
        // What serves was never touched: the host is as it was, and the next run clears what is left of the staging.
        if (!state.touched) return restored(state);
        return {
          phase: 'Stranded',
          target: state.target,
          lastGood: state.from,
          backupPath: state.backupPath,
          failedStep: state.failedStep,
          reason: state.reason,
          stuckAt: event.step,
          stuckReason: event.reason,
          undone: state.undone,
        };
      }
      break;
  }
  throw new IllegalTransition(state.phase, event.type);
}

type EndOfForward = Extract<UpdateEvent, { type: 'StepFailed' | 'CancelRequested' }>;
const isEndOfForward = (event: UpdateEvent): event is EndOfForward => event.type === 'StepFailed' || event.type === 'CancelRequested';

function undoing(
  state: { target: ReleaseId; from: ReleaseId | null },
  event: EndOfForward,
  reached: { touched: boolean; backupPath: string | null },
): UpdateState {
  return {
    phase: 'Undoing',
    target: state.target,
    from: state.from,
    ...reached,
    cancelled: event.type === 'CancelRequested',
    failedStep: event.step,
    reason: event.reason,
    undone: [],
  };
}

function restored(state: Extract<UpdateState, { phase: 'Undoing' }>): UpdateState {
  const end = { active: state.from, reason: state.reason, backupPath: state.backupPath };
  if (state.cancelled) return { phase: 'Cancelled', ...end };
  return state.touched ? { phase: 'RolledBack', ...end } : { phase: 'Refused', reason: state.reason };
}

const outcomes: Partial<Record<UpdateState['phase'], Outcome>> = {
  Succeeded: 'succeeded',
  Unchanged: 'unchanged',
  Refused: 'refused',
  RolledBack: 'rolled_back',
  Cancelled: 'cancelled',
  Stranded: 'stranded',
};

/** The outcome of a final state; undefined while the run is under way. */
export const outcomeOf = (state: UpdateState): Outcome | undefined => outcomes[state.phase];
