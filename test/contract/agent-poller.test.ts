import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection, WorkflowHandle } from '@temporalio/client';
import { createActivityPoller, type PollerOptions } from '../../src/adapters/temporal/activity-poller.ts';
import { createInFlightJournal } from '../../src/adapters/temporal/in-flight.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import { eventually } from '../support/eventually.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';
import type { OneCall } from '../support/workflows/index.ts';

const workflowQueue = 'test-workflows';

/** The agent's poller against a real Temporal server: what the server sees, and what a run gets. */
describe('the poller of a host', () => {
  let temporal: TestTemporal;
  let journal: string;
  let taskQueue: string;
  const stops: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    temporal = await startTemporal(workflowQueue);
  }, 120_000);
  afterAll(() => temporal?.end(), 60_000);
  beforeEach(async () => {
    taskQueue = `host:${randomUUID()}`;
    journal = await fs.mkdtemp(join(tmpdir(), 'fairlead-journal-'));
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
    await fs.rm(journal, { recursive: true, force: true });
  }, 30_000);

  type Activities = Record<string, (input: unknown, context: ActivityContext) => Promise<unknown>>;

  async function startPoller(activities: Activities, more: Partial<PollerOptions> = {}) {
    const { connection, calls } = counting(temporal.connect());
    const log: string[] = [];
    const line = (_fields: object, message: string) => void log.push(message);
    const poller = createActivityPoller({
      connection,
      namespace: 'default',
      taskQueue,
      identity: 'agent@test#0',
      activities: activities as PollerOptions['activities'],
      maxConcurrent: 4,
      inFlight: createInFlightJournal(journal),
      logger: { info: line, warn: line, error: line },
      ...more,
    });
    stops.push(() => poller.stop(0));
    await poller.start();
    return { poller, calls, log };
  }

  const start = (call: Omit<OneCall, 'taskQueue'>): Promise<WorkflowHandle> =>
    temporal.client.workflow.start('callOne', { workflowId: randomUUID(), taskQueue: workflowQueue, args: [{ taskQueue, ...call }] });

  async function pendingOf(handle: WorkflowHandle) {
    return (await handle.describe()).raw.pendingActivities?.[0];
  }

  /** What the last attempt of the run's activity failed with. */
  async function failureOf(handle: WorkflowHandle): Promise<{ type: string; message: string }> {
    const error = await handle.result().then(
      () => null,
      (thrown: unknown) => thrown as Error,
    );
    let at: unknown = error;
    while (at instanceof Error && at.cause) at = at.cause;
    return { type: (at as { type?: string }).type ?? '', message: (at as Error).message };
  }

  /** An activity that waits until it is let go. */
  function held() {
    let release!: (value: unknown) => void;
    const until = new Promise((resolve) => (release = resolve));
    const begun: number[] = [];
    const aborted: string[] = [];
    return {
      begun,
      aborted,
      release,
      activity: (_input: unknown, { attempt, cancel }: ActivityContext) => {
        begun.push(attempt);
        return new Promise((resolve, reject) => {
          void until.then(resolve);
          cancel.addEventListener('abort', () => {
            aborted.push(String((cancel.reason as Error).message));
            reject(cancel.reason as Error);
          });
        });
      },
    };
  }

  test('a result and its attempt come back; an empty one is null', async () => {
    await startPoller({ double: async (input) => Number(input) * 2, nothing: async () => undefined });
    expect(await (await start({ activity: 'double', input: 21 })).result()).toEqual({ value: 42, attempt: 1 });
    expect(await (await start({ activity: 'nothing' })).result()).toEqual({ value: null, attempt: 1 });
  });

  test('one poll is open at a time, however much work there is; never more at once than allowed', async () => {
    let now = 0;
    let most = 0;
    const { calls } = await startPoller(
      {
        work: async (input) => {
          now += 1;
          most = Math.max(most, now);
          // Held until three are at work: how fast polls follow each other is no matter here.
          await eventually('three are at work', () => most >= 3);
          await new Promise((resolve) => setTimeout(resolve, 30));
          now -= 1;
          return input;
        },
      },
      { maxConcurrent: 3 },
    );
    const result = await temporal.client.workflow.execute('callMany', { workflowId: randomUUID(), taskQueue: workflowQueue, args: [{ taskQueue, activity: 'work', count: 20 }] });
    expect((result as { value: number }[]).map(({ value }) => value)).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(most).toBe(3);
    expect(calls.get('pollActivityTaskQueue')).toMatchObject({ most: 1 });
    expect(calls.get('pollActivityTaskQueue')?.total).toBeGreaterThanOrEqual(20);
  });

  test('what an activity tells of its progress reaches the server with a heartbeat', async () => {
    const { begun, release, activity } = held();
    await startPoller({
      work: (input, context) => {
        context.progress({ done: 7, total: 9 });
        return activity(input, context);
      },
    });
    const handle = await start({ activity: 'work', heartbeatMs: 3_000 });
    const details = await eventually('the details stand in the pending activity', async () => (await pendingOf(handle))?.heartbeatDetails?.payloads?.[0]?.data);
    expect(JSON.parse(Buffer.from(details).toString('utf8'))).toEqual({ done: 7, total: 9 });
    expect(begun).toEqual([1]);
    release('done');
    expect(await handle.result()).toEqual({ value: 'done', attempt: 1 });
  });

  test('an activity that takes longer than its heartbeat limit is kept alive by heartbeats alone', async () => {
    await startPoller({ work: () => new Promise((resolve) => setTimeout(() => resolve('slow'), 7_000)) });
    expect(await (await start({ activity: 'work', heartbeatMs: 3_000 })).result()).toEqual({ value: 'slow', attempt: 1 });
  });

  test('a cancel reaches a running activity by its heartbeat, and is answered as cancelled', async () => {
    const { begun, aborted, activity } = held();
    const { calls } = await startPoller({ work: activity });
    const handle = await start({ activity: 'work', heartbeatMs: 3_000 });
    await eventually('the activity runs', () => begun.length === 1);
    await handle.cancel();
    expect(await handle.result()).toBe('cancelled');
    expect([begun, aborted]).toEqual([[1], ['the run was cancelled']]);
    expect(calls.get('respondActivityTaskCanceled')?.total).toBe(1);
  });

  test("a failure keeps its code, reason and evidence; one that is not retryable isn't retried", async () => {
    const attempts: number[] = [];
    const evidence = [{ kind: 'log' as const, at: '2026-01-01T00:00:00.000Z', instance: 'api-a', path: '/var/log/api-a.log', lines: ['last words'] }];
    await startPoller({
      work: async (_input, { attempt }) => {
        attempts.push(attempt);
        throw new FairleadError({ class: 'host', code: 'disk_full', message: 'no room', hint: 'make some' }, { evidence });
      },
    });
    const handle = await start({ activity: 'work' });
    const error = (await handle.result().catch((thrown: unknown) => thrown)) as { cause: { cause: { type: string; details: unknown[] } } };
    expect(error.cause.cause).toMatchObject({ type: 'disk_full', nonRetryable: true, details: [{ reason: { class: 'host', code: 'disk_full', message: 'no room', hint: 'make some' }, evidence, attempt: 1 }] });
    expect(attempts).toEqual([1]);
  });

  test('an activity that the agent does not know fails for good, and says who is older than whom', async () => {
    await startPoller({});
    const failure = await failureOf(await start({ activity: 'ofTomorrow' }));
    expect(failure.type).toBe('activity_unknown');
    expect(failure.message).toMatch(/agent@test#0.*ofTomorrow.*older than the control worker/);
  });

  test('told to stop: polls no more, and the activity that runs ends with its result', async () => {
    const { begun, aborted, release, activity } = held();
    const { poller, calls } = await startPoller({ work: activity });
    const handle = await start({ activity: 'work' });
    await eventually('the activity runs', () => begun.length === 1);
    const stopped = poller.stop(30_000);
    const polls = poller.polls();
    release('in time');
    await stopped;
    expect(await handle.result()).toEqual({ value: 'in time', attempt: 1 });
    expect(aborted).toEqual([]);
    expect([poller.polls(), calls.get('pollActivityTaskQueue')?.open]).toEqual([polls, 0]);
  });

  test('told to stop, and past the grace: the activity is aborted, and made again by the next process', async () => {
    const { begun, aborted, activity } = held();
    const { poller } = await startPoller({ work: activity });
    const handle = await start({ activity: 'work' });
    await eventually('the activity runs', () => begun.length === 1);
    await poller.stop(50);
    expect(aborted).toEqual(['the agent is stopping']);
    expect((await fs.readdir(journal)).length).toBe(0); // It was answered: there is nothing to give up.
    await startPoller({ work: async () => 'by the next one' });
    expect(await handle.result()).toEqual({ value: 'by the next one', attempt: 2 });
  });

  test('attempts of a process that died are given up by the next one at once, not after the heartbeat limit', async () => {
    const dead = held();
    // It takes one attempt and never answers. Told to stop it polls no more, not even once it has heard that its attempt was given up: the next one is not its own.
    const before = await startPoller({ work: dead.activity }, { maxConcurrent: 1 });
    const handle = await start({ activity: 'work', heartbeatMs: 60_000, startToCloseMs: 120_000 });
    await eventually('the attempt is noted', async () => dead.begun.length === 1 && (await fs.readdir(journal)).length === 1);
    const note = await fs.readFile(join(journal, (await fs.readdir(journal))[0] as string), 'utf8');
    expect(JSON.parse(note)).toEqual({ workflowId: handle.workflowId, runId: expect.any(String), activityId: expect.any(String), activityType: 'work' });
    const stopped = before.poller.stop(60_000);

    const began = performance.now();
    const { log } = await startPoller({ work: async () => 'again' });
    expect(await handle.result()).toEqual({ value: 'again', attempt: 2 });
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(log).toContain('gave up an attempt that the process before this one had begun');
    await eventually('the first one hears that it was given up', () => dead.aborted.includes('the server has given this attempt up'));
    await stopped;
    await eventually('no note is left', async () => (await fs.readdir(journal)).length === 0);
  }, 40_000);

  test('a note that was half written when the process died is cleared away', async () => {
    await fs.writeFile(join(journal, 'half.json'), '{"workflowId":"h');
    await startPoller({});
    expect(await fs.readdir(journal)).toEqual([]);
  });

  test('the server dies and comes back: an answer is offered until it is taken, and polls go on', async () => {
    const { begun, release, activity } = held();
    const { log, calls } = await startPoller({ work: activity, next: async () => 'next' });
    const handle = await start({ activity: 'work', heartbeatMs: 60_000, startToCloseMs: 120_000 });
    await eventually('the activity runs', () => begun.length === 1);
    await temporal.kill();
    release('while it was away');
    await eventually('the answer was refused and the poll failed', () => log.includes('the server did not take an answer; offering it again') && log.includes('cannot poll; trying again'));
    const polls = calls.get('pollActivityTaskQueue')?.total ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // With a pause that grows: not one attempt after the other.
    expect((calls.get('pollActivityTaskQueue')?.total ?? 0) - polls).toBeLessThan(8);
    await temporal.start();
    expect(await eventually('the answer has arrived', () => handle.result())).toEqual({ value: 'while it was away', attempt: 1 });
    expect(begun).toEqual([1]);
    expect(await (await start({ activity: 'next' })).result()).toEqual({ value: 'next', attempt: 1 });
    await eventually('it says so', () => log.includes('polling again'));
  }, 120_000);

  test('stops promptly, also after the server was killed and has come back', async () => {
    const { poller, log } = await startPoller({ work: async () => 'done' });
    await temporal.kill();
    await eventually('the poll failed', () => log.includes('cannot poll; trying again'));
    await temporal.start();
    // The client's connection may still be pausing before it tries again.
    const handle = await eventually('a run is started', () => start({ activity: 'work' }));
    expect(await handle.result()).toEqual({ value: 'done', attempt: 1 });
    const began = performance.now();
    await poller.stop(20_000);
    expect(performance.now() - began).toBeLessThan(2_000);
  }, 120_000);

  test('stops promptly while the server is away', async () => {
    const { poller, log } = await startPoller({});
    await temporal.kill();
    try {
      await eventually('the poll failed', () => log.includes('cannot poll; trying again'));
      const began = performance.now();
      await poller.stop(20_000);
      expect(performance.now() - began).toBeLessThan(2_000);
    } finally {
      await temporal.start();
    }
  }, 120_000);
});

interface Count {
  total: number;
  open: number;
  most: number;
}

/** The same connection, where every call to the server is counted on its way. */
function counting(connection: Connection): { connection: Connection; calls: ReadonlyMap<string, Count> } {
  const calls = new Map<string, Count>();
  const service = new Proxy(connection.workflowService, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== 'function' || typeof name !== 'string') return member;
      return async (...args: unknown[]): Promise<unknown> => {
        const count = calls.get(name) ?? { total: 0, open: 0, most: 0 };
        calls.set(name, count);
        count.total += 1;
        count.open += 1;
        count.most = Math.max(count.most, count.open);
        try {
          return await (member as (...given: unknown[]) => Promise<unknown>).apply(target, args);
        } finally {
          count.open -= 1;
        }
      };
    },
  });
  const counted = new Proxy(connection, {
    get(target, name) {
      if (name === 'workflowService') return service;
      const member = Reflect.get(target, name) as unknown;
      return typeof member === 'function' ? (member as (...given: unknown[]) => unknown).bind(target) : member;
    },
  });
  return { connection: counted, calls };
}
