import type { Reason } from '../failure.ts';
import type { InstanceName, ReleaseId, ServiceName } from '../ids.ts';
import type { Outcome } from '../run/report.ts';

/**
 * Where a run about a service stands. A restart begins by gathering requests and then waits for its turn on the host; until it has that, others may
 * join it. The other runs begin at `Requested`. In `Changing` something that serves may have been touched. The last six are final, each one outcome.
 */
export type ServiceState =
  | { readonly phase: 'Gathering'; readonly service: ServiceName; readonly requests: number }
  | { readonly phase: 'Queued'; readonly service: ServiceName; readonly requests: number }
  | { readonly phase: 'Requested'; readonly service: ServiceName }
  | { readonly phase: 'Planned'; readonly service: ServiceName; readonly release: ReleaseId }
  | { readonly phase: 'Changing'; readonly service: ServiceName; readonly release: ReleaseId; readonly done: readonly InstanceName[] }
  | {
      readonly phase: 'Undoing';
      readonly service: ServiceName;
      readonly release: ReleaseId;
      /** Whether something that serves may have been touched. */
      readonly touched: boolean;
      readonly cancelled: boolean;
      readonly failedStep: string;
      readonly reason: Reason;
      readonly undone: readonly string[];
    }
  | { readonly phase: 'Succeeded'; readonly release: ReleaseId; readonly done: readonly InstanceName[] }
  | { readonly phase: 'Unchanged'; readonly release: ReleaseId }
  | { readonly phase: 'Refused'; readonly reason: Reason }
  | { readonly phase: 'RolledBack'; readonly release: ReleaseId; readonly reason: Reason }
  | { readonly phase: 'Cancelled'; readonly reason: Reason }
  | {
      readonly phase: 'Stranded';
      readonly release: ReleaseId;
      readonly failedStep: string;
      /** Why the change had to be undone, and why the undo could not be. */
      readonly reason: Reason;
      readonly stuckAt: string;
      readonly stuckReason: Reason;
      readonly undone: readonly string[];
    };

/** What happened. Past facts, told by the workflows. */
export type ServiceEvent =
  | { readonly type: 'RequestJoined' }
  | { readonly type: 'GatheringEnded' }
  | { readonly type: 'HostTaken' }
  | { readonly type: 'HostInspected'; readonly release: ReleaseId }
  | { readonly type: 'NothingToDo'; readonly release: ReleaseId }
  | { readonly type: 'PreconditionFailed'; readonly reason: Reason }
  /** The first step that touches what serves has begun. */
  | { readonly type: 'ChangeBegun' }
  | { readonly type: 'InstanceDone'; readonly instance: InstanceName }
  | { readonly type: 'ChangeCompleted' }
  | { readonly type: 'StepFailed'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'CancelRequested'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'UndoStepDone'; readonly step: string }
  | { readonly type: 'UndoStuck'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'HostRestored' };

export class IllegalServiceTransition extends Error {
  constructor(state: ServiceState['phase'], event: ServiceEvent['type']) {
    super(`a service run in state ${state} cannot take the event ${event}`);
    this.name = 'IllegalServiceTransition';
  }
}

/** The only way from one state to the next. Throws {@link IllegalServiceTransition} for every pair that is not a line here. */
export function nextServiceState(state: ServiceState, event: ServiceEvent): ServiceState {
  switch (state.phase) {
    case 'Gathering':
      if (event.type === 'RequestJoined') return { ...state, requests: state.requests + 1 };
      if (event.type === 'GatheringEnded') return { ...state, phase: 'Queued' };
      if (event.type === 'CancelRequested') return { phase: 'Cancelled', reason: event.reason };
      if (event.type === 'StepFailed') return { phase: 'Refused', reason: event.reason };
      break;
    case 'Queued':
      if (event.type === 'RequestJoined') return { ...state, requests: state.requests + 1 };
      if (event.type === 'HostTaken') return { phase: 'Requested', service: state.service };
      // The wait has a limit, and nothing was touched.
      if (event.type === 'PreconditionFailed' || event.type === 'StepFailed') return { phase: 'Refused', reason: event.reason };
      if (event.type === 'CancelRequested') return { phase: 'Cancelled', reason: event.reason };
      break;
    case 'Requested':
      if (event.type === 'HostInspected') return { phase: 'Planned', service: state.service, release: event.release };
      if (event.type === 'NothingToDo') return { phase: 'Unchanged', release: event.release };
      if (event.type === 'PreconditionFailed' || event.type === 'StepFailed') return { phase: 'Refused', reason: event.reason };
      if (event.type === 'CancelRequested') return { phase: 'Cancelled', reason: event.reason };
      break;
    case 'Planned':
      if (event.type === 'ChangeBegun') return { ...state, phase: 'Changing', done: [] };
      if (isEndOfForward(event)) return undoing(state, event, false);
      break;
    case 'Changing':
      if (event.type === 'InstanceDone') return { ...state, done: [...state.done, event.instance] };
      if (event.type === 'ChangeCompleted') return { phase: 'Succeeded', release: state.release, done: state.done };
      if (isEndOfForward(event)) return undoing(state, event, true);
      break;
    case 'Undoing':
      if (event.type === 'UndoStepDone') return { ...state, undone: [...state.undone, event.step] };
      if (event.type === 'HostRestored') return restored(state);
      if (event.type === 'UndoStuck') {
        // What serves was never touched: the host is as it was, and the next run clears what is left.
        if (!state.touched) return restored(state);
        const { release, failedStep, reason, undone } = state;
        return { phase: 'Stranded', release, failedStep, reason, stuckAt: event.step, stuckReason: event.reason, undone };
      }
      break;
  }
  throw new IllegalServiceTransition(state.phase, event.type);
}

type EndOfForward = Extract<ServiceEvent, { type: 'StepFailed' | 'CancelRequested' }>;
const isEndOfForward = (event: ServiceEvent): event is EndOfForward => event.type === 'StepFailed' || event.type === 'CancelRequested';

const undoing = ({ service, release }: { service: ServiceName; release: ReleaseId }, event: EndOfForward, touched: boolean): ServiceState => ({
  phase: 'Undoing',
  service,
  release,
  touched,
  cancelled: event.type === 'CancelRequested',
  failedStep: event.step,
  reason: event.reason,
  undone: [],
});

function restored({ cancelled, touched, release, reason }: Extract<ServiceState, { phase: 'Undoing' }>): ServiceState {
  if (cancelled) return { phase: 'Cancelled', reason };
  return touched ? { phase: 'RolledBack', release, reason } : { phase: 'Refused', reason };
}

const outcomes: Partial<Record<ServiceState['phase'], Outcome>> = {
  Succeeded: 'succeeded',
  Unchanged: 'unchanged',
  Refused: 'refused',
  RolledBack: 'rolled_back',
  Cancelled: 'cancelled',
  Stranded: 'stranded',
};

/** The outcome that a final state is, or null. */
export const serviceOutcomeOf = (state: ServiceState): Outcome | null => outcomes[state.phase] ?? null;
