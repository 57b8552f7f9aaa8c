import type { RunReport } from '../../src/domain/run/report.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenGuarantees, brokenRestarts } from '../support/invariants.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { holdLongClients, unfelt, type LongStory } from '../support/long-clients.ts';
import { describeWith, program, type Requirement } from '../support/requirement.ts';
import { shortDrain, startStack, type Stack } from '../support/stack.ts';

const routers: readonly { readonly router: 'nginx' | 'embedded'; readonly needs: readonly Requirement[] }[] = [
  { router: 'nginx', needs: [program('nginx')] },
  { router: 'embedded', needs: [] },
];
const postShare = 0.2;
/** The load itself: nothing is waited for but that clients go on for a while. */
const asking = () => new Promise((resolve) => setTimeout(resolve, 700));

/** Clients do not feel an update, nor its rollback: 200 requests a second on connections that are kept, a fifth of them POST. */
for (const { router, needs } of routers) {
  describeWith(needs, `under load, through the ${router} router`, () => {
    let stack: Stack;
    let rowsBefore = 0;
    beforeAll(async () => {
      stack = await startStack({ replace: { env: { FAIRLEAD_ROUTER: router } } });
      for (const releaseId of ['r1', 'r2']) await stack.publish(releaseId, { edit: shortDrain });
      await stack.publish('r3', { edit: shortDrain, faults: { crashAtStart: true, only: 'api-b' } });
      expect((await stack.apply('h1', 'r1', { phase: 'installed' })).outcome).toBe('succeeded');
    }, 120_000);
    afterAll(() => stack?.end(), 60_000);

    const root = () => stack.dev.summary.hosts[0]?.root as string;
    const rowsStored = async (): Promise<number> => ((await (await fetch(`${await stack.address('h1')}/api/rows`, { headers: { connection: 'close' } })).json()) as { total: number }).total;

    /** Applies a release while clients ask, from a moment before it until a moment after it. */
    async function applyUnderLoad(releaseId: string): Promise<{ report: RunReport; load: LoadResult; long: LongStory; boots: string[] }> {
      const address = await stack.address('h1');
      const bootsBefore = (await bootsOf(root(), stack.product)).length;
      rowsBefore = await rowsStored();
      const clients = startLoad({ urls: ['/api/health', '/', '/api/rows', '/web/health'].map((path) => address + path), postUrl: `${address}/api/rows`, postShare, requestsPerSecond: 200, connections: 12 });
      const stay = await holdLongClients(address);
      let report: RunReport;
      let load: LoadResult;
      let long: LongStory;
      try {
        await asking(); // Connections are open and in use before anything moves.
        report = await stack.apply('h1', releaseId);
        await asking(); // And they are still in use on the release that serves then.
      } finally {
        [load, long] = await Promise.all([clients.stop(), stay.end()]);
      }
      const boots = (await bootsOf(root(), stack.product)).slice(bootsBefore);
      expect(brokenRestarts(boots)).toEqual([]);
      return { report, load, long, boots: boots.map(({ instance, releaseId: id }) => `${instance} ${id}`).sort() };
    }

    /** No request failed, and what was written is there, each once. */
    async function expectNothingFelt(load: LoadResult): Promise<void> {
      expect(load.failed).toEqual([]);
      expect(load.succeeded).toBe(load.sent);
      expect(load.sent).toBeGreaterThan(200);
      const posted = Math.floor(load.sent * postShare);
      expect((await rowsStored()) - rowsBefore).toBe(posted);
    }

    test('the host uses the router that it was told to use', async () => {
      // The host tells of its products beside the run.
      const [told] = await eventually('control hears of the product', async () => {
        const { products } = (await stack.ask<{ products: { router: string }[] }>('GET', '/api/hosts/h1')).body;
        return products.length > 0 && products;
      });
      expect(told?.router).toBe(router);
    });

    /** Guarantees 3 and 12. */
    test('an update: no request fails, no row is lost or doubled, both releases answer, each instance starts once', async () => {
      const { report, load, long, boots } = await applyUnderLoad('r2');
      expect(report.outcome).toBe('succeeded');
      await expectNothingFelt(load);
      expect(long).toEqual(unfelt);
      expect(Object.keys(load.byReleaseId).sort()).toEqual(['r1', 'r2']);
      expect(Object.values(load.byReleaseId).every((answers) => answers > 50)).toBe(true);
      expect(boots).toEqual(['api-a r2', 'api-b r2']);
      expect(report.steps.filter(({ name }) => name === 'restart').map(({ instance, attempts }) => [instance, attempts])).toEqual(['api-a', 'api-b', 'web-a', 'web-b'].map((instance) => [instance, 1]));
      expect(await brokenGuarantees(stack, report)).toEqual([]);
    }, 240_000);

    /** Guarantee 12. */
    test('a rollback: an instance of the new release crashes, and no client has noticed', async () => {
      const { report, load, long, boots } = await applyUnderLoad('r3');
      expect([report.outcome, report.reason?.class]).toEqual(['rolled_back', 'release']);
      await expectNothingFelt(load);
      expect(long).toEqual(unfelt);
      // The bad release served on its first instance until the second one crashed.
      expect(Object.keys(load.byReleaseId).sort()).toEqual(['r2', 'r3']);
      expect(boots).toEqual(['api-a r2', 'api-a r3', 'api-b r2', 'api-b r3']);
      expect(await brokenGuarantees(stack, report)).toEqual([]);
    }, 240_000);
  });
}
