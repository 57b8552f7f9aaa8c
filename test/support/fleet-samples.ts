import { enrolledAt, failuresToError, nextFleetState, type FleetEvent, type FleetPhase, type FleetState } from '../../src/domain/fleet/host-state.ts';
import type { RunId } from '../../src/domain/ids.ts';

const at = '2026-11-21T10:00:00.000Z';

export const sampleFleetEvents: { readonly [Type in FleetEvent['type']]: Extract<FleetEvent, { type: Type }> } = {
  SessionBegan: { type: 'SessionBegan', at },
  SessionLost: { type: 'SessionLost', at, why: 'lost' },
  AttemptFailed: { type: 'AttemptFailed', at, kind: 'run', code: 'no_space', message: 'no room', runId: null },
  AttemptSucceeded: { type: 'AttemptSucceeded', at, kind: 'run', runId: 'run-9' as RunId },
  MaintenanceBegan: { type: 'MaintenanceBegan', at, reason: 'new disks', by: 'ann (admin)', until: null },
  MaintenanceEnded: { type: 'MaintenanceEnded', at },
};

const { SessionBegan, SessionLost, AttemptFailed, MaintenanceBegan } = sampleFleetEvents;
const pending = enrolledAt('2026-11-21T09:00:00.000Z');
const connected = nextFleetState(pending, SessionBegan);
const disconnected = nextFleetState(connected, SessionLost);

export const after = (state: FleetState, ...events: readonly FleetEvent[]): FleetState => events.reduce(nextFleetState, state);
export const failures = (count: number, more: Partial<typeof AttemptFailed> = {}): FleetEvent[] => Array.from({ length: count }, () => ({ ...AttemptFailed, ...more }));

export const sampleFleetStates: { readonly [Phase in FleetPhase]: FleetState } = {
  pending,
  connected,
  disconnected,
  error: after(connected, ...failures(failuresToError)),
  maintenance: after(connected, MaintenanceBegan),
};

/** States whose next one depends on what lies beneath: each is a row of its own. */
export const fleetVariants: readonly (readonly [string, FleetState])[] = [
  ['pending', pending],
  ['connected', connected],
  ['connected, four failures', after(connected, ...failures(failuresToError - 1))],
  ['disconnected', disconnected],
  ['error, connected beneath', sampleFleetStates.error],
  ['error, disconnected beneath', after(disconnected, ...failures(failuresToError))],
  ['maintenance, connected beneath', sampleFleetStates.maintenance],
  ['maintenance, disconnected beneath', after(disconnected, MaintenanceBegan)],
  ['maintenance, error before', after(sampleFleetStates.error, MaintenanceBegan)],
];
