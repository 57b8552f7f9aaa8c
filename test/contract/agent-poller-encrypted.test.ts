import { randomBytes, randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { createActivityPoller, type PollerOptions } from '../../src/adapters/temporal/activity-poller.ts';
import { createInFlightJournal } from '../../src/adapters/temporal/in-flight.ts';
import { createPayloadCodec } from '../../src/adapters/temporal/payload-codec.ts';
import type { SecretKey } from '../../src/adapters/sealed/key-lines.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { eventually } from '../support/eventually.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';

const workflowQueue = 'test-encrypted';
const key = (id: string): SecretKey => ({ id, secret: randomBytes(32) });
const [k1, k2] = [key('k1'), key('k2')];

/** Control encrypts with k1. What hosts do that have the key, have a newer one as well, have none, or have another one. */
describe('the poller of a host, asked with encrypted payloads', () => {
  let temporal: TestTemporal;
  let journal: string;
  let taskQueue: string;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    temporal = await startTemporal(workflowQueue, { codec: createPayloadCodec([k1]) });
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

  async function startPoller(codec: PollerOptions['codec'], activities: Record<string, (input: never) => Promise<unknown>>, more: Partial<PollerOptions> = {}): Promise<string[]> {
    const log: string[] = [];
    const line = (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`);
    const poller = createActivityPoller({ connection: temporal.connect(), namespace: 'default', taskQueue, identity: 'agent@test#0', activities, maxConcurrent: 2, inFlight: createInFlightJournal(journal), logger: { info: line, warn: line, error: line }, ...(codec === undefined ? {} : { codec }), ...more });
    stops.push(() => poller.stop(0));
    await poller.start();
    return log;
  }
  const start = (input: unknown): Promise<WorkflowHandle> => temporal.client.workflow.start('callOne', { workflowId: randomUUID(), taskQueue: workflowQueue, args: [{ taskQueue, activity: 'work', input }] });
  async function rawHistory(handle: WorkflowHandle): Promise<string> {
    const { events } = await handle.fetchHistory();
    return JSON.stringify(events, (_name, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value));
  }
  async function failureOf(handle: WorkflowHandle): Promise<{ type: string; message: string }> {
    let at: unknown = await handle.result().then(() => null, (thrown: unknown) => thrown);
    while (at instanceof Error && at.cause) at = at.cause;
    return { type: (at as { type?: string }).type ?? '', message: (at as Error).message };
  }

  test.each([['the key', [k1]], ['the key behind a newer one', [k2, k1]]] as const)('it has %s: it is answered as it was asked, and the history tells neither', async (_what, keys) => {
    await startPoller(createPayloadCodec([...keys] as [SecretKey]), { work: async (input: { question: string }) => ({ answer: `hunter2 to ${input.question}` }) });
    const handle = await start({ question: 'sesame' });
    expect(await handle.result()).toEqual({ value: { answer: 'hunter2 to sesame' }, attempt: 1 });
    expect(await rawHistory(handle)).not.toMatch(/hunter2|sesame/);
  });

  test('a failure: its code can be read by everybody, its message and its evidence by who has the key', async () => {
    await startPoller(createPayloadCodec([k1]), {
      work: async () => {
        throw new FairleadError({ class: 'release', code: 'probe_failed', message: 'it answered hunter2' }, { evidence: [{ kind: 'log', at: '', instance: 'a', path: '/log', lines: ['hunter2'] }] });
      },
    });
    const handle = await start(null);
    expect(await failureOf(handle)).toEqual({ type: 'probe_failed', message: 'it answered hunter2' });
    const { events } = await handle.fetchHistory();
    const failed = events?.find(({ activityTaskFailedEventAttributes }) => activityTaskFailedEventAttributes)?.activityTaskFailedEventAttributes;
    expect([failed?.failure?.message, JSON.stringify(failed).includes(Buffer.from('hunter2').toString('base64').slice(0, 8))]).toEqual(['Encoded failure', false]);
  });

  test('it has no keys: refused by a code that says what to bring it, at once and for good; nothing is run', async () => {
    let ran = 0;
    await startPoller(null, { work: async () => (ran += 1) });
    const handle = await start({ question: 'sesame' });
    expect(await failureOf(handle)).toEqual({ type: 'payload_codec_missing', message: expect.stringContaining('agent@test#0 was asked with an encrypted payload, and has no keys') });
    expect(ran).toBe(0);
  });

  test.each([['another key of that name', key('k1'), 'payload_key_wrong'], ['only a newer key', k2, 'payload_key_unknown']] as const)('it has %s: refused by its code, in words that control can read', async (_what, other, code) => {
    const log = await startPoller(createPayloadCodec([other]), { work: async () => 'never' });
    expect((await failureOf(await start(1))).type).toBe(code);
    await eventually('it stands in its log', async () => log.some((line) => line.includes('k1')));
  });

  test('secrets of the host do not leave it in a failure, neither in its message nor in its evidence', async () => {
    await startPoller(
      createPayloadCodec([k1]),
      {
        work: async () => {
          throw new FairleadError({ class: 'release', code: 'probe_failed', message: 'it answered hunter2' }, { evidence: [{ kind: 'log', at: '', instance: 'a', path: '/log', lines: ['"hunter2"'], count: 20261121 } as never] });
        },
      },
      { conceal: async (text) => text.replaceAll('hunter2', '****').replaceAll('20261121', '****') },
    );
    const error = await (await start(null)).result().catch((thrown: unknown) => thrown);
    let at: unknown = error;
    while (at instanceof Error && at.cause) at = at.cause;
    expect(at).toMatchObject({ type: 'probe_failed', message: 'it answered ****', details: [{ evidence: [{ lines: ['"****"'], count: 20261121 }] }] });
  });
});
