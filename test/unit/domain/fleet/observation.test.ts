import { observedRelease } from '../../../../src/domain/fleet/observation.ts';
import type { InstanceSight, Seen } from '../../../../src/domain/host/drift.ts';
import type { HostState } from '../../../../src/domain/host/state.ts';
import type { ProductName, ReleaseId } from '../../../../src/domain/ids.ts';

const product = 'lab' as ProductName;
const r2 = 'r2' as ReleaseId;
const state = { instances: { 'api-a': {}, 'api-b': {} } } as unknown as HostState;
const manifest = { artifact: { role: 'node' as const, profile: 'node-runtime' } };
const active = (releaseId: string): InstanceSight => ({ status: 'active', releaseId: releaseId as ReleaseId, lastExit: null });
const current = { target: 'releases/r2', releaseId: r2, complete: true };
const seen = (a: InstanceSight, b?: InstanceSight, link: Seen['current'] = current) => ({ current: link, instances: { 'api-a': a, ...(b ? { 'api-b': b } : {}) } as Seen['instances'] });

test.each([
  { name: 'every instance runs what current leads to: told, with the artifact', look: seen(active('r2'), active('r2')), releaseId: 'r2' },
  { name: 'one runs another release: not told', look: seen(active('r2'), active('r1')), releaseId: null },
  { name: 'one is down: not told', look: seen(active('r2'), { status: 'inactive', releaseId: r2, lastExit: null }), releaseId: null },
  { name: 'one could not be asked: not told', look: seen(active('r2'), { status: 'unknown', releaseId: r2, lastExit: null }), releaseId: null },
  { name: 'one was not seen at all: not told', look: seen(active('r2')), releaseId: null },
  { name: 'all run a release that current does not lead to: not told', look: seen(active('r1'), active('r1')), releaseId: null },
  { name: 'the release is not complete on disk: not told', look: seen(active('r2'), active('r2'), { ...current, complete: false }), releaseId: null },
])('$name', ({ look, releaseId }) => {
  expect(observedRelease(product, state, look, manifest)).toEqual({ product, releaseId, artifactRole: 'node', artifactProfile: 'node-runtime' });
});

test('nothing is installed: no release, no artifact; a product without instances is seen by its link', () => {
  expect(observedRelease(product, null, { current: { target: null, releaseId: null, complete: false }, instances: {} }, null)).toEqual({ product, releaseId: null, artifactRole: null, artifactProfile: null });
  expect(observedRelease(product, { instances: {} } as unknown as HostState, { current, instances: {} }, manifest).releaseId).toBe('r2');
});
