import type { ServiceName } from '../../src/domain/ids.ts';
import { brokenActivation, brokenOutcome } from '../support/invariants.ts';
import { packReleases, startLoneHost, type LoneHost, type LoneReleases } from '../support/lone-host.ts';
import { exampleProduct as product } from '../support/stack.ts';
import { planRestartWalk, planWalk, type SteppedRun } from '../support/walk-plan.ts';

interface Scenario {
  readonly name: string;
  readonly phase: 'setup' | 'installed';
  plan(lone: LoneHost, releases: LoneReleases, fence: number): Promise<SteppedRun>;
  /** The first step after which clients may be answered by the new release. */
  readonly shifts: string | null;
  readonly serves: string;
}

const scenarios: readonly Scenario[] = [
  { name: 'a promotion', phase: 'setup', shifts: null, serves: 'r1', plan: ({ host }, { artifactOf }, fence) => planWalk(host, artifactOf('r1'), fence, { promotion: true }) },
  { name: 'a blue-green update', phase: 'installed', shifts: 'activate', serves: 'r2', plan: ({ host }, { artifactOf }, fence) => planWalk(host, artifactOf('r2'), fence, { strategy: 'blue-green' }) },
  { name: 'a canary', phase: 'installed', shifts: 'shift', serves: 'r2', plan: ({ host }, { artifactOf }, fence) => planWalk(host, artifactOf('r2'), fence, { strategy: 'canary' }) },
  { name: 'a restart', phase: 'installed', shifts: null, serves: 'r1', plan: ({ host }, _releases, fence) => planRestartWalk(host, product, 'api' as ServiceName, fence) },
];

/** Everything of the host is killed at once at each step of the run, and then only the agent is started: control is away. The run comes back after that. Guarantees 1, 2, 9 and 10. */
describe('the power of a host is cut in a run that has instances beside others, and control is away when it comes back', () => {
  let releases: LoneReleases;
  let lone: LoneHost;

  beforeAll(async () => {
    releases = await packReleases({ r1: async () => undefined, r2: async () => undefined });
  }, 120_000);
  afterAll(() => releases?.end());
  beforeEach(async () => {
    lone = await startLoneHost(releases);
  }, 60_000);
  afterEach(() => lone.end());

  test.each(scenarios)('at each step of $name: the product serves again from a complete release, and the run goes on from there to its end', async ({ phase, plan, shifts, serves }) => {
    const installed = await planWalk(lone.host, releases.artifactOf('r1'), 1, { phase });
    for (const step of installed.steps) await step.take(lone.host);
    if (phase === 'setup') {
      const address = `http://127.0.0.1:${(await lone.state()).router?.port}`;
      const answer = await fetch(`${address}/api/setup/complete`, { method: 'POST', headers: { connection: 'close' }, body: JSON.stringify({ publicOrigin: 'https://noderax.example.org', administrator: 'ops' }) });
      expect(answer.status).toBe(200);
    }
    const run = await plan(lone, releases, 2);
    const served: string[] = [];
    for (const step of run.steps) {
      await step.take(lone.host);
      await lone.cutPower();
      await lone.startAgent();
      served.push(`${step.title}: ${await lone.served()}`);
      expect([step.title, await brokenActivation(lone.root, product)]).toEqual([step.title, []]);
      // The run comes back. In this test it is not the agent's, which would be in its way.
      await lone.endAgent();
    }
    expect(await brokenOutcome(lone.root, run.report())).toEqual([]);
    const before = shifts === null ? served : served.slice(0, served.findIndex((line) => line.startsWith(shifts)));
    expect(before.filter((line) => !line.endsWith(': r1'))).toEqual([]);
    expect(served.at(-1)).toBe(`close-intent: ${serves}`);
    expect((await lone.state()).phase).toBe('installed');
    expect((await lone.state()).split ?? null).toBeNull();
  }, 300_000);
});
