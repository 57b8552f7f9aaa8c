import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection, WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { createActivityPoller, type PollerOptions } from '../../src/adapters/temporal/activity-poller.ts';
import { createAgentConnection } from '../../src/adapters/temporal/agent-connection.ts';
import { createInFlightJournal } from '../../src/adapters/temporal/in-flight.ts';
import { allowedMethods, workflowServiceName } from '../../src/domain/gateway/methods.ts';
import { pollerIdentity } from '../../src/domain/gateway/policy.ts';
import { hostTaskQueue, type HostId } from '../../src/domain/ids.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import { createGatewayBed, type GatewayBed, type RawClient, type TestGateway } from '../support/gateway.ts';
import { eventually } from '../support/eventually.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';
import type { OneCall } from '../support/workflows/index.ts';

const workflowQueue = 'test-workflows';
const permissionDenied = 7;
const unauthenticated = 16;
const api = proto.temporal.api.workflowservice.v1;
type Service = { readonly methods: Record<string, unknown> };
const methodsOf = (service: unknown): string[] => Object.keys((service as Service).methods);
const pathOf = (method: string): string => `/${workflowServiceName}/${method}`;
const pollPath = pathOf('PollActivityTaskQueue');

/** Hosts, a gateway with TLS, and a real Temporal server behind it. */
describe('the gateway of hosts to Temporal', () => {
  let temporal: TestTemporal;
  let bed: GatewayBed;
  let gateway: TestGateway;
  let journal: string;
  let host: HostId;
  let key: string;
  const stops: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    temporal = await startTemporal(workflowQueue);
    bed = await createGatewayBed(temporal.address);
    gateway = await bed.startGateway();
  }, 120_000);
  afterAll(async () => {
    await bed?.end();
    await temporal?.end();
  }, 120_000);
  beforeEach(async () => {
    [host, key] = newHost();
    journal = await fs.mkdtemp(join(tmpdir(), 'fairlead-journal-'));
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
    // Tests wait for the number of open polls: one of the test before must not be taken for their own.
    await eventually('the polls of the test have ended', () => gateway.gateway.figures().openPolls === 0);
    await fs.rm(journal, { recursive: true, force: true });
  }, 60_000);

  function newHost(): [HostId, string] {
    const made = `h-${randomUUID()}` as HostId;
    const itsKey = `key-${randomUUID()}`;
    bed.keys.set(itsKey, made);
    return [made, itsKey];
  }

  type Activities = Record<string, (input: unknown, context: ActivityContext) => Promise<unknown>>;

  function connect(at: TestGateway = gateway, itsKey = key): Connection {
    const connection = createAgentConnection(at.access(itsKey));
    stops.push(() => connection.close());
    return connection;
  }
  async function startAgent(activities: Activities, more: Partial<PollerOptions> & { readonly at?: TestGateway } = {}) {
    const log: string[] = [];
    const line = (_fields: object, message: string) => void log.push(message);
    const poller = createActivityPoller({
      connection: connect(more.at),
      namespace: 'default',
      taskQueue: hostTaskQueue(host),
      identity: pollerIdentity(host, '0.1.0'),
      activities: activities as PollerOptions['activities'],
      maxConcurrent: 4,
      inFlight: createInFlightJournal(journal),
      sealedTokens: true,
      logger: { info: line, warn: line, error: line },
      ...more,
    });
    stops.unshift(() => poller.stop(0));
    await poller.start();
    return { poller, log };
  }
  const start = (call: Omit<OneCall, 'taskQueue'>, to = host): Promise<WorkflowHandle> =>
    temporal.client.workflow.start('callOne', { workflowId: randomUUID(), taskQueue: workflowQueue, args: [{ taskQueue: hostTaskQueue(to), ...call }] });

  const pollMessage = (more: object = {}): Uint8Array => api.PollActivityTaskQueueRequest.encode({ namespace: 'default', taskQueue: { name: hostTaskQueue(host) }, identity: pollerIdentity(host, '0'), ...more }).finish();
  const completeMessage = (taskToken: Uint8Array, of = host, more: object = {}): Uint8Array =>
    api.RespondActivityTaskCompletedRequest.encode({ namespace: 'default', taskToken, identity: pollerIdentity(of, '0'), result: { payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('"by hand"') }] }, ...more }).finish();
  /** Takes the next task of the host by hand. */
  async function take(client: RawClient): Promise<Uint8Array> {
    const polled = await client.call(pollPath, pollMessage());
    expect(polled).toMatchObject({ code: 0 });
    return api.PollActivityTaskQueueResponse.decode(polled.message).taskToken;
  }
  const auditOf = (of: HostId) => bed.rows.filter(({ subject }) => subject === `host/${of}`);

  test('an agent works through it as it does without: results, failures, progress, heartbeats and cancels arrive', async () => {
    const begun: string[] = [];
    await startAgent({
      double: async (input) => Number(input) * 2,
      fail: async () => { throw new Error('no room'); },
      slow: () => new Promise((resolve) => setTimeout(() => resolve('slow'), 7_000)),
      held: (_input, { cancel, progress }) => { begun.push('held'); progress({ done: 7 }); return new Promise((_resolve, reject) => cancel.addEventListener('abort', () => reject(cancel.reason as Error))); },
    });
    expect(await (await start({ activity: 'double', input: 21 })).result()).toEqual({ value: 42, attempt: 1 });
    await expect((await start({ activity: 'fail', retry: { maximumAttempts: 1 } })).result()).rejects.toMatchObject({ cause: { cause: { message: expect.stringContaining('no room') } } });
    expect(await (await start({ activity: 'slow', heartbeatMs: 3_000 })).result()).toEqual({ value: 'slow', attempt: 1 });
    const held = await start({ activity: 'held', heartbeatMs: 3_000 });
    const details = await eventually('its progress stands at the server', async () => (await held.describe()).raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0]?.data);
    expect(JSON.parse(Buffer.from(details).toString('utf8'))).toEqual({ done: 7 });
    await held.cancel();
    expect(await held.result()).toBe('cancelled');
    expect(auditOf(host)).toEqual([]);
  });

  test('a payload of almost 2 MB passes as it is, and a message beyond 4 MB does not', async () => {
    await startAgent({ echo: async (input) => input });
    const text = `${'ä'.repeat(400_000)}${'x'.repeat(700_000)}`;
    expect(await (await start({ activity: 'echo', input: text })).result()).toEqual({ value: text, attempt: 1 });
    const tooBig = await gateway.raw(key).call(pollPath, Buffer.alloc(4 * 2 ** 20 + 1));
    expect(tooBig.code).toBe(8);
  });

  test('every other method, of this service and of any other, and every name that there is none of: refused, counted, audited; nothing is started', async () => {
    const client = gateway.raw(key);
    const others = methodsOf(api.WorkflowService).filter((method) => !(allowedMethods as readonly string[]).includes(method)).map(pathOf);
    const operator = methodsOf(proto.temporal.api.operatorservice.v1.OperatorService).map((method) => `/temporal.api.operatorservice.v1.OperatorService/${method}`);
    const rest = ['/grpc.health.v1.Health/Check', '/grpc.health.v1.Health/Watch', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', pathOf('OfTomorrow'), `${pollPath}/`, '/x.Y/Z', '/temporal.server.api.adminservice.v1.AdminService/DescribeCluster'];
    expect(others.length).toBeGreaterThan(100);
    const workflowId = randomUUID();
    const startMessage = api.StartWorkflowExecutionRequest.encode({ namespace: 'default', workflowId, workflowType: { name: 'callOne' }, taskQueue: { name: workflowQueue }, requestId: randomUUID() }).finish();
    for (const path of [...others, ...operator, ...rest]) {
      const answers = [await client.call(path, path.endsWith('/StartWorkflowExecution') ? startMessage : pollMessage()), await client.call(path, Buffer.alloc(0))];
      expect([path, ...answers.map(({ code }) => code)]).toEqual([path, permissionDenied, permissionDenied]);
    }
    await expect(temporal.client.workflow.getHandle(workflowId).describe()).rejects.toThrow(/not found/i);
    const refused = gateway.gateway.figures().refused.filter(({ code }) => code === 'method_not_allowed');
    expect(refused.map(({ method }) => method)).toEqual(expect.arrayContaining([...others.map((path) => path.split('/')[2]), 'OperatorService', 'Health', 'ServerReflection', 'other']));
    const total = (rows: typeof bed.rows): number => rows.reduce((sum, { detail }) => sum + (detail['count'] as number), 0);
    await eventually('every refusal is audited', () => total(auditOf(host)) === 2 * (others.length + operator.length + rest.length));
    expect(new Set(auditOf(host).map(({ event, actor, detail }) => `${event} ${actor} ${String(detail['codes'])}`))).toEqual(new Set([`gateway.refused agent@${host} method_not_allowed`]));
  });

  test("another host's queue, control's, another namespace, another's name: refused, though another gets its work all the while", async () => {
    const [other] = newHost();
    const client = gateway.raw(key);
    const tries: [string, object][] = [
      ['queue_not_allowed', { taskQueue: { name: hostTaskQueue(other) } }],
      ['queue_not_allowed', { taskQueue: { name: 'control' } }],
      ['queue_not_allowed', { taskQueue: { name: workflowQueue } }],
      ['queue_not_allowed', { taskQueue: { name: hostTaskQueue(host), kind: 2, normalName: hostTaskQueue(other) } }],
      ['namespace_not_allowed', { namespace: 'temporal-system' }],
      ['identity_not_allowed', { identity: pollerIdentity(other, '0') }],
      ['field_not_allowed', { workerControlTaskQueue: 'control' }],
    ];
    const waiting = await start({ activity: 'work' }, other);
    for (const [code, more] of tries) {
      expect(await client.call(pollPath, pollMessage(more))).toMatchObject({ code: permissionDenied });
      await eventually(`${code} is audited`, () => auditOf(host).some(({ detail }) => (detail['codes'] as string[]).includes(code)));
    }
    expect(auditOf(host).every(({ detail }) => detail['method'] === 'PollActivityTaskQueue')).toBe(true);
    expect(await eventually('its task is scheduled', async () => (await waiting.describe()).raw.pendingActivities?.[0])).toMatchObject({ attempt: 1, state: 1 });
    await waiting.terminate();
  });

  test("another host's task token, one that is made up, the server's own, a changed one: refused; its own is taken, once", async () => {
    const [other, otherKey] = newHost();
    const run = await start({ activity: 'work', heartbeatMs: 60_000 });
    const client = gateway.raw(key);
    const sealed = await take(client);
    const rawToken = sealed.subarray(2 + (sealed[1] as number) + 6 + 32);
    const changed = Buffer.from(sealed);
    changed[changed.length - 1]! ^= 1;
    const methods = ['RespondActivityTaskCompleted', 'RespondActivityTaskFailed', 'RespondActivityTaskCanceled', 'RecordActivityTaskHeartbeat'];
    for (const method of methods) {
      const tell = (token: Uint8Array, of: HostId): Uint8Array => completeMessage(token, of, method === 'RespondActivityTaskCompleted' ? {} : { result: null });
      expect([method, (await gateway.raw(otherKey).call(pathOf(method), tell(sealed, other))).code]).toEqual([method, permissionDenied]);
      for (const token of [rawToken, changed, Buffer.from('made up'), Buffer.alloc(0)]) expect([method, (await client.call(pathOf(method), tell(token, host))).code]).toEqual([method, permissionDenied]);
    }
    expect((await run.describe()).raw.pendingActivities?.[0]).toMatchObject({ attempt: 1 });
    await eventually('both hosts are audited', () => [host, other].every((of) => methods.every((method) => auditOf(of).some(({ detail }) => detail['method'] === method && (detail['codes'] as string[]).includes('task_token_refused')))));
    expect(await client.call(pathOf('RespondActivityTaskCompleted'), completeMessage(sealed))).toMatchObject({ code: 0 });
    expect(await run.result()).toBe('by hand');
    expect(await client.call(pathOf('RespondActivityTaskCompleted'), completeMessage(sealed))).toMatchObject({ code: 5 });
  });

  test('no key, one that nobody has, one that has expired: refused before the message is read, and audited', async () => {
    const before = bed.rows.length;
    const expired = `key-${randomUUID()}`; // The store knows expired keys no more than made-up ones.
    for (const [itsKey, headers] of [[null, {}], ['nobody', {}], [expired, {}], [null, { authorization: `Basic ${key}` }], [null, { authorization: `Bearer ${key} more` }]] as const)
      for (const path of [pollPath, pathOf('GetSystemInfo'), pathOf('StartWorkflowExecution'), '/grpc.health.v1.Health/Check']) expect(await gateway.raw(itsKey).call(path, Buffer.alloc(0), { headers })).toMatchObject({ code: unauthenticated });
    await eventually('it is audited', () => bed.rows.slice(before).some(({ actor, subject, detail }) => actor === 'unknown' && subject === 'gateway' && String(detail['peer']).startsWith('127.0.0.1')));
    expect(await gateway.raw(key).call(pathOf('GetSystemInfo'), Buffer.alloc(0))).toMatchObject({ code: 0 });
  });

  test('a key that is revoked while its poll is open gets no task: the task goes back at once, and to the next key of the host', async () => {
    const polled = gateway.raw(key).call(pollPath, pollMessage());
    await eventually('its poll is open', () => gateway.gateway.figures().openPolls === 1);
    bed.keys.delete(key);
    await eventually('the key is refused', async () => (await gateway.raw(key).call(pathOf('GetSystemInfo'), Buffer.alloc(0))).code === unauthenticated);
    const run = await start({ activity: 'work', heartbeatMs: 60_000 });
    expect(await polled).toMatchObject({ code: unauthenticated, message: Buffer.alloc(0) });
    const renewed = `key-${randomUUID()}`;
    bed.keys.set(renewed, host);
    key = renewed;
    await startAgent({ work: async () => 'with the new key' });
    expect(await run.result()).toEqual({ value: 'with the new key', attempt: 2 });
  });

  test('while nobody can say who a key belongs to, hosts that were known go on, and others are not let in', async () => {
    const [, otherKey] = newHost();
    await startAgent({ work: async () => 'done' });
    await eventually('its poll is open', () => gateway.gateway.figures().openPolls === 1);
    bed.setStoreAway(true);
    try {
      expect(await (await start({ activity: 'work' })).result()).toEqual({ value: 'done', attempt: 1 });
      expect((await gateway.raw(otherKey).call(pathOf('GetSystemInfo'), Buffer.alloc(0))).code).toBe(14);
    } finally {
      bed.setStoreAway(false);
    }
  });

  test('a poll ends at the server when its host is gone: the next task is not given to nobody', async () => {
    const gone = new AbortController();
    const polled = gateway.raw(key).call(pollPath, pollMessage(), { signal: gone.signal });
    await eventually('its poll is open', () => gateway.gateway.figures().openPolls === 1);
    gone.abort();
    expect((await polled).code).toBe(1);
    await eventually('it is open no more', () => gateway.gateway.figures().openPolls === 0);
    const run = await start({ activity: 'work', heartbeatMs: 60_000 });
    await startAgent({ work: async () => 'at once' });
    expect(await run.result()).toEqual({ value: 'at once', attempt: 1 });
  });

  test('polls beyond what one host may have open are refused', async () => {
    const client = gateway.raw(key);
    const leave = new AbortController();
    const open = Array.from({ length: 4 }, () => client.call(pollPath, pollMessage(), { signal: leave.signal }));
    await eventually('four are open', () => gateway.gateway.figures().openPolls >= 4);
    expect(await client.call(pollPath, pollMessage())).toMatchObject({ code: 8 });
    leave.abort();
    await Promise.all(open);
  });

  test('two copies: a task polled at one is answered at the other, and an agent whose copy stops goes on at the other', async () => {
    const second = await bed.startGateway();
    const run = await start({ activity: 'work' });
    const sealed = await take(gateway.raw(key));
    expect(await second.raw(key).call(pathOf('RespondActivityTaskCompleted'), completeMessage(sealed))).toMatchObject({ code: 0 });
    expect(await run.result()).toBe('by hand');
    const waiting = second.raw(key).call(pollPath, pollMessage());
    await eventually('a poll is open at the second', () => second.gateway.figures().openPolls === 1);
    const stopping = second.gateway.close(2_000);
    expect(await waiting).toMatchObject({ code: 14 });
    await stopping;
    expect((await second.raw(key).call(pathOf('GetSystemInfo'), Buffer.alloc(0))).code).toBe(14);
  });

  test('the server is killed and comes back: the answer is offered until it is taken, polls go on, and nobody is told where the server lies', async () => {
    let release!: (value: unknown) => void;
    const begun: number[] = [];
    const { log } = await startAgent({ work: (_input, { attempt }) => (begun.push(attempt), new Promise((resolve) => (release = resolve))), next: async () => 'next' });
    const run = await start({ activity: 'work', heartbeatMs: 60_000, startToCloseMs: 120_000 });
    await eventually('the activity runs', () => begun.length === 1);
    await temporal.kill();
    release('while it was away');
    await eventually('the answer was not taken and the poll failed', () => log.includes('the server did not take an answer; offering it again') && log.includes('cannot poll; trying again'));
    const away = await gateway.raw(key).call(pathOf('GetSystemInfo'), Buffer.alloc(0));
    expect(away).toMatchObject({ code: 14, details: 'The orchestrator is away.' });
    await temporal.start();
    expect(await run.result()).toEqual({ value: 'while it was away', attempt: 1 });
    expect(await (await start({ activity: 'next' })).result()).toEqual({ value: 'next', attempt: 1 });
  }, 120_000);

  test('what a dead agent left behind is given up by the next one, by the sealed token, not after the heartbeat limit', async () => {
    const begun: number[] = [];
    const { poller } = await startAgent({ work: (_input, { attempt, cancel }) => (begun.push(attempt), new Promise((_resolve, reject) => cancel.addEventListener('abort', () => reject(cancel.reason as Error)))) }, { maxConcurrent: 1 });
    const run = await start({ activity: 'work', heartbeatMs: 60_000, startToCloseMs: 120_000 });
    await eventually('the attempt is noted', async () => begun.length === 1 && (await fs.readdir(journal)).length === 1);
    // It polls no more, not even once it has heard that its attempt was given up: the next one is not its own.
    void poller.stop(60_000);
    const { log } = await startAgent({ work: async () => 'again' });
    expect(await run.result()).toEqual({ value: 'again', attempt: 2 });
    expect(log).toContain('gave up an attempt that the process before this one had begun');
    expect(auditOf(host)).toEqual([]);
  });

  test('a note whose token is refused does not keep the agent from its work', async () => {
    const note = { workflowId: 'w', runId: 'r', activityId: '1', activityType: 'work' };
    await createInFlightJournal(journal).enter({ ...note, sealedTaskToken: Buffer.from('of other keys').toString('base64') });
    await createInFlightJournal(journal).enter({ ...note, activityId: '2' });
    await startAgent({ work: async () => 'done' });
    expect(await (await start({ activity: 'work' })).result()).toEqual({ value: 'done', attempt: 1 });
  });
});
