import { createInstanceActivities } from '../../../../activities/host/instances.ts';
import type { FairleadError } from '../../../../src/domain/failure.ts';
import type { HostState } from '../../../../src/domain/host/state.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { activityContext, createFakeHost, type FakeHost } from '../../../support/fake-host.ts';

/** A restart for its own sake: the release is the same before and after, so that it cannot tell how far a command was that has to be repeated. */
const a = 'api-a' as InstanceName;
const b = 'api-b' as InstanceName;
const r1 = 'r1' as ReleaseId;
const command = (direction: 'do' | 'undo' = 'do', runId = 'run-1') => ({ run: { runId: runId as RunId, host: 'h1' as HostId, product: 'shop' as ProductName, fence: 1 }, direction, instance: a });
const again = (direction: 'do' | 'undo' = 'do') => ({ ...command(direction), releaseId: r1, again: true });

/** The fake host, with a process id of its own for every start. */
function setUp(): { host: FakeHost; activities: ReturnType<typeof createInstanceActivities>; moves: () => string[] } {
  const host = createFakeHost();
  const { services } = host.dependencies;
  const start = services.start;
  let pid = 100;
  (services as { start: typeof start }).start = async (spec) => {
    const result = await start(spec);
    if (result === 'started') host.units.set(spec.instance, { status: 'active', releaseId: spec.releaseId, pid: (pid += 1), lastExit: null });
    return result;
  };
  return { host, activities: createInstanceActivities(host.dependencies), moves: () => host.changes.filter((change) => change.startsWith('st') && change !== 'state') };
}

/** Throws at the `nth` change of this kind, after it was made, as a process that dies there. */
function dieAfter(host: FakeHost, what: 'stop' | 'start' | 'writeState', nth = 1): void {
  const port = (what === 'writeState' ? host.dependencies.store : host.dependencies.services) as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
  const real = port[what] as (...given: unknown[]) => Promise<unknown>;
  let count = 0;
  port[what] = async (...given) => {
    const result = await real(...given);
    count += 1;
    if (count === nth) throw new Error('died here');
    return result;
  };
}

test('replaces a process that runs the release already, and notes which one before it is stopped', async () => {
  const { host, activities, moves } = setUp();
  const stop = host.dependencies.services.stop;
  let during: HostState['instances'][InstanceName] | undefined;
  (host.dependencies.services as { stop: typeof stop }).stop = (...given) => {
    during = host.state.instances[a];
    return stop(...given);
  };
  expect(await activities.restartInstance(again(), activityContext())).toEqual({ result: 'restarted' });
  expect(moves()).toEqual(['stop api-a', 'start api-a r1']);
  expect(during).toMatchObject({ admitted: false, replaces: { by: 'run-1:do', pid: 100 } });
  expect(host.state.instances[a]).toMatchObject({ startedBy: 'run-1:do', replaces: null });
});

test('without it the release decides, as before: what runs it is left alone', async () => {
  const { activities, moves } = setUp();
  expect(await activities.restartInstance({ ...command(), releaseId: r1 }, activityContext())).toEqual({ result: 'not_needed' });
  expect(moves()).toEqual([]);
});

test.each([
  ['after the note', 'writeState', 1],
  ['after the stop', 'stop', 1],
  ['after the start, before anybody noted it', 'start', 1],
  ['after the last note, before anybody heard of it', 'writeState', 2],
] as const)('an agent that dies %s has replaced the process once when the command is repeated', async (_when, what, nth) => {
  const { host, activities, moves } = setUp();
  dieAfter(host, what, nth);
  await expect(activities.restartInstance(again(), activityContext())).rejects.toThrow('died here');
  await activities.restartInstance(again(), activityContext());
  await activities.restartInstance(again(), activityContext());
  expect(moves()).toEqual(['stop api-a', 'start api-a r1']);
  expect(host.units.get(a)?.pid).toBe(101);
  expect(host.state.instances[a]).toMatchObject({ startedBy: 'run-1:do' });
});

test('is done once in each direction', async () => {
  const { activities, moves } = setUp();
  for (const direction of ['do', 'do', 'undo', 'undo'] as const) await activities.restartInstance(again(direction), activityContext());
  expect(moves()).toEqual(['stop api-a', 'start api-a r1', 'stop api-a', 'start api-a r1']);
});

test('what an earlier run had noted means nothing to this one', async () => {
  const { host, activities, moves } = setUp();
  host.state = { ...host.state, instances: { ...host.state.instances, [a]: { ...host.state.instances[a]!, replaces: { by: 'run-0:do', pid: 7 } } } };
  await activities.restartInstance(again(), activityContext());
  expect(moves()).toEqual(['stop api-a', 'start api-a r1']);
});

test('a dead one is started, and nothing is stopped', async () => {
  const { host, activities, moves } = setUp();
  host.units.delete(a);
  expect(await activities.restartInstance(again(), activityContext())).toEqual({ result: 'restarted' });
  expect(moves()).toEqual(['start api-a r1']);
});

test('is not done while the twin is down', async () => {
  const { host, activities, moves } = setUp();
  host.units.delete(b);
  expect(await activities.restartInstance(again(), activityContext()).catch((error: FairleadError) => error.reason.code)).toBe('twin_down');
  expect(moves()).toEqual([]);
});

describe('a stop of its own, after a drain that went past its bound', () => {
  test('is followed by a start: the process is replaced once', async () => {
    const { activities, moves } = setUp();
    expect(await activities.stopInstance(command(), activityContext())).toEqual({ result: 'stopped' });
    expect(await activities.restartInstance(again(), activityContext())).toEqual({ result: 'restarted' });
    expect(moves()).toEqual(['stop api-a', 'start api-a r1']);
  });
  test('that is repeated late does not stop what was started since', async () => {
    const { activities, moves } = setUp();
    await activities.stopInstance(command(), activityContext());
    await activities.restartInstance(again(), activityContext());
    expect(await activities.stopInstance(command(), activityContext())).toEqual({ result: 'not_running' });
    expect(moves()).toEqual(['stop api-a', 'start api-a r1']);
  });
  test('that was repeated after the start, which nobody noted, leaves the new process', async () => {
    const { host, activities, moves } = setUp();
    await activities.stopInstance(command(), activityContext());
    dieAfter(host, 'start');
    await activities.restartInstance(again(), activityContext()).catch(() => undefined);
    expect(await activities.stopInstance(command(), activityContext())).toEqual({ result: 'not_running' });
    expect(moves()).toEqual(['stop api-a', 'start api-a r1']);
  });
});
