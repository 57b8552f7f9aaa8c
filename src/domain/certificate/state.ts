import type { Reason } from '../failure.ts';
import type { Outcome } from '../run/report.ts';

/** The new certificate, once it lies on the host and was checked. */
export interface NewCertificate {
  readonly serial: string;
  readonly notAfter: string;
}

/**
 * Where a run that gets a certificate stands. Up to `Issued` it only talks to the issuer, and what serves is left alone; `Delayed` is the time between two
 * tries. `Taken` has the host's lock; from `Switching` on something that serves may have been touched. The last six are final, each one outcome.
 */
export type CertificateRunState =
  | { readonly phase: 'Requested' }
  | { readonly phase: 'Ordering'; readonly failures: number }
  | { readonly phase: 'Delayed'; readonly failures: number; readonly reason: Reason; readonly until: string }
  | { readonly phase: 'Issued'; readonly issued: NewCertificate }
  | { readonly phase: 'Taken'; readonly issued: NewCertificate }
  | { readonly phase: 'Switching'; readonly issued: NewCertificate }
  | { readonly phase: 'Undoing'; readonly touched: boolean; readonly cancelled: boolean; readonly failedStep: string; readonly reason: Reason; readonly undone: readonly string[] }
  | { readonly phase: 'Succeeded'; readonly issued: NewCertificate }
  | { readonly phase: 'Unchanged' }
  | { readonly phase: 'Refused'; readonly reason: Reason }
  | { readonly phase: 'RolledBack'; readonly reason: Reason }
  | { readonly phase: 'Cancelled'; readonly reason: Reason }
  | { readonly phase: 'Stranded'; readonly failedStep: string; readonly reason: Reason; readonly stuckAt: string; readonly stuckReason: Reason; readonly undone: readonly string[] };

/** What happened. Past facts, told by the workflows. */
export type CertificateRunEvent =
  | { readonly type: 'RenewalDue' }
  | { readonly type: 'NothingDue' }
  | { readonly type: 'PreconditionFailed'; readonly reason: Reason }
  /** A try at the issuer failed, and is to be repeated. */
  | { readonly type: 'TryFailed'; readonly reason: Reason; readonly until: string }
  | { readonly type: 'DelayEnded' }
  | { readonly type: 'CertificateIssued'; readonly issued: NewCertificate }
  | { readonly type: 'HostTaken' }
  /** The first step that touches what serves has begun. */
  | { readonly type: 'SwitchBegun' }
  | { readonly type: 'CertificateCommitted' }
  | { readonly type: 'StepFailed'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'CancelRequested'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'UndoStepDone'; readonly step: string }
  | { readonly type: 'UndoStuck'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'HostRestored' };

export class IllegalCertificateTransition extends Error {
  constructor(phase: string, event: string) {
    super(`a run about a certificate in state ${phase} cannot take the event ${event}`);
    this.name = 'IllegalCertificateTransition';
  }
}

/** The only place where a run about a certificate changes its state. @throws IllegalCertificateTransition for every pair that is not listed */
export function nextCertificateRunState(state: CertificateRunState, event: CertificateRunEvent): CertificateRunState {
  switch (state.phase) {
    case 'Requested':
      if (event.type === 'RenewalDue') return { phase: 'Ordering', failures: 0 };
      if (event.type === 'NothingDue') return { phase: 'Unchanged' };
      if (isEndBeforeSwitch(event)) return ended(event);
      break;
    case 'Ordering':
      if (event.type === 'CertificateIssued') return { phase: 'Issued', issued: event.issued };
      if (event.type === 'TryFailed') return { phase: 'Delayed', failures: state.failures + 1, reason: event.reason, until: event.until };
      if (isEndBeforeSwitch(event)) return ended(event);
      break;
    case 'Delayed':
      if (event.type === 'DelayEnded') return { phase: 'Ordering', failures: state.failures };
      // Somebody else renewed it meanwhile.
      if (event.type === 'NothingDue') return { phase: 'Unchanged' };
      if (isEndBeforeSwitch(event)) return ended(event);
      break;
    case 'Issued':
      if (event.type === 'HostTaken') return { phase: 'Taken', issued: state.issued };
      if (isEndBeforeSwitch(event)) return ended(event);
      break;
    case 'Taken':
      if (event.type === 'SwitchBegun') return { phase: 'Switching', issued: state.issued };
      if (event.type === 'StepFailed' || event.type === 'CancelRequested') return undoing(event, false);
      break;
    case 'Switching':
      if (event.type === 'CertificateCommitted') return { phase: 'Succeeded', issued: state.issued };
      if (event.type === 'StepFailed' || event.type === 'CancelRequested') return undoing(event, true);
      break;
    case 'Undoing':
      if (event.type === 'UndoStepDone') return { ...state, undone: [...state.undone, event.step] };
      if (event.type === 'HostRestored') return restored(state);
      if (event.type === 'UndoStuck') {
        // What serves was never touched: the host is as it was, and the next run clears what is left.
        if (!state.touched) return restored(state);
        const { failedStep, reason, undone } = state;
        return { phase: 'Stranded', failedStep, reason, stuckAt: event.step, stuckReason: event.reason, undone };
      }
      break;
  }
  throw new IllegalCertificateTransition(state.phase, event.type);
}

type EndBeforeSwitch = Extract<CertificateRunEvent, { type: 'PreconditionFailed' | 'StepFailed' | 'CancelRequested' }>;
const isEndBeforeSwitch = (event: CertificateRunEvent): event is EndBeforeSwitch => event.type === 'PreconditionFailed' || event.type === 'StepFailed' || event.type === 'CancelRequested';
const ended = ({ type, reason }: EndBeforeSwitch): CertificateRunState => ({ phase: type === 'CancelRequested' ? 'Cancelled' : 'Refused', reason });

const undoing = ({ type, step, reason }: Extract<EndBeforeSwitch, { step: string }>, touched: boolean): CertificateRunState => ({
  phase: 'Undoing',
  touched,
  cancelled: type === 'CancelRequested',
  failedStep: step,
  reason,
  undone: [],
});

function restored({ cancelled, touched, reason }: Extract<CertificateRunState, { phase: 'Undoing' }>): CertificateRunState {
  if (cancelled) return { phase: 'Cancelled', reason };
  return { phase: touched ? 'RolledBack' : 'Refused', reason };
}

const outcomes: Partial<Record<CertificateRunState['phase'], Outcome>> = {
  Succeeded: 'succeeded',
  Unchanged: 'unchanged',
  Refused: 'refused',
  RolledBack: 'rolled_back',
  Cancelled: 'cancelled',
  Stranded: 'stranded',
};

/** The outcome that a final state is, or null. */
export const certificateOutcomeOf = (state: CertificateRunState): Outcome | null => outcomes[state.phase] ?? null;
