import { randomBytes, randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import Fastify from 'fastify';
import { replay } from '../../scripts/release/replay.ts';
import { createLogger } from '../../src/adapters/logger.ts';
import { createOtlpTracing } from '../../src/adapters/telemetry/otlp.ts';
import { createAgentConnection } from '../../src/adapters/temporal/agent-connection.ts';
import { inSpan } from '../../src/adapters/temporal/activity-span.ts';
import { createActivityPoller, type PollerOptions } from '../../src/adapters/temporal/activity-poller.ts';
import { createInFlightJournal } from '../../src/adapters/temporal/in-flight.ts';
import { createPayloadCodec, type AnsweringCodec } from '../../src/adapters/temporal/payload-codec.ts';
import { createTemporalRunStarter } from '../../src/adapters/temporal/run-starter.ts';
import { traceStarts } from '../../src/adapters/temporal/trace-header.ts';
import type { Api } from '../../src/api/index.ts';
import { traceRequests } from '../../src/api/tracing.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { pollerIdentity } from '../../src/domain/gateway/policy.ts';
import { controlTaskQueue, hostTaskQueue, type HostId, type ProductName } from '../../src/domain/ids.ts';
import { releaseCheckWorkflow } from '../../src/domain/run/names.ts';
import type { ControlSettings } from '../../src/runtime/config.ts';
import { createControlWorker } from '../../src/runtime/control-worker.ts';
import { tracingPart } from '../../src/runtime/tracing-part.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';
import { startCollector, type Collector } from '../support/collector.ts';
import { createGatewayBed, type GatewayBed, type TestGateway } from '../support/gateway.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';

const host = 'h1' as HostId;
const product = 'shop' as ProductName;
const child = `host/${host}/${product}`;
const codec = createPayloadCodec([{ id: 'k1', secret: randomBytes(32) }]);
const silent = createLogger({ name: 'test', level: 'silent' });

let temporal: TestTemporal;
let bed: GatewayBed;
let gateway: TestGateway;
const ends: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  temporal = await startTemporal('nobody');
  bed = await createGatewayBed(temporal.address);
  bed.keys.set('key-of-h1', host);
  gateway = await bed.startGateway();
}, 120_000);
afterAll(async () => {
  await bed?.end();
  await temporal?.end();
}, 120_000);
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
}, 60_000);

const collecting = async (options = {}): Promise<Collector> => {
  const collector = await startCollector(options);
  ends.push(collector.end);
  return collector;
};

/**
 * API, control, and a host behind the gateway, with the workflows as they ship. `POST /ask` has the host look at its services; then it starts a check that starts a run, and has the host
 * fetch a bundle, which it does at the second attempt.
 */
async function startChain(endpoint: string | null, answerCodec: AnsweringCodec | null = null) {
  const parts = { api: await tracingPart(endpoint, 'api'), control: await tracingPart(endpoint, 'control'), agent: await tracingPart(endpoint, 'agent', host) };
  const closeTracing = async () => {
    for (const { parts: own } of Object.values(parts)) for (const part of own) await (await part.start())?.();
  };
  const checks = {
    checkReleases: async () => ({ looked: 1, current: 0, noted: 0, rollouts: [], updates: [{ host, product, releaseId: 'r2', requestedBy: 'test', requestId: randomUUID(), strategy: 'rolling' }], downloads: [{ host, product, artifact: { releaseId: 'r3' } }] }),
    // The run that is started gets no further than here.
    openRun: async () => Promise.reject(new FairleadError({ class: 'dependency', code: 'database_away', message: 'with a secret in it', hint: 'none' }, { retryable: true })),
    recordEvents: async () => undefined,
  };
  const native = await NativeConnection.connect({ address: temporal.address });
  const around = parts.control.tracing === null ? undefined : inSpan(parts.control.tracing, null);
  const worker = await createControlWorker(native, { temporal: { namespace: 'default' }, stickyTimeoutMs: 1_000 } as ControlSettings, answerCodec, checks, around, silent);
  const working = worker.run();
  ends.push(async () => {
    worker.shutdown();
    await working;
    await native.close();
  });

  const journal = await fs.mkdtemp(join(tmpdir(), 'fairlead-journal-'));
  const activities: Record<string, (input: never, context: { attempt: number }) => Promise<unknown>> = {
    inspectServices: async () => ({ state: null }),
    prefetchBundle: async (_input, { attempt }) => (attempt === 1 ? Promise.reject(new FairleadError({ class: 'host', code: 'disk_full', message: 'with a secret in it', hint: 'none' }, { retryable: true })) : null),
  };
  const way = createAgentConnection(gateway.access('key-of-h1'));
  const poller = createActivityPoller({
    connection: way, namespace: 'default', taskQueue: hostTaskQueue(host), identity: pollerIdentity(host, '0.1.0'), sealedTokens: true, maxConcurrent: 4, inFlight: createInFlightJournal(journal), logger: silent, codec: answerCodec,
    activities: activities as PollerOptions['activities'], ...(parts.agent.tracing === null ? {} : { around: inSpan(parts.agent.tracing, host) }),
  });
  await poller.start();
  ends.push(async () => {
    await poller.stop(0);
    await way.close();
    await fs.rm(journal, { recursive: true, force: true });
  });

  const connection = temporal.connect();
  const traced = parts.api.tracing === null ? {} : { interceptors: traceStarts(parts.api.tracing) };
  const runs = createTemporalRunStarter({ connection, address: temporal.address, namespace: 'default', codec: answerCodec, ...traced, workflowIdOf: async () => null, hasReported: async () => false, workflowTaskTimeoutMs: 5_000 });
  const client = new Client({ connection, ...traced, ...(answerCodec === null ? {} : { dataConverter: { payloadCodecs: [answerCodec] } }) });
  const app = Fastify({ forceCloseConnections: true });
  app.decorateRequest('identity', null);
  app.addHook('onRequest', async (request) => void (request.identity = { id: 'k', name: 'ci', role: request.headers.authorization === 'agent' ? 'agent' : 'admin' } as never));
  if (parts.api.tracing !== null) traceRequests(app as unknown as Api, parts.api.tracing);
  app.post('/ask/:host', async () => {
    const asked = await runs.askServices(host, product);
    const workflowId = `check-${randomUUID()}`;
    const result = await client.workflow.execute(releaseCheckWorkflow, { workflowId, taskQueue: controlTaskQueue });
    await eventually('the run has tried to begin', async () => {
      const { raw } = await client.workflow.getHandle(child).describe();
      return raw.pendingActivities?.length === 1 && (raw.pendingActivities[0]?.attempt ?? 1) > 1 && !raw.pendingWorkflowTask;
    }, 60_000);
    await client.workflow.getHandle(child).terminate('nobody is here to carry it out');
    return { asked, result, workflowId };
  });
  ends.push(() => app.close());
  const base = await app.listen({ host: '127.0.0.1', port: 0 });
  const ask = async (headers: Record<string, string> = {}) => (await (await fetch(`${base}/ask/h1`, { method: 'POST', headers })).json()) as { readonly workflowId: string };
  return { ask, closeTracing, client };
}
const worked = { asked: { state: null }, result: { updates: [`${child.slice(5)} r2`], downloaded: [`${child.slice(5)} r3`], away: [] } };
const scheduledHeaders = async (client: Client, workflowId: string): Promise<string[][]> =>
  ((await client.workflow.getHandle(workflowId).fetchHistory()).events ?? []).flatMap((event) => {
    const { header } = event.workflowExecutionStartedEventAttributes ?? event.activityTaskScheduledEventAttributes ?? event.startChildWorkflowExecutionInitiatedEventAttributes ?? { header: undefined };
    return header === undefined ? [] : [Object.keys(header?.fields ?? {})];
  });

describe.each([['in the clear', null], ['encrypted', codec]] as const)('payloads are %s', (_how, answerCodec) => {
  test('one trace goes from the request through the workflow and its child to every attempt on control and on the host', async () => {
    const collector = await collecting();
    const { ask, closeTracing, client } = await startChain(collector.url, answerCodec);
    const begun = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const { workflowId, ...answer } = await ask({ traceparent: begun });
    expect(answer).toMatchObject(worked);
    await ask({ authorization: 'agent' });
    await closeTracing();
    const spans = collector.spans.map(({ traceId, spanId: _, ...span }) => ({ ...span, traceId }));
    const request = collector.spans.find(({ service }) => service === 'fairlead-api');
    expect(request).toMatchObject({ name: 'POST /ask/:host', traceId: 'a'.repeat(32), parentSpanId: 'b'.repeat(16), attributes: { 'http.request.method': 'POST', 'http.response.status_code': 200 } });
    const ofHost = { service: 'fairlead-agent', parentSpanId: request?.spanId, traceId: 'a'.repeat(32) };
    const about = { 'fairlead.host': host, 'fairlead.run.id': expect.any(String), 'fairlead.attempt': 1 };
    expect(spans).toContainEqual({ ...ofHost, name: 'inspectServices', status: 0, attributes: { ...about, 'fairlead.activity': 'inspectServices', 'fairlead.workflow.id': expect.stringMatching(/^look\//), 'fairlead.status': 'succeeded' } });
    expect(spans.filter(({ name }) => name === 'prefetchBundle').map(({ status, attributes }) => [attributes['fairlead.attempt'], status, attributes['error.type']])).toEqual([[1, 2, 'disk_full'], [2, 0, undefined]]);
    expect(spans).toContainEqual(expect.objectContaining({ ...ofHost, service: 'fairlead-control', name: 'checkReleases', status: 0 }));
    expect(spans).toContainEqual(expect.objectContaining({ ...ofHost, service: 'fairlead-control', name: 'openRun', status: 2, attributes: expect.objectContaining({ ...about, 'fairlead.workflow.id': child, 'error.type': 'database_away' }) }));
    // What an agent asks for begins no trace, and nothing that a failure says leaves with one.
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(spans.filter(({ service }) => service === 'fairlead-api')).toHaveLength(1);
    expect(JSON.stringify(spans)).not.toContain('secret');
    if (answerCodec !== null) return; // `replay` has no keys.
    const history = await client.workflow.getHandle(workflowId).fetchHistory();
    expect([...(await replay(await workflowBundle(), [{ name: workflowId, history }]))]).toEqual([]);
  }, 240_000);
});

test('without an endpoint nothing is sent, and no header is written into any history', async () => {
  const collector = await collecting();
  const { ask, closeTracing, client } = await startChain(null);
  const { workflowId, ...answer } = await ask({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` });
  await closeTracing();
  expect(answer).toMatchObject(worked);
  expect(await scheduledHeaders(client, workflowId)).toEqual([[], [], [], []]);
  expect(await scheduledHeaders(client, child)).toEqual(expect.arrayContaining([[]]));
  expect(collector.requests()).toBe(0);
}, 240_000);

test('a collector that is away, or never answers, keeps no request and no activity from ending, nor the process', async () => {
  const deaf = await collecting({ answers: false });
  for (const url of [deaf.url, `http://127.0.0.1:${await freePort()}`]) {
    const { ask, closeTracing, client } = await startChain(url);
    const { workflowId, ...answer } = await ask();
    expect(answer).toMatchObject(worked);
    expect(await scheduledHeaders(client, workflowId)).toEqual([['traceparent'], ['traceparent'], ['traceparent'], ['traceparent']]);
    await closeTracing();
    for (const end of ends.splice(1).reverse()) await end();
  }
  expect(deaf.requests()).toBeGreaterThan(0);
}, 240_000);

test('more spans than may wait for the collector are dropped, not kept', async () => {
  const collector = await collecting();
  const tracing = createOtlpTracing(collector.url, { 'service.name': 'test' });
  for (let at = 0; at < 3_000; at += 1) tracing.begin({ name: 'work', kind: 'consumer', parent: null, attributes: {} }).end(null);
  await tracing.close();
  expect(collector.spans.length).toBeGreaterThan(0);
  expect(collector.spans.length).toBeLessThanOrEqual(1_024 + 256);
});
