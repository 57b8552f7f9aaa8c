import { instancesOnHost, withExtras } from '../../../../src/domain/host/instances.ts';
import type { ExtraInstance } from '../../../../src/domain/host/state.ts';
import type { RunId, ServiceName } from '../../../../src/domain/ids.ts';
import { findInstance } from '../../../../src/domain/product/manifest.ts';
import { sampleManifest } from '../../../support/host-samples.ts';

const extra = (short: string, change: Partial<ExtraInstance> = {}): ExtraInstance => ({ service: 'api' as ServiceName, short, port: 4103, phase: 'installed', addedBy: 'run-1' as RunId, settled: true, ...change });
const names = (extras: readonly ExtraInstance[], phase: 'setup' | 'installed' = 'installed', colour: 'blue' | 'green' = 'blue') => instancesOnHost(sampleManifest(), phase, { extras }, colour).map(({ name, port }) => `${name} ${port}`);

test('without added instances it is what the manifest declares', () => {
  expect(instancesOnHost(sampleManifest(), 'installed', null).map(({ name }) => name)).toEqual(['api-a', 'api-b', 'web-a']);
  expect(withExtras(sampleManifest(), [])).toEqual(sampleManifest());
});
test('an added instance stands behind the declared ones of its service, in its order', () => expect(names([extra('c')])).toEqual(['api-a 4101', 'api-b 4102', 'api-c 4103', 'web-a 4202']));
test('it belongs to the phase that it was added in', () => expect(names([extra('c')], 'setup')).toEqual(['api-setup 4100', 'web-setup 4201']));
test('it has a twin of the other colour', () => expect(names([extra('c')], 'installed', 'green')).toContain('api-c-green 5103'));
test('one that was never proven is not kept', () => expect(names([extra('c', { settled: false })])).not.toContain('api-c 4103'));
test('one whose service the release does not have is left out', () => expect(names([extra('c', { service: 'worker' as ServiceName })])).toHaveLength(3));
test('one that the release declares itself by now is that one', () => expect(names([extra('b', { port: 9 })])).toEqual(['api-a 4101', 'api-b 4102', 'web-a 4202']));
test('whoever looks an instance up finds an added one, proven or not', () => expect(findInstance(withExtras(sampleManifest(), [extra('c', { settled: false })]), 'api-c' as never)).toMatchObject({ port: 4103, service: { drainSeconds: 5 } }));
