import { createInstanceActivities } from '../../../../activities/host/instances.ts';
import type { FairleadError } from '../../../../src/domain/failure.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { activityContext, createFakeHost, type FakeHost } from '../../../support/fake-host.ts';
import { sampleManifest } from '../../../support/host-samples.ts';

const a = 'api-a' as InstanceName;
const b = 'api-b' as InstanceName;
const r1 = 'r1' as ReleaseId;
const r2 = 'r2' as ReleaseId;
const command = (instance: InstanceName, direction: 'do' | 'undo' = 'do') => ({ run: { runId: 'run-1' as RunId, host: 'h1' as HostId, product: 'shop' as ProductName, fence: 1 }, direction, instance });

/** The API service with so many seconds for a drain. */
const withDrain = (drainSeconds: number) => ({ manifest: { services: sampleManifest().services.map((service) => ({ ...service, drainSeconds })) } });

const setUp = (change: Parameters<typeof createFakeHost>[0] = {}): { host: FakeHost; activities: ReturnType<typeof createInstanceActivities> } => {
  const host = createFakeHost(change);
  return { host, activities: createInstanceActivities(host.dependencies) };
};
const failureOf = (promise: Promise<unknown>) => promise.then(() => null, (error: FairleadError) => ({ code: error.reason.code, class: error.reason.class, retryable: error.retryable, text: `${error.reason.message} ${error.reason.hint}` }));

/** Guarantee 3. */
describe('an instance whose twin is down', () => {
  const downs: readonly [string, (host: FakeHost) => void][] = [
    ['has died', (host) => host.units.delete(b)],
    ['has failed', (host) => host.units.set(b, { status: 'failed', releaseId: null, pid: null, lastExit: 'exit 1' })],
    ['cannot be asked about', (host) => host.units.set(b, { status: 'unknown', releaseId: null, pid: null, lastExit: null })],
    ['is out of the router', (host) => (host.state = { ...host.state, instances: { ...host.state.instances, [b]: { ...host.state.instances[b]!, admitted: false } } })],
  ];

  test.each(downs)('is not drained (its twin %s): it goes on serving, and it is tried again', async (_how, down) => {
    const { host, activities } = setUp();
    down(host);
    expect(await failureOf(activities.drainInstance(command(a), activityContext()))).toMatchObject({ code: 'twin_down', class: 'host', retryable: true, text: expect.stringMatching(/api-a is the only.*api-b.*fairlead service restart api --host/) });
    expect(host.changes).toEqual([]);
  });

  test.each(downs)('is not restarted (its twin %s)', async (_how, down) => {
    const { host, activities } = setUp();
    down(host);
    expect(await failureOf(activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext()))).toMatchObject({ code: 'twin_down' });
    expect(host.changes).toEqual([]);
  });

  test('is started when it is dead itself: it cannot be missed', async () => {
    const { host, activities } = setUp();
    host.units.clear();
    expect(await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext())).toEqual({ result: 'restarted' });
    expect(host.changes.filter((change) => change.startsWith('st') && change !== 'state')).toEqual(['start api-a r2']);
  });

  test('is taken away all the same where it never had one', async () => {
    const { host, activities } = setUp();
    expect(await activities.drainInstance(command('web-a' as InstanceName), activityContext())).toMatchObject({ drained: true });
    expect(host.state.instances['web-a' as InstanceName]?.admitted).toBe(false);
  });
});

describe('a restart', () => {
  test('names the new release in the state before the old process is stopped, and who started it after', async () => {
    const { host, activities } = setUp();
    const stop = host.dependencies.services.stop;
    let during: unknown;
    (host.dependencies.services as { stop: typeof stop }).stop = (...given) => {
      during = host.state.instances[a];
      return stop(...given);
    };
    expect(await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext())).toEqual({ result: 'restarted' });
    expect(host.changes).toEqual(['state', 'stop api-a', 'start api-a r2', 'state']);
    expect(during).toMatchObject({ releaseId: r2, admitted: false, startedBy: null });
    expect(host.state.instances[a]).toMatchObject({ releaseId: r2, startedBy: 'run-1:do' });
  });

  test('is done once in a direction: asked again it does nothing, also when the instance has died since', async () => {
    const { host, activities } = setUp();
    await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext());
    host.changes.length = 0;
    expect(await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext())).toEqual({ result: 'not_needed' });
    host.units.delete(a);
    expect(await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext())).toEqual({ result: 'not_needed' });
    expect(host.changes).toEqual([]);
  });

  test('is done once more on the way back, and once', async () => {
    const { host, activities } = setUp();
    await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext());
    host.changes.length = 0;
    for (const result of ['restarted', 'not_needed']) expect(await activities.restartInstance({ ...command(a, 'undo'), releaseId: r1 }, activityContext())).toEqual({ result });
    expect(host.changes.filter((change) => change !== 'state')).toEqual(['stop api-a', 'start api-a r1']);
  });

  test('after a crash between start and note, the running one is found and noted, not started again', async () => {
    const { host, activities } = setUp();
    host.units.set(a, { status: 'active', releaseId: r2, pid: 200, lastExit: null });
    expect(await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext())).toEqual({ result: 'not_needed' });
    expect(host.changes.filter((change) => change !== 'state')).toEqual([]);
    expect(host.state.instances[a]?.startedBy).toBe('run-1:do');
  });

  test('a manager that cannot be asked is no manager that says no: nothing is done, and it is tried again', async () => {
    const { host, activities } = setUp();
    host.units.set(a, { status: 'unknown', releaseId: null, pid: null, lastExit: null });
    expect(await failureOf(activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext()))).toMatchObject({ code: 'service_manager_unreachable', retryable: true });
    expect(host.changes).toEqual([]);
  });
});

describe('a drain', () => {
  test('takes the instance out of the router first, and ends with its last request', async () => {
    const { host, activities } = setUp();
    host.inFlight = 2;
    const context = activityContext();
    const draining = activities.drainInstance(command(a), context);
    while (context.told.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(host.changes).toEqual(['state', 'router api-b web-a']);
    host.inFlight = 0;
    expect(await draining).toMatchObject({ drained: true });
    expect(context.told).toContainEqual({ what: 'requests in flight', done: 2, total: 0 });
  });

  test('has a bound: a request that outlives it is said, and is no failure', async () => {
    const { host, activities } = setUp(withDrain(0.2));
    host.inFlight = 1;
    const { drained, waitedMs } = await activities.drainInstance(command(a), activityContext());
    expect(drained).toBe(false);
    expect(waitedMs).toBeGreaterThanOrEqual(200);
    expect(waitedMs).toBeLessThan(2_000);
    expect(host.state.instances[a]?.admitted).toBe(false);
  });

  test('does not wait where the router cannot tell, and does not say that it drained', async () => {
    const { host, activities } = setUp();
    host.inFlight = null;
    expect(await activities.drainInstance(command(a), activityContext())).toMatchObject({ drained: false });
  });

  test('ends at once when the run is cancelled', async () => {
    const { host, activities } = setUp();
    host.inFlight = 1;
    const cancel = new AbortController();
    const context = activityContext(cancel.signal);
    const draining = activities.drainInstance(command(a), context);
    while (context.told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    cancel.abort(new Error('the run was cancelled'));
    await expect(draining).rejects.toThrow('the run was cancelled');
  });

  test('of an instance that the host does not have is done', async () => {
    const { host, activities } = setUp();
    expect(await activities.drainInstance(command('api-z' as InstanceName), activityContext())).toEqual({ drained: true, waitedMs: 0 });
    expect(host.changes).toEqual([]);
  });
});
