import type { InstanceName, ReleaseId, ServiceName } from '../../src/domain/ids.ts';
import type { ProcessSight, ServiceInspection } from '../../src/domain/service/inspection.ts';
import type { ServiceEvent, ServiceState } from '../../src/domain/service/state.ts';
import { sampleManifest, sampleState } from './host-samples.ts';
import { sampleReason } from './update-samples.ts';

/** One state and one event of each kind, for walking every pair: by the tests, and by the page that shows the machine. */
const service = 'api' as ServiceName;
const release = 'r1' as ReleaseId;

export const sampleServiceStates: { readonly [Phase in ServiceState['phase']]: Extract<ServiceState, { phase: Phase }> } = {
  Gathering: { phase: 'Gathering', service, requests: 1 },
  Queued: { phase: 'Queued', service, requests: 2 },
  Requested: { phase: 'Requested', service },
  Planned: { phase: 'Planned', service, release },
  Changing: { phase: 'Changing', service, release, done: [] },
  Undoing: { phase: 'Undoing', service, release, touched: true, cancelled: false, failedStep: 'prove api-a', reason: sampleReason, undone: [] },
  Succeeded: { phase: 'Succeeded', release, done: ['api-a' as InstanceName] },
  Unchanged: { phase: 'Unchanged', release },
  Refused: { phase: 'Refused', reason: sampleReason },
  RolledBack: { phase: 'RolledBack', release, reason: sampleReason },
  Cancelled: { phase: 'Cancelled', reason: sampleReason },
  Stranded: { phase: 'Stranded', release, failedStep: 'prove api-a', reason: sampleReason, stuckAt: 'prove api-a', stuckReason: sampleReason, undone: [] },
};

export const sampleServiceEvents: { readonly [Type in ServiceEvent['type']]: Extract<ServiceEvent, { type: Type }> } = {
  RequestJoined: { type: 'RequestJoined' },
  GatheringEnded: { type: 'GatheringEnded' },
  HostTaken: { type: 'HostTaken' },
  HostInspected: { type: 'HostInspected', release },
  NothingToDo: { type: 'NothingToDo', release },
  PreconditionFailed: { type: 'PreconditionFailed', reason: sampleReason },
  ChangeBegun: { type: 'ChangeBegun' },
  InstanceDone: { type: 'InstanceDone', instance: 'api-a' as InstanceName },
  ChangeCompleted: { type: 'ChangeCompleted' },
  StepFailed: { type: 'StepFailed', step: 'prove api-a', reason: sampleReason },
  CancelRequested: { type: 'CancelRequested', step: 'prove api-a', reason: sampleReason },
  UndoStepDone: { type: 'UndoStepDone', step: 'admit api-a' },
  UndoStuck: { type: 'UndoStuck', step: 'prove api-a', reason: sampleReason },
  HostRestored: { type: 'HostRestored' },
};

export const running = (status: ProcessSight['status'] = 'active'): ProcessSight => ({ status, releaseId: status === 'active' ? release : null, pid: status === 'active' ? 100 : null, lastExit: null });

/** A host that runs r1 of the sample product: api-a, api-b, web-a; api has a reload signal. */
export function sampleServices(change: Partial<ServiceInspection> = {}): ServiceInspection {
  const state = sampleState();
  const manifest = sampleManifest({ releaseId: release });
  return {
    product: manifest.product,
    state,
    intent: null,
    manifest: { ...manifest, services: manifest.services.map((each) => (each.name === service ? { ...each, reloadSignal: 'SIGUSR2' as const } : each)) },
    processes: Object.fromEntries(Object.keys(state.instances).map((name) => [name, running()])) as ServiceInspection['processes'],
    ...change,
  };
}
