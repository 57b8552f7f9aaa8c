import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { startCollector, type CollectedSpan, type Collector } from '../support/collector.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';
import { cutDown } from '../support/matrix-product.ts';
import { project, startStack, type Stack } from '../support/stack.ts';

const waitMs = 120_000;

/** What is seen of a run from outside, with the real processes: traces at an OpenTelemetry collector, and messages at a webhook's receiver, which is the program of docs/webhooks.md and knows nothing else. */
describe('a stack that names a collector and a webhook', () => {
  let stack: Stack;
  let collector: Collector;
  let port: number;
  let receiver: ChildProcess | null = null;
  let webhook: { readonly id: string; readonly secret: string };
  const received: Record<string, unknown>[] = [];

  beforeAll(async () => {
    collector = await startCollector();
    stack = await startStack({ replace: { env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, FAIRLEAD_HOST_TEMPORAL: 'gateway', FAIRLEAD_ROUTER: 'embedded' } } });
    await stack.publish('r1', { edit: cutDown });
    await stack.publish('r2', { edit: cutDown, faults: { crashAtStart: true, only: 'api-b' } });
    port = await freePort();
    const added = await stack.fairlead('webhooks', 'add', `http://127.0.0.1:${port}/fairlead`, '--event', 'run.succeeded', 'run.rolled_back', '--json');
    expect([added.exitCode, added.stderr]).toEqual([0, expect.any(String)]);
    webhook = JSON.parse(added.stdout) as typeof webhook;
    const [, program] = /```js\n([^]*?)```/.exec(await fs.readFile(join(project, 'docs/webhooks.md'), 'utf8')) ?? [];
    await fs.writeFile(join(stack.dir, 'receiver.mjs'), program!);
    await fs.writeFile(join(stack.dir, 'webhook.secret'), `${webhook.secret}\n`, { mode: 0o600 });
  }, 240_000);
  afterAll(async () => {
    await endReceiver();
    await stack?.end();
    await collector?.end();
  }, 60_000);

  async function startReceiver(): Promise<void> {
    const child = spawn(process.execPath, [join(stack.dir, 'receiver.mjs'), String(port), join(stack.dir, 'webhook.secret')], { stdio: ['ignore', 'pipe', 'inherit'] });
    receiver = child;
    let unread = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (unread + text).split('\n');
      unread = lines.pop()!;
      received.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
    });
    await eventually('the receiver listens', async () => (await fetch(`http://127.0.0.1:${port}`, { method: 'POST' })).status === 401, waitMs);
  }
  async function endReceiver(): Promise<void> {
    const child = receiver;
    receiver = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
  const deliveries = async (): Promise<Record<string, unknown>[]> => (await stack.ask<{ deliveries: Record<string, unknown>[] }>('GET', `/api/webhooks/${webhook.id}/deliveries`)).body.deliveries;
  const told = (runId: string) => eventually(`the receiver was told of run ${runId}`, () => received.find((message) => message['runId'] === runId), waitMs);
  /** Asks for an update as a client that traces itself does. */
  async function apply(releaseId: string, traceId: string): Promise<{ runId: string; outcome: string }> {
    const body = { host: 'h1', product: stack.product, releaseId, bakeSeconds: 0 };
    const { body: accepted } = await stack.ask<{ runId: string; workflowId: string }>('POST', '/api/updates/apply', body, { traceparent: `00-${traceId}-${'b'.repeat(16)}-01` });
    return { runId: accepted.runId, outcome: (await stack.report(accepted.runId, waitMs, accepted.workflowId)).outcome };
  }
  const spansOf = (traceId: string): CollectedSpan[] => collector.spans.filter((span) => span.traceId === traceId);

  test('an update succeeds: one trace goes from the request through the workflow to the host, and the receiver is told, signed', async () => {
    await startReceiver();
    const traceId = randomBytes(16).toString('hex');
    const { runId, outcome } = await apply('r1', traceId);
    expect(outcome).toBe('succeeded');
    // The last activities: the run's end is kept by control, and the host's intent is closed.
    await eventually('the last spans have come, and that of the API', () => ['closeRun', 'closeIntent', 'POST /api/updates/apply'].every((name) => spansOf(traceId).some((span) => span.name === name)), waitMs);
    const spans = spansOf(traceId);
    const request = spans.find(({ service }) => service === 'fairlead-api');
    expect(request).toMatchObject({ name: 'POST /api/updates/apply', parentSpanId: 'b'.repeat(16), attributes: { 'http.response.status_code': 202 } });
    expect(new Set(spans.map(({ service }) => service))).toEqual(new Set(['fairlead-api', 'fairlead-control', 'fairlead-agent']));
    const activities = spans.filter((span) => span !== request);
    expect(activities.map(({ parentSpanId, attributes }) => [parentSpanId, attributes['fairlead.run.id']])).toEqual(activities.map(() => [request?.spanId, runId]));
    const onHost = activities.filter(({ service }) => service === 'fairlead-agent');
    expect(new Set(onHost.map(({ attributes }) => attributes['fairlead.host']))).toEqual(new Set(['h1']));
    expect(onHost.map(({ name }) => name)).toEqual(expect.arrayContaining(['downloadBundle', 'activateRelease', 'restartInstance']));
    expect(await told(runId)).toMatchObject({ schema: 1, event: 'run.succeeded', host: 'h1', product: stack.product, releaseId: 'r1', outcome: 'succeeded', next: `fairlead runs show ${runId}` });
    // The next test ends the receiver: not before its answer has come.
    await eventually('it is delivered', async () => (await deliveries())[0]?.['state'] === 'delivered', waitMs);
  }, 240_000);

  test('an update fails while the receiver is away: it is told when it is back, once, and the trace names the activity that failed', async () => {
    await endReceiver();
    const traceId = randomBytes(16).toString('hex');
    const { runId, outcome } = await apply('r2', traceId);
    expect(outcome).toBe('rolled_back');
    await eventually('an attempt has met nobody', async () => (await deliveries()).some(({ state, lastAnswer }) => state === 'waiting' && /ECONNREFUSED/.test(String(lastAnswer))), waitMs);
    await startReceiver();
    expect(await told(runId)).toMatchObject({ event: 'run.rolled_back', releaseId: 'r2', reason: { code: expect.any(String), message: expect.stringContaining('api-b') } });
    await eventually('it is delivered', async () => (await deliveries())[0]?.['state'] === 'delivered', waitMs);
    expect((await deliveries()).map(({ state, attempts, message }) => [(message as Record<string, unknown>)['event'], state, Number(attempts) > 1])).toEqual([['run.rolled_back', 'delivered', true], ['run.succeeded', 'delivered', false]]);
    expect(received.map(({ runId: of }) => of).filter((of) => of === runId)).toHaveLength(1);
    const failed = await eventually('the span of what failed has come', () => spansOf(traceId).find(({ service, status }) => service === 'fairlead-agent' && status === 2), waitMs);
    expect(failed.attributes).toMatchObject({ 'fairlead.run.id': runId, 'error.type': (await told(runId) as { reason: { code: string } }).reason.code });
    expect(spansOf(traceId).some(({ name }) => name === 'activateRelease')).toBe(true);
  }, 240_000);

  test('what Fairlead did not sign, or signed long ago, is refused by that receiver', async () => {
    const key = Buffer.from(webhook.secret.replace(/^whsec_/, ''), 'base64');
    const post = async (at: number, body: string, signed = body): Promise<number> => {
      const signature = createHmac('sha256', key).update(`forged.${at}.${signed}`).digest('base64');
      return (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body, headers: { 'webhook-id': 'forged', 'webhook-timestamp': String(at), 'webhook-signature': `v1,${signature}` } })).status;
    };
    const now = Math.floor(Date.now() / 1_000);
    expect([await post(now, '{"a":1}', '{"a":2}'), await post(now - 3_600, '{"a":1}'), await post(now, '{"a":1}')]).toEqual([401, 401, 204]);
  }, 60_000);
});
