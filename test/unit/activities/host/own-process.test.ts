import { createHostActivities } from '../../../../activities/host/index.ts';
import type { FairleadError } from '../../../../src/domain/failure.ts';
import { ownProduct, type HostId, type InstanceName, type ProductName, type ReleaseId, type RunId } from '../../../../src/domain/ids.ts';
import type { Handover } from '../../../../src/ports/handover.ts';
import { eventually } from '../../../support/eventually.ts';
import { activityContext, active, createFakeHost } from '../../../support/fake-host.ts';

const runId = 'run-1' as RunId;
const [a, b, web] = ['api-a', 'api-b', 'web-a'] as InstanceName[] as [InstanceName, InstanceName, InstanceName];
const [r1, r2] = ['r1', 'r2'] as ReleaseId[] as [ReleaseId, ReleaseId];
const selfPid = 4242;

/** The sample product under the name of Fairlead: `web-a`, which has no twin, is this process. */
function setUp({ product = ownProduct as ProductName, acted = false, acting = [] as boolean[] } = {}) {
  const host = createFakeHost({ manifest: { product } });
  host.state = { ...host.state, product };
  host.units.set(web, { ...active('r1'), pid: selfPid });
  const asked: string[] = [];
  const handover: Handover = {
    isSelf: (pid) => pid === selfPid,
    begin: async ({ direction, instance, releaseId }) => void asked.push(`begin ${direction} ${instance} ${releaseId}`),
    arm: async ({ releaseId, restarts }, seconds) => void asked.push(`arm ${releaseId} ${restarts.map(({ instance }) => instance).join('+')} ${seconds}`),
    putOff: async () => void asked.push('put off'),
    isArmed: async () => !acted,
    hasActed: async () => acted,
    isActing: async () => acting.shift() ?? false,
    disarm: async () => {
      asked.push('disarm');
      return acted ? 'acted' : 'disarmed';
    },
    forget: async () => void asked.push('forget'),
    said: async () => ['current -> r1'],
    resume: async () => undefined,
  };
  const { releases, services } = host.dependencies;
  const dependencies = { ...host.dependencies, handover, releases: { ...releases, isComplete: async () => true }, services: { ...services, recoveryCommands: () => ['true'] } };
  const { activities } = createHostActivities(dependencies as typeof host.dependencies);
  const command = (instance: InstanceName, direction: 'do' | 'undo' = 'do') => ({ run: { runId, host: 'h1' as HostId, product, fence: 1 }, direction, instance });
  return { host, asked, activities, command };
}
const failureOf = (promise: Promise<unknown>) => promise.then(() => null, (error: FairleadError) => ({ code: error.reason.code, class: error.reason.class, retryable: error.retryable, evidence: error.evidence }));

describe('the instance that is this process', () => {
  test('is neither stopped nor started: the state names the release, the dead-man is armed, and then a helper is asked', async () => {
    const { host, asked, activities, command } = setUp();
    expect(await activities.restartInstance({ ...command(web), releaseId: r2 }, activityContext())).toEqual({ result: 'restarted' });
    expect(host.changes.filter((change) => /^(stop|start) /.test(change))).toEqual([]);
    expect(asked).toEqual(['put off', 'arm r1 web-a 15', 'begin do web-a r2']);
    expect(host.state.instances[web]).toMatchObject({ releaseId: r2, startedBy: 'run-1:do' });
  });

  test('on the way back as well, where nothing is armed anew', async () => {
    const { host, asked, activities, command } = setUp();
    host.units.set(web, { ...active('r2'), pid: selfPid });
    expect(await activities.restartInstance({ ...command(web, 'undo'), releaseId: r1 }, activityContext())).toEqual({ result: 'restarted' });
    expect(asked).toEqual(['put off', 'begin undo web-a r1']);
  });

  test('cannot prove its successor: the step is tried again, and the helper asked again', async () => {
    const { asked, activities, command } = setUp();
    expect(await failureOf(activities.proveInstance({ ...command(web), releaseId: r2, bakeSeconds: 0 }, activityContext()))).toMatchObject({ code: 'not_replaced', class: 'host', retryable: true });
    expect(asked).toEqual(['put off', 'begin do web-a r2']);
  });

  test('asked again, as the successor that runs the release: nothing is left to do', async () => {
    const { host, asked, activities, command } = setUp();
    host.units.set(web, { ...active('r2'), pid: selfPid });
    await activities.restartInstance({ ...command(web), releaseId: r2 }, activityContext());
    expect(asked.filter((line) => line.startsWith('begin'))).toEqual([]);
    expect(host.changes.filter((change) => /^(stop|start) /.test(change))).toEqual([]);
  });

  test('is not ended for good: nobody would start it again', async () => {
    const { host, activities, command } = setUp();
    expect(await failureOf(activities.stopInstance(command(web), activityContext()))).toMatchObject({ code: 'own_process', class: 'request' });
    expect(await failureOf(activities.retireInstance(command(web), activityContext()))).toMatchObject({ code: 'own_process' });
    expect(host.changes.filter((change) => change.startsWith('stop'))).toEqual([]);
  });
});

test("a control plane's instances are restarted by the agent, with the dead-man knowing of each one before it is stopped", async () => {
  const { host, asked, activities, command } = setUp();
  await activities.restartInstance({ ...command(a), releaseId: r2 }, activityContext());
  await activities.admitInstance(command(a), activityContext());
  await activities.restartInstance({ ...command(b), releaseId: r2 }, activityContext());
  expect(asked.filter((line) => line !== 'put off')).toEqual(['arm r1 api-a 15', 'arm r1 api-a+api-b 15']);
  expect(host.changes.filter((change) => /^(stop|start) /.test(change))).toEqual(['stop api-a', 'start api-a r2', 'stop api-b', 'start api-b r2']);
});

test.each(['restartInstance', 'proveInstance', 'commitRelease', 'admitInstance'] as const)('once the dead-man has acted, %s does nothing more on the way forward, and says what happened', async (name) => {
  const { host, activities, command } = setUp({ acted: true });
  const failure = await failureOf((activities[name] as (input: never, context: never) => Promise<unknown>)({ ...command(a), releaseId: r2, bakeSeconds: 0 } as never, activityContext() as never));
  expect(failure).toMatchObject({ code: 'taken_back', class: 'release', retryable: false, evidence: [expect.objectContaining({ kind: 'command', output: 'current -> r1' })] });
  expect(host.changes).toEqual([]);
});

test('once the dead-man has acted, the way back goes on', async () => {
  const { activities, command } = setUp({ acted: true });
  expect(await activities.restartInstance({ ...command(a, 'undo'), releaseId: r1 }, activityContext())).toEqual({ result: 'not_needed' });
});

/** Guarantee 3. */
test('while the dead-man acts, a command of the way back waits for it; a cancel ends the wait', async () => {
  const acting = [true, true];
  const { host, activities, command } = setUp({ acted: true, acting });
  const told: unknown[] = [];
  const work = activities.restartInstance({ ...command(a, 'undo'), releaseId: r2 }, { ...activityContext(), progress: (what) => void told.push(what) });
  await eventually('it has looked once', () => acting.length === 1);
  expect([acting.length, host.changes]).toEqual([1, []]);
  expect(await work).toEqual({ result: 'restarted' });
  expect(acting).toEqual([]);
  expect(told[0]).toEqual({ what: 'waiting until the dead-man has taken the host back' });

  const cancel = new AbortController();
  const cancelled = setUp({ acted: true, acting: Array(100).fill(true) as boolean[] });
  const waiting = cancelled.activities.restartInstance({ ...cancelled.command(a, 'undo'), releaseId: r2 }, { ...activityContext(), cancel: cancel.signal });
  cancel.abort(new Error('the run was cancelled'));
  await expect(waiting).rejects.toThrow('the run was cancelled');
  expect(cancelled.host.changes).toEqual([]);
});

test('a commit disarms the dead-man before it makes the release the good one', async () => {
  const { host, asked, activities, command } = setUp();
  await activities.commitRelease({ ...command(a), releaseId: r2 }, activityContext());
  expect([asked, host.changes]).toEqual([['put off', 'disarm'], ['state']]);
});

test('of other products nobody is asked, also where an instance has the number of this process', async () => {
  const { host, asked, activities, command } = setUp({ product: 'shop' as ProductName, acted: true });
  await activities.restartInstance({ ...command(web), releaseId: r2 }, activityContext());
  expect([asked, host.changes.filter((change) => /^(stop|start) /.test(change))]).toEqual([[], ['stop web-a', 'start web-a r2']]);
});
