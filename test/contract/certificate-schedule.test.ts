import { Context } from '@temporalio/activity';
import { NativeConnection, Worker } from '@temporalio/worker';
import { keepSchedules } from '../../src/adapters/temporal/schedules.ts';
import { certificateWorkflowId, controlTaskQueue, hostTaskQueue, type HostId, type ProductName } from '../../src/domain/ids.ts';
import { certificateSchedule, certificateSweepWorkflow } from '../../src/domain/run/names.ts';
import type { CertificatePlace, CertificateRow } from '../../src/ports/certificate-registry.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';
import type { SweepCourse, SweepResult } from '../../workflows/certificate-sweep.ts';
import { sampleCertificateRequest, sampleLook, samplePair } from '../support/certificate-run-samples.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';

let temporal: TestTemporal;
beforeAll(async () => {
  temporal = await startTemporal('nobody');
}, 120_000);
afterAll(() => temporal?.end(), 60_000);

test('what an operator has paused by hand stays paused with its note when control starts again, also with another interval', async () => {
  const keep = (certificateSweepSeconds: number) => keepSchedules({ address: temporal.address, namespace: 'default', certificateSweepSeconds, releaseCheckSeconds: 86_400 });
  const handle = temporal.client.schedule.getHandle(certificateSchedule);
  const seen = async () => {
    const { state, spec, policies } = await handle.describe();
    return { paused: state.paused, note: state.note, every: spec.intervals?.map(({ every }) => every), overlap: policies.overlap };
  };
  await Promise.all([keep(86_400), keep(86_400)]);
  expect(await seen()).toMatchObject({ paused: false, every: [86_400_000], overlap: 'SKIP' });
  await handle.pause('while the CA is looked into');
  await keep(43_200);
  expect(await seen()).toEqual({ paused: true, note: 'while the CA is looked into', every: [43_200_000], overlap: 'SKIP' });
  await handle.unpause();
  await keep(43_200);
  expect((await seen()).paused).toBe(false);
  // A sweep of its own would be seen by the tests below. Intervals are counted from the epoch: one of an hour may end at any time.
  await handle.delete();
}, 60_000);

describe('a sweep of more certificates than one page holds', () => {
  const host = 'h1' as HostId;
  const now = '2026-10-01T00:00:00.000Z';
  const rows: readonly CertificateRow[] = Array.from({ length: 1_030 }, (_, at) => ({
    host,
    product: `p${String(at).padStart(4, '0')}` as ProductName,
    wish: sampleCertificateRequest().wish,
    facts: samplePair,
    plan: sampleLook().plan,
    lookedAt: now,
    lastTry: null,
    failures: 0,
    nextTryAt: null,
  }));
  /** The others wait for their next try. */
  const isLooked = ({ product }: Pick<CertificateRow, 'product'>): boolean => Number(product.slice(1)) % 5 === 0;
  const looked: string[] = [];
  const pages: { readonly limit?: number; readonly size: number }[] = [];
  /** Does not answer, and is due. */
  const [away, due] = [rows[5], rows[1_025]].map((row) => (row as CertificateRow).product) as [ProductName, ProductName];
  let end: () => Promise<void> = async () => undefined;

  beforeAll(async () => {
    const connection = await NativeConnection.connect({ address: temporal.address });
    const control = {
      async listCertificates({ after, limit }: { after: CertificatePlace | null; limit: number }) {
        const page = rows.filter(({ product }) => after === null || product > after.product).slice(0, limit);
        pages.push({ limit, size: page.length });
        return { certificates: page.filter(isLooked), next: page.length < limit ? null : { host, product: page.at(-1)?.product } };
      },
      noteCertificate: async () => undefined,
      // The renewal that is started gets no further than here.
      openCertificateRun: () => Context.current().cancelled,
    };
    const agent = {
      async lookAtCertificate({ product }: CertificatePlace) {
        if (product === away) throw new Error('away');
        looked.push(product);
        return { value: sampleLook({ product, ...(product === due ? { lookedAt: '2026-11-05T00:00:00.000Z' } : {}) }), attempt: 1 };
      },
    };
    const workers = [
      await Worker.create({ connection, taskQueue: controlTaskQueue, workflowBundle: { codePath: await workflowBundle() }, activities: control }),
      await Worker.create({ connection, taskQueue: hostTaskQueue(host), activities: agent }),
    ];
    const running = workers.map((worker) => worker.run());
    end = async () => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(running);
      await connection.close();
    };
  }, 120_000);
  afterAll(() => end(), 60_000);
  beforeEach(() => {
    looked.length = 0;
    pages.length = 0;
  });
  const sweep = async (...args: [Partial<SweepCourse>] | []) => {
    const handle = await temporal.client.workflow.start(certificateSweepWorkflow, { workflowId: 'certificate-sweep', taskQueue: controlTaskQueue, args });
    const result = (await handle.result()) as SweepResult;
    // The id without a run is that of the chain's last execution.
    const { historyLength } = await temporal.client.workflow.getHandle('certificate-sweep').describe();
    const child = temporal.client.workflow.getHandle(certificateWorkflowId(host, due));
    if (result.started.length > 0) await child.terminate('nobody is here to carry it out');
    return { result, historyLength };
  };

  test('of 1,030 each that is to be looked at is so once, in pages and over two executions; one that does not answer and one that is due are told', async () => {
    const { result, historyLength } = await sweep();
    expect(result).toEqual({ looked: 206, started: [`h1/${due}`], away: [`h1/${away}`] });
    expect([...looked].sort()).toEqual(rows.filter(isLooked).map(({ product }) => product).filter((product) => product !== away));
    expect(pages).toEqual([...Array.from({ length: 5 }, () => ({ limit: 200, size: 200 })), { limit: 200, size: 30 }]);
    // The history begins anew with the second execution, which had six to look at.
    expect(historyLength).toBeLessThan(150);
  }, 240_000);

  test('a page that ends with the last one is followed by an empty one, and nothing is looked at twice', async () => {
    const { result } = await sweep({ after: { host, product: 'p0999' as ProductName }, page: 10, pages: 2 });
    expect(result).toMatchObject({ looked: 6, started: [`h1/${due}`] });
    expect(pages.map(({ size }) => size)).toEqual([10, 10, 10, 0]);
    expect(new Set(looked).size).toBe(6);
  }, 120_000);
});
