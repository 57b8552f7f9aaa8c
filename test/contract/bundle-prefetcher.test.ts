import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { createLogger } from '../../src/adapters/logger.ts';
import { createActivityPoller, type PollerOptions } from '../../src/adapters/temporal/activity-poller.ts';
import { createTemporalBundlePrefetcher } from '../../src/adapters/temporal/bundle-prefetcher.ts';
import { createInFlightJournal } from '../../src/adapters/temporal/in-flight.ts';
import { createPayloadCodec } from '../../src/adapters/temporal/payload-codec.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { hostTaskQueue, type HostId, type ProductName, type ReleaseId, type Sha256 } from '../../src/domain/ids.ts';
import type { PrefetchStanding } from '../../src/domain/update/prefetch.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { ControlSettings } from '../../src/runtime/config.ts';
import { createControlWorker } from '../../src/runtime/control-worker.ts';
import { eventually } from '../support/eventually.ts';
import { sampleArtifact } from '../support/samples.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';

const waitMs = 120_000;
const silent = createLogger({ name: 'test', level: 'silent' });
const sealing = createPayloadCodec([{ id: 'k1', secret: randomBytes(32) }]);

// One for both: the SDK's runtime can be installed once in a process.
let temporal: TestTemporal;
beforeAll(async () => {
  temporal = await startTemporal('nobody');
}, waitMs);
afterAll(() => temporal?.end(), waitMs);

/** Prefetches on a real Temporal server, with the workflow as it ships; the host's activity is the test's. */
describe.each([['in the clear', null, 'h1'], ['encrypted', sealing, 'h2']] as const)('a bundle goes to a host ahead of its update, payloads %s', (_how, codec, name) => {
  const host = name as string as HostId;
  const product = 'lab' as ProductName;
  const workflowId = `prefetch/${host}/lab`;
  let journal: string;
  const noted: { releaseId: string; outcome: string; code: string | null }[] = [];
  const ends: (() => Promise<unknown>)[] = [];
  const fetching = new Map<string, (context: ActivityContext) => Promise<unknown>>();

  beforeAll(async () => {
    journal = await fs.mkdtemp(join(tmpdir(), 'fairlead-journal-'));
  }, waitMs);
  afterAll(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    if (journal) await fs.rm(journal, { recursive: true, force: true });
  }, waitMs);

  async function startControl(): Promise<void> {
    const native = await NativeConnection.connect({ address: temporal.address });
    const notePrefetch = async ({ request, end }: { request: { artifact: { releaseId: string } }; end: { outcome: string; reason: { code: string } | null } }) => void noted.push({ releaseId: request.artifact.releaseId, outcome: end.outcome, code: end.reason?.code ?? null });
    const worker = await createControlWorker(native, { temporal: { namespace: 'default' }, stickyTimeoutMs: 1_000 } as ControlSettings, codec, { notePrefetch }, undefined, silent);
    const working = worker.run();
    ends.push(async () => {
      worker.shutdown();
      await working;
      await native.close();
    });
  }
  async function startHost(): Promise<void> {
    const prefetchBundle = async ({ artifact }: { artifact: { releaseId: string } }, context: ActivityContext) => (await fetching.get(artifact.releaseId)?.(context)) ?? { bytes: 7 };
    const poller = createActivityPoller({ connection: temporal.connect(), namespace: 'default', taskQueue: hostTaskQueue(host), identity: `agent@${host}`, maxConcurrent: 4, inFlight: createInFlightJournal(journal), logger: silent, codec, activities: { prefetchBundle } as unknown as PollerOptions['activities'] });
    await poller.start();
    ends.push(() => poller.stop(0));
  }

  test('it waits for control and for the host, is joined, gives way to another bundle, and ends as the host says', async () => {
    const prefetcher = createTemporalBundlePrefetcher({ connection: temporal.connect(), address: temporal.address, namespace: 'default', codec, workflowTaskTimeoutMs: 5_000 });
    const ask = async (releaseId: string) => {
      const { manifest: _manifest, ...artifact } = sampleArtifact(releaseId, { releaseId: releaseId as ReleaseId, sha256: Buffer.from(releaseId).toString('hex').padEnd(64, '0') as Sha256 });
      const { joined, replaced } = await prefetcher.startPrefetch({ host, product, artifact, requestedBy: 'ada', requestId: releaseId });
      return [joined, replaced];
    };
    const until = (what: string, reached: (standing: PrefetchStanding) => boolean) =>
      eventually(what, async () => {
        const standing = await prefetcher.findPrefetch(host, product);
        return standing !== null && reached(standing) ? standing : null;
      }, waitMs);

    expect(await prefetcher.findPrefetch(host, product)).toBeNull();
    expect([await ask('r1'), await ask('r1')]).toEqual([[false, null], [true, null]]);
    expect(await until('it waits for control', ({ state }) => state === 'waiting')).toMatchObject({ workflowId, releaseId: 'r1', requestedBy: 'ada', endedAt: null, progress: null, waiting: { for: 'control to take it up' } });
    await startControl();
    const waiting = await until('it waits for the host', (standing) => standing.waiting?.for === `host ${host} to take it up`);
    expect(Date.parse(waiting.waiting!.until!) - Date.parse(waiting.requestedAt)).toBe(24 * 3_600_000);
    expect([await ask('r2'), await ask('r2')]).toEqual([[false, 'r1'], [true, null]]);

    // The first attempt fails by what may pass, the second takes its time.
    let go: (value: unknown) => void = () => undefined;
    fetching.set('r2', async ({ attempt, progress }) => {
      if (attempt === 1) throw new FairleadError({ class: 'dependency', code: 'controller_away', message: 'the controller does not answer', hint: 'none' }, { retryable: true });
      progress({ what: 'bytes downloaded', done: 3, total: 7 });
      return new Promise((resolve) => (go = resolve));
    });
    await startHost();
    expect(await until('how far it is has been told', ({ progress }) => progress !== null)).toMatchObject({ releaseId: 'r2', state: 'running', progress: { what: 'bytes downloaded', done: 3, total: 7 }, waiting: null });
    go({ bytes: 7 });
    expect(await until('it has ended', ({ endedAt }) => endedAt !== null)).toMatchObject({ releaseId: 'r2', state: 'fetched', reason: null });

    fetching.set('r3', async () => Promise.reject(new FairleadError({ class: 'release', code: 'signature_invalid', message: 'signed by nobody that h1 trusts', hint: 'none' })));
    expect(await ask('r3')).toEqual([false, null]);
    expect(await until('it has failed', ({ state }) => state === 'failed')).toMatchObject({ releaseId: 'r3', reason: { class: 'release', code: 'signature_invalid' } });

    // The host hears of a cancel by its next heartbeat, and keeps what has come.
    fetching.set('r5', async ({ cancel }) => new Promise((_resolve, reject) => cancel.addEventListener('abort', () => reject(new Error('cut off')))));
    await ask('r5');
    await until('the host works on it', ({ releaseId, state }) => releaseId === 'r5' && state === 'running');
    expect(await prefetcher.cancelPrefetch(host, product)).toBe('r5');
    expect(await until('it has ended', ({ state }) => state === 'failed')).toMatchObject({ releaseId: 'r5', reason: { class: 'request', code: 'cancelled' } });
    expect(await prefetcher.cancelPrefetch(host, product)).toBeNull();

    fetching.set('r4', async ({ cancel }) => new Promise((_resolve, reject) => cancel.addEventListener('abort', () => reject(new Error('cut off')))));
    await ask('r4');
    await until('the host works on it', ({ releaseId, state }) => releaseId === 'r4' && state === 'running');
    await new Client({ connection: temporal.connect() }).workflow.getHandle(workflowId).terminate();
    expect(await until('it was ended', ({ state }) => state === 'failed')).toMatchObject({ releaseId: 'r4', reason: { code: 'prefetch_ended_outside' } });
    expect(noted).toEqual([{ releaseId: 'r2', outcome: 'fetched', code: null }, { releaseId: 'r3', outcome: 'failed', code: 'signature_invalid' }, { releaseId: 'r5', outcome: 'failed', code: 'cancelled' }]);
  }, 300_000);
});
