import type { HostId, InstanceName, ProductName, ReleaseId, ServiceName } from '../../../../src/domain/ids.ts';
import { decideGathering, mergeRestarts } from '../../../../src/domain/service/coalesce.ts';
import type { RestartRequest } from '../../../../src/domain/service/request.ts';

const policy = { quietMs: 2_000, longestMs: 10_000 };

test.each([
  ['one request, just come: it waits for others', [0], 0, 2_000],
  ['one request, a moment before the quiet time is over', [0], 1_999, 2_000],
  ['one request, and nobody else for the quiet time', [0], 2_000, null],
  ['another one starts the quiet time again', [0, 1_500], 2_000, 3_500],
  ['five within two seconds', [0, 400, 800, 1_200, 1_600], 1_600, 3_600],
  ['the quiet time after the last of five', [0, 400, 800, 1_200, 1_600], 3_600, null],
  ['a stream of requests: it begins at the longest time after the first', [0, 1_900, 3_800, 5_700, 7_600, 9_500], 9_500, 10_000],
  ['a stream of requests, at the longest time', [0, 1_900, 3_800, 5_700, 7_600, 9_500], 10_000, null],
  ['times in any order', [1_600, 0, 800], 1_700, 3_600],
  ['a clock that went on while nobody looked', [0], 60_000, null],
])('%s', (_what, askedAt, now, dueAt) => {
  expect(decideGathering(askedAt, now, policy)).toEqual(dueAt === null ? { begin: true } : { begin: false, dueAt });
});

const request = (requestId: string, more: Partial<RestartRequest> = {}): RestartRequest => ({
  action: 'restart',
  host: 'h1' as HostId,
  product: 'shop' as ProductName,
  service: 'api' as ServiceName,
  releaseId: 'r1' as ReleaseId,
  requestedBy: 'ci (admin)',
  requestId,
  ...more,
});
const a = 'api-a' as InstanceName;
const b = 'api-b' as InstanceName;

test('requests for some instances make a restart of those that were named', () => {
  expect(mergeRestarts([request('1', { instances: [b] }), request('2', { instances: [a, b] })])).toMatchObject({ instances: [a, b], requestId: '1' });
});
test('one request for the whole service makes it a restart of all', () => {
  expect(mergeRestarts([request('1', { instances: [b] }), request('2')])).not.toHaveProperty('instances');
});
test('the longest bake time holds; where somebody leaves it to the manifest, the manifest’s', () => {
  expect(mergeRestarts([request('1', { bakeSeconds: 1 }), request('2', { bakeSeconds: 5 })]).bakeSeconds).toBe(5);
  expect(mergeRestarts([request('1', { bakeSeconds: 1 }), request('2')])).not.toHaveProperty('bakeSeconds');
});
test('everybody who asked is named once, and a request that was sent twice counts once', () => {
  const merged = mergeRestarts([request('1'), request('1', { requestedBy: 'nobody' }), request('2', { requestedBy: 'eva (admin)' }), request('3')]);
  expect(merged.requestedBy).toBe('ci (admin), eva (admin)');
});
