import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { createAgentConnection } from '../../src/adapters/temporal/agent-connection.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import { pollerIdentity } from '../../src/domain/gateway/policy.ts';
import type { HostId } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { startStack, type Stack } from '../support/stack.ts';

/** A whole Fairlead as it is where nobody is trusted more than has to be: hosts have no other way to Temporal than the gateway, and Temporal cannot read what it keeps. */
describe('hosts behind the gateway', () => {
  let stack: Stack;
  const keys = mkdtempSync(join(tmpdir(), 'fairlead-codec-'));
  beforeAll(async () => {
    const codecKeyFile = join(keys, 'codec.keys');
    writeFileSync(codecKeyFile, `k1 ${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    stack = await startStack({ hosts: 2, codecKeyFile, replace: { env: { FAIRLEAD_HOST_TEMPORAL: 'gateway' } } });
  }, 240_000);
  afterAll(async () => {
    await stack?.end();
    rmSync(keys, { recursive: true, force: true });
  }, 120_000);

  const environmentOf = (name: string): string[] => readFileSync(`/proc/${stack.dev.pids()[name]}/environ`, 'utf8').split('\0');
  const settingOf = (name: string, variable: string): string | undefined => environmentOf(name).find((entry) => entry.startsWith(`${variable}=`))?.slice(variable.length + 1);

  test('an update runs to its end, although the agent is not told where Temporal is', async () => {
    expect(settingOf('agent-h1', 'FAIRLEAD_TEMPORAL_ADDRESS')).toBeUndefined();
    await stack.publish('g1');
    expect(await stack.apply('h1', 'g1')).toMatchObject({ outcome: 'succeeded', toReleaseId: 'g1' });
  }, 240_000);

  test('what Temporal keeps of it cannot be read there; the Web UI reads it through the API, with a key of Fairlead', async () => {
    const connection = await Connection.connect({ address: stack.dev.summary.temporal });
    try {
      const handle = new Client({ connection }).workflow.getHandle(`host/h1/${stack.product}`);
      const { events } = await handle.fetchHistory();
      const raw = await connection.workflowService.describeWorkflowExecution({ namespace: 'default', execution: { workflowId: handle.workflowId } });
      const payloads = payloadsIn({ events, memo: raw.workflowExecutionInfo?.memo, metadata: raw.executionConfig });
      expect(payloads.length).toBeGreaterThan(20);
      expect(new Set(payloads.map(encodingOf))).toEqual(new Set(['binary/encrypted']));
      const plain = Buffer.concat(payloads.map(({ data }) => Buffer.from(data ?? []))).toString('latin1');
      for (const word of ['requestedBy', 'requestId', '(admin)', 'fence', 'rolling']) expect([word, plain.includes(word)]).toEqual([word, false]);
      // Ids and search attributes stay: by them runs are found.
      expect(Buffer.from(raw.workflowExecutionInfo?.searchAttributes?.indexedFields?.['FairleadHost']?.data ?? []).toString()).toBe('"h1"');

      const [input] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
      const key = readFileSync(stack.dev.summary.adminKeyFile, 'utf8').trim();
      const origin = new URL(stack.dev.summary.temporalUi as string).origin;
      const body = { payloads: [{ metadata: Object.fromEntries(Object.entries(input?.metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')])), data: Buffer.from(input?.data ?? []).toString('base64') }] };
      const decode = (headers: Record<string, string>) => fetch(`${stack.dev.summary.api}/api/codec/decode`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-namespace': 'default', origin, ...headers }, body: JSON.stringify(body) });
      expect((await decode({})).status).toBe(401);
      const opened = await decode({ authorization: `Bearer ${key}` });
      expect(opened.headers.get('access-control-allow-origin')).toBe(origin);
      const [payload] = ((await opened.json()) as { payloads: { data: string }[] }).payloads;
      expect(JSON.parse(Buffer.from(payload!.data, 'base64').toString())).toMatchObject({ host: 'h1', releaseId: 'g1', requestedBy: expect.stringContaining('(admin)') });
    } finally {
      await connection.close();
    }
  }, 120_000);

  /** Guarantees 5 and 6. */
  test("a host's own key, as it lies on the host, starts nothing and gets no other host's work; the audit and the metrics say who tried", async () => {
    const address = settingOf('agent-h1', 'FAIRLEAD_GATEWAY_ADDRESS') as string;
    const key = readFileSync(agentLayout(stack.dev.summary.hosts[0]!.root).agentKeyFile, 'utf8').trim();
    const connection = createAgentConnection({ address, tls: null, readKey: () => key });
    try {
      const poll = (queue: string) => connection.workflowService.pollActivityTaskQueue({ namespace: 'default', taskQueue: { name: queue }, identity: pollerIdentity('h1' as HostId, '0') });
      await expect(poll('host:h2')).rejects.toMatchObject({ code: 7 });
      await expect(poll('control')).rejects.toMatchObject({ code: 7 });
      await expect(connection.workflowService.terminateWorkflowExecution({ namespace: 'default', workflowExecution: { workflowId: 'host/h2/noderax-platform' } })).rejects.toMatchObject({ code: 7 });
    } finally {
      await connection.close();
    }
    const rows = await eventually('it is audited', async () => {
      const { body } = await stack.ask('GET', '/api/audit?limit=100');
      const found = (Object.values(body).find((value) => Array.isArray(value)) as { event: string; actor: string; detail: { method: string } }[]).filter(({ event }) => event === 'gateway.refused');
      return found.length >= 2 ? found : null;
    });
    expect(new Set(rows.map(({ actor, detail }) => `${actor} ${detail.method}`))).toEqual(new Set(['agent@h1 PollActivityTaskQueue', 'agent@h1 TerminateWorkflowExecution']));
    const admin = readFileSync(stack.dev.summary.adminKeyFile, 'utf8').trim();
    const ask = async (): Promise<string> => (await fetch(`${stack.dev.summary.api}/metrics`, { headers: { authorization: `Bearer ${admin}` } })).text();
    const metrics = await eventually('both hosts wait for work', async () => ((text) => (/^fairlead_gateway_open_polls 2$/m.test(text) ? text : null))(await ask()));
    expect(metrics).toContain('fairlead_gateway_refusals_total{method="PollActivityTaskQueue",code="queue_not_allowed"} 2');
    expect(readFileSync(join(stack.dev.summary.logs, 'agent-h1.log'), 'utf8')).not.toContain('PERMISSION_DENIED');
  }, 120_000);

  test('the API is killed in the middle of an update: the agent finds the gateway again, and the update ends', async () => {
    await stack.publish('g2');
    const runId = await stack.start('h1', 'g2');
    const intentOf = (host: string): { runId: string } | null => (existsSync(stack.layout(host).intentFile) ? (JSON.parse(readFileSync(stack.layout(host).intentFile, 'utf8')) as { runId: string }) : null);
    await eventually('the update has begun on the host', async () => intentOf('h1')?.runId === runId);
    process.kill(stack.dev.pids()['api'] as number, 'SIGKILL');
    expect(await stack.report(runId)).toMatchObject({ outcome: 'succeeded', toReleaseId: 'g2' });
  }, 240_000);
});

/** Every payload within, but for search attributes. */
function payloadsIn(value: unknown): Payload[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  if ('metadata' in value && 'data' in value && (value as Payload).metadata?.['encoding'] !== undefined) return [value as Payload];
  return Object.entries(value).flatMap(([name, inner]) => (name === 'searchAttributes' ? [] : payloadsIn(inner)));
}
const encodingOf = ({ metadata }: Payload): string => Buffer.from(metadata?.['encoding'] ?? []).toString();
