import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { RunReport, StepReport, Waiting } from '../../src/domain/run/report.ts';
import { bootsOf, brokenGuarantees } from '../support/invariants.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { holdLongClients, unfelt, type LongStory } from '../support/long-clients.ts';
import { describeWith, program, type Requirement } from '../support/requirement.ts';
import { quick, shortDrain, startStack, type Stack } from '../support/stack.ts';

const routers: readonly { readonly router: 'nginx' | 'embedded'; readonly needs: readonly Requirement[] }[] = [
  { router: 'nginx', needs: [program('nginx')] },
  { router: 'embedded', needs: [] },
];
/** Of the clients that ask all the time. */
const connections = 12;
const asking = (ms = 700) => new Promise((resolve) => setTimeout(resolve, ms));

/** Latencies on a busy machine say nothing. */
async function noLatency(directory: string): Promise<void> {
  await shortDrain(directory);
  const file = join(directory, 'fairlead.yaml');
  await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace('maxLatencyRatio: 2', 'maxLatencyRatio: null'));
}

/** A release beside the old one: all requests at once, or in tiers that are judged. Clients do not feel it. */
for (const { router, needs } of routers) {
  describeWith(needs, `releases beside the old one, through the ${router} router`, () => {
    let stack: Stack;
    beforeAll(async () => {
      stack = await startStack({ replace: { env: { FAIRLEAD_ROUTER: router } } });
      for (const releaseId of ['r1', 'r2', 'r3']) await stack.publish(releaseId, { edit: noLatency });
      await stack.publish('crashing', { edit: noLatency, faults: { crashAtStart: true, only: 'web-b-green' } });
      await stack.publish('failing', { edit: noLatency, faults: { errorShare: 0.5, only: 'api' } });
      expect((await stack.apply('h1', 'r1', { phase: 'installed' })).outcome).toBe('succeeded');
    }, 240_000);
    afterAll(() => stack?.end(), 60_000);

    const root = () => stack.dev.summary.hosts[0]?.root as string;
    const instances = async () => Object.keys((await stack.state('h1')).instances).sort();
    const stepsNamed = (report: RunReport, name: string): StepReport[] => report.steps.filter((step) => step.name === name && step.direction === 'do');

    /** Applies a release while clients ask 200 times a second, and reads the disk afterwards. */
    async function applyUnderLoad(releaseId: string, more: Record<string, unknown>): Promise<{ report: RunReport; load: LoadResult; long: LongStory }> {
      const address = await stack.address('h1');
      const bootsBefore = (await bootsOf(root(), stack.product)).length;
      const clients = startLoad({ urls: ['/api/rows', '/', '/web/health'].map((path) => address + path), postUrl: `${address}/api/rows`, postShare: 0.2, requestsPerSecond: 200, connections });
      const stay = await holdLongClients(address);
      let report: RunReport;
      let load: LoadResult;
      let long: LongStory;
      try {
        await asking();
        report = await stack.apply('h1', releaseId, { ...quick, ...more });
        await asking();
      } finally {
        [load, long] = await Promise.all([clients.stop(), stay.end()]);
      }
      expect(await brokenGuarantees(stack, report, (await bootsOf(root(), stack.product)).slice(bootsBefore))).toEqual([]);
      return { report, load, long };
    }

    test('blue-green, an instance of the idle colour crashes: rolled back, and no request ever went to it', async () => {
      const { report, load, long } = await applyUnderLoad('crashing', { strategy: 'blue-green', holdSeconds: 1 });
      expect([report.outcome, report.reason?.code]).toEqual(['rolled_back', 'instance_exited']);
      expect([load.failed, Object.keys(load.byReleaseId), long]).toEqual([[], ['r1'], { ...unfelt, socket: { breaks: [], announced: [], reconnects: 0 } }]);
      expect(stepsNamed(report, 'shift')).toEqual([]);
      expect(await instances()).toEqual(['api-a', 'api-b', 'web-a', 'web-b']);
    }, 240_000);

    /** Guarantee 12. */
    test('blue-green with a WebSocket, a long poll and an upload: one flip, none fails, the old colour is stopped at the end', async () => {
      const { report, load, long } = await applyUnderLoad('r2', { strategy: 'blue-green', holdSeconds: 1 });
      expect([report.outcome, report.reason]).toEqual(['succeeded', null]);
      expect([load.failed, load.succeeded]).toEqual([[], load.sent]);
      expect(Object.keys(load.byReleaseId).sort()).toEqual(['r1', 'r2']);
      expect(long).toEqual(unfelt);
      expect(long.socket.announced).toEqual([1012]);
      expect(stepsNamed(report, 'shift').map(({ note }) => note)).toEqual(['100 % to api-a-green, api-b-green, web-a-green, web-b-green']);
      expect(stepsNamed(report, 'hold')[0]?.note).toMatch(/healthy for \d+\.\d s with the old instances kept warm/);
      expect(await instances()).toEqual(['api-a-green', 'api-b-green', 'web-a-green', 'web-b-green']);
    }, 240_000);

    test('a canary: each tier gets its share, which the report measures; then all', async () => {
      const { report, load, long } = await applyUnderLoad('r3', { strategy: 'canary', tiers: [10, 50], holdSeconds: 4 });
      expect([report.outcome, report.reason]).toEqual(['succeeded', null]);
      expect([load.failed, load.succeeded, long]).toEqual([[], load.sent, unfelt]);
      const told = stepsNamed(report, 'hold').map(({ note }) => {
        const found = /(\d+) of (\d+) requests \(.+? %\) went to the new release, 0 failed/.exec(note ?? '');
        return { fresh: Number(found?.[1]), total: Number(found?.[2]) };
      });
      const shares = told.map(({ fresh, total }) => (100 * fresh) / total);
      expect(shares).toHaveLength(3);
      expect(Math.abs((shares[0] as number) - 10)).toBeLessThan(3);
      expect(Math.abs((shares[1] as number) - 50)).toBeLessThan(3);
      // A request that was on its way at the last shift ends after it, on the old release: one of each connection at most, beside what stays for long.
      expect(shares[2]).toBeGreaterThan(90);
      expect(told[2]!.total - told[2]!.fresh).toBeLessThanOrEqual(connections + 3);
      expect(await instances()).toEqual(['api-a', 'api-b', 'web-a', 'web-b']);
    }, 240_000);

    test('a canary that fails requests: rolled back at its first tier, with what was measured; few clients have felt it', async () => {
      const { report, load } = await applyUnderLoad('failing', { strategy: 'canary', tiers: [10, 50], holdSeconds: 20 });
      expect([report.outcome, report.reason?.class, report.reason?.code]).toEqual(['rolled_back', 'release', 'canary_errors']);
      expect(report.reason?.message).toMatch(/^At 10 % of the traffic: \d+ of \d+ requests/);
      expect(load.failed.length).toBeGreaterThan(0);
      expect(load.failed.length / load.sent).toBeLessThan(0.12);
      expect((await stack.state('h1')).split ?? null).toBeNull();
      expect(await instances()).toEqual(['api-a', 'api-b', 'web-a', 'web-b']);
    }, 240_000);

    /** Guarantee 11. */
    test('a canary without requests: waits, says for what and until when, and a cancel rolls it back', async () => {
      const runId = await stack.start('h1', 'r2', { ...quick, strategy: 'canary', tiers: [10], holdSeconds: 0 });
      let waiting: Waiting | null = null;
      while (waiting === null) {
        const { body } = await stack.ask<{ progress: { waiting: Waiting | null } | null }>('GET', `/api/updates/status?host=h1&product=${stack.product}`);
        // A busy host may be waited for before.
        waiting = body.progress?.waiting?.for.includes('something to judge') ? body.progress.waiting : null;
        await asking(100);
      }
      expect(waiting).toMatchObject({ for: expect.stringContaining('something to judge 10 % of the traffic by'), until: expect.any(String), release: expect.stringContaining('cancels') });
      expect((await stack.fairlead('runs', 'cancel', runId, '--reason', 'nobody asks')).exitCode).toBe(0);
      const report = await stack.report(runId);
      expect(report.outcome).toBe('cancelled');
      expect(await brokenGuarantees(stack, report)).toEqual([]);
    }, 240_000);
  });
}
