import type { RunId } from '../ids.ts';

/** So many attempts of one kind that failed in a row make a host `error`; one that succeeded makes it good again. */
export const failuresToError = 5;

/** `contact`: the host tried to be heard. `run`: a run tried to change the host. Each is counted by itself, since a host that is heard well may fail every run. */
export type AttemptKind = 'contact' | 'run';

/** Whether control hears the host, whatever else is known of it. */
export interface Link {
  readonly phase: 'pending' | 'connected' | 'disconnected';
  /** ISO 8601. */
  readonly since: string;
  /** Why the last session ended; null while there is one, or never was. */
  readonly why: string | null;
}

export interface Failures {
  /** In a row, of each kind. */
  readonly contact: number;
  readonly run: number;
  readonly last: { readonly kind: AttemptKind; readonly code: string; readonly message: string; readonly at: string } | null;
  /** The run that was counted last: told twice, it counts once. */
  readonly lastRunId: RunId | null;
}

interface Common {
  /** Since when the host is in this phase; ISO 8601. */
  readonly since: string;
  readonly link: Link;
  readonly failures: Failures;
}

/** What control knows of a host. In `error` and `maintenance` the link goes on beneath. */
export type FleetState =
  /** Enrolled, and never heard. */
  | (Common & { readonly phase: 'pending' })
  | (Common & { readonly phase: 'connected' })
  | (Common & { readonly phase: 'disconnected' })
  /** `failuresToError` attempts of one kind failed in a row: a person should look. */
  | (Common & { readonly phase: 'error' })
  /** A person works on the machine: rollouts and repairs leave it alone, and what fails meanwhile does not count. */
  | (Common & { readonly phase: 'maintenance'; readonly reason: string; readonly by: string; readonly until: string | null });

export type FleetPhase = FleetState['phase'];

/** Every event has its time; ISO 8601. */
export type FleetEvent =
  | { readonly type: 'SessionBegan'; readonly at: string }
  | { readonly type: 'SessionLost'; readonly at: string; readonly why: string }
  | { readonly type: 'AttemptFailed'; readonly at: string; readonly kind: AttemptKind; readonly code: string; readonly message: string; readonly runId: RunId | null }
  | { readonly type: 'AttemptSucceeded'; readonly at: string; readonly kind: AttemptKind; readonly runId: RunId | null }
  /** A second one changes reason and end. */
  | { readonly type: 'MaintenanceBegan'; readonly at: string; readonly reason: string; readonly by: string; readonly until: string | null }
  | { readonly type: 'MaintenanceEnded'; readonly at: string };

export class IllegalFleetTransition extends Error {
  constructor(phase: FleetPhase, event: FleetEvent['type']) {
    super(`a host in state ${phase} cannot take the event ${event}`);
    this.name = 'IllegalFleetTransition';
  }
}

/** A host that was enrolled and was never heard. */
export function enrolledAt(at: string): FleetState {
  return { phase: 'pending', since: at, link: { phase: 'pending', since: at, why: null }, failures: { contact: 0, run: 0, last: null, lastRunId: null } };
}

/** The only way from one state to the next. Throws {@link IllegalFleetTransition} where a session ends that never was, or a maintenance that is none. */
export function nextFleetState(state: FleetState, event: FleetEvent): FleetState {
  const { link, failures } = state;
  switch (event.type) {
    case 'SessionBegan':
      if (link.phase === 'connected') return state;
      return settled({ ...state, link: { phase: 'connected', since: event.at, why: null } }, event.at);
    case 'SessionLost':
      if (link.phase === 'pending') break;
      if (link.phase === 'disconnected') return state;
      return settled({ ...state, link: { phase: 'disconnected', since: event.at, why: event.why } }, event.at);
    case 'AttemptFailed': {
      if (isCounted(failures, event.runId) || state.phase === 'maintenance') return state;
      const { kind, code, message, at, runId } = event;
      return settled({ ...state, failures: { ...failures, [kind]: failures[kind] + 1, last: { kind, code, message, at }, lastRunId: runId ?? failures.lastRunId } }, at);
    }
    case 'AttemptSucceeded':
      if (isCounted(failures, event.runId)) return state;
      return settled({ ...state, failures: { ...failures, [event.kind]: 0, lastRunId: event.runId ?? failures.lastRunId } }, event.at);
    case 'MaintenanceBegan': {
      const { at, reason, by, until } = event;
      return { link, failures, phase: 'maintenance', since: state.phase === 'maintenance' ? state.since : at, reason, by, until };
    }
    case 'MaintenanceEnded':
      if (state.phase !== 'maintenance') break;
      return settled({ phase: link.phase, since: state.since, link, failures }, event.at);
  }
  throw new IllegalFleetTransition(state.phase, event.type);
}

const isCounted = (failures: Failures, runId: RunId | null): boolean => runId !== null && runId === failures.lastRunId;

/** The phase that follows from link and failures. */
function settled(state: FleetState, at: string): FleetState {
  if (state.phase === 'maintenance') return state;
  const { link, failures } = state;
  const phase = failures.contact >= failuresToError || failures.run >= failuresToError ? 'error' : link.phase;
  return { phase, since: phase === state.phase && link.phase === phase ? link.since : phase === state.phase ? state.since : at, link, failures };
}

/** Whether rollouts and repairs leave the host alone at this time. A maintenance whose end has passed is none, also before anybody wrote that down. */
export function isInMaintenance(state: FleetState, at: string): boolean {
  return state.phase === 'maintenance' && (state.until === null || Date.parse(state.until) > Date.parse(at));
}
