import type { Intent } from '../../../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { serviceInstances, type ProcessSight } from '../../../../src/domain/service/inspection.ts';
import { running, sampleServices } from '../../../support/service-samples.ts';

const a = 'api-a' as InstanceName;
const intent: Intent = { schema: 1, runId: 'run-1' as RunId, fence: 1, kind: 'restart', product: sampleServices().product, phase: 'installed', fromReleaseId: 'r1' as ReleaseId, toReleaseId: 'r1' as ReleaseId, openedAt: '', backupPath: null, stranded: null };

function statusOf(entry: object, seen: ProcessSight | null, under: Intent | null = intent): string | undefined {
  const state = sampleServices().state!;
  const changed = { ...state, instances: { ...state.instances, [a]: { ...state.instances[a]!, ...entry } } };
  return serviceInstances(changed, under, seen === null ? null : { ...sampleServices().processes, [a]: seen }, null).find(({ name }) => name === a)?.status;
}

test.each([
  ['serves', {}, running(), 'active'],
  ['is out of the router, and not restarted yet', { admitted: false, startedBy: 'run-0:do' }, running(), 'draining'],
  ['is between its stop and its start', { admitted: false, startedBy: 'run-0:do', replaces: { by: 'run-1:do', pid: 100 } }, running('inactive'), 'starting'],
  ['was restarted and is not let in yet', { admitted: false, startedBy: 'run-1:do' }, running(), 'starting'],
  ['was restarted and has died', { admitted: false, startedBy: 'run-1:do' }, running('failed'), 'failed'],
  ['cannot be asked about', {}, running('unknown'), 'unknown'],
  ['is on a host that does not answer', {}, null, 'unknown'],
])('one that %s is shown as such', (_how, entry, seen, status) => expect(statusOf(entry, seen)).toBe(status));

test('one that is out of the router without a run is no drain', () => expect(statusOf({ admitted: false }, running(), null)).toBe('active'));
test('only the service that was asked for is shown', () => expect(serviceInstances(sampleServices().state!, null, null, 'web' as never).map(({ name }) => name)).toEqual(['web-a']));
