import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { FairleadError } from '../../src/domain/failure.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostAct } from '../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { brokenActivation, brokenOutcome } from '../support/invariants.ts';
import { packReleases, servesMs, startLoneHost, type LoneHost, type LoneReleases } from '../support/lone-host.ts';
import { exampleProduct as product } from '../support/stack.ts';
import { planWalk, type SteppedRun, type Walk } from '../support/walk-plan.ts';

const [r1, r2, r3] = ['r1', 'r2', 'r3'] as [ReleaseId, ReleaseId, ReleaseId];
const apiA = 'api-a' as InstanceName;

/** @param instances short names of the one service */
const declaring = (instances: readonly string[]) => async (directory: string): Promise<void> => {
  const file = join(directory, 'fairlead.yaml');
  const text = (await fs.readFile(file, 'utf8')).replace('installed: [a, b]', `installed: [${instances.join(', ')}]`);
  await fs.writeFile(file, instances.includes('b') ? text : text.replace(', b: 4012', ''));
};

/** Guarantees 1, 2, 9 and 10. */
describe.each([[['a', 'b']], [['a']]])('the power of a host with the instances %j is cut, and control is away when it comes back', (instances) => {
  let releases: LoneReleases;
  let lone: LoneHost;
  let fence = 0;

  beforeAll(async () => {
    const sound = declaring(instances);
    const endsAtOnce = async (directory: string) => {
      await sound(directory);
      await fs.writeFile(join(directory, 'faults.json'), JSON.stringify({ crashAtStart: true }));
    };
    releases = await packReleases({ r1: sound, r2: sound, r3: endsAtOnce });
  }, 120_000);
  afterAll(() => releases?.end());
  beforeEach(async () => {
    lone = await startLoneHost(releases);
    await walkThrough(await plan(r1));
  }, 60_000);
  afterEach(() => lone.end());

  const plan = (releaseId: ReleaseId): Promise<Walk> => planWalk(lone.host, releases.artifactOf(releaseId), (fence += 1));
  const walkThrough = async (walk: SteppedRun) => {
    for (const step of walk.steps) await step.take(lone.host);
  };

  test('at each step of an update: the product serves again from a complete release, and the run goes on from there to its end', async () => {
    const walk = await plan(r2);
    const served: string[] = [];
    for (const step of walk.steps) {
      await step.take(lone.host);
      await lone.cutPower();
      await lone.startAgent();
      served.push(`${step.title}: ${await lone.served()}`);
      expect([step.title, await brokenActivation(lone.root, product)]).toEqual([step.title, []]);
      // The run comes back. In this test it is not the agent's, which would be in its way.
      await lone.endAgent();
    }
    expect(await brokenOutcome(lone.root, walk.report())).toEqual([]);
    const before = served.slice(0, served.findIndex((line) => line.startsWith('activate')));
    expect(before.filter((line) => !line.endsWith(': r1'))).toEqual([]);
    expect(served.at(-1)).toBe('close-intent: r2');
    expect(served).toContain('commit: r2');
  }, 180_000);

  test('the new release does not start: clients are served by the last good one, and the run finds so when it comes back', async () => {
    const walk = await plan(r3);
    const upTo = walk.plan.steps.findIndex((step) => step.name === 'restart');
    for (const step of walk.plan.steps.slice(0, upTo + 1)) await walk.take(lone.host, step);
    expect((await lone.state()).instances[apiA]).toMatchObject({ releaseId: r3, admitted: false });
    const { startedBy } = (await lone.state()).instances[apiA] ?? {};
    await lone.cutPower();
    await lone.startAgent();
    expect(await lone.served()).toBe(r1);
    await eventually('api-a runs r1 again', async () => (await lone.state()).instances[apiA]?.releaseId === r1 && (await lone.host.services.status({ product, service: 'api' as never, instance: apiA })).releaseId === r1, servesMs);
    expect((await lone.state()).instances[apiA]?.startedBy).toBe(startedBy);
    expect([(await lone.state()).activeReleaseId, (await lone.host.store.readIntent(product))?.runId]).toEqual([r3, walk.run.runId]);
    const acts = JSON.parse(await fs.readFile(join(hostLayout(lone.root, product).fairleadDir, 'acts.json'), 'utf8')) as HostAct[];
    expect(acts).toContainEqual(expect.objectContaining({ act: 'put_back', subject: 'api-a' }));
    await lone.endAgent();

    // What was restarted once is not restarted a second time, and the proof fails: the run goes back, and the release is condemned for it.
    const [restart, prove] = walk.plan.steps.slice(upTo, upTo + 2);
    if (!restart || !prove) throw new Error('the plan has no such steps');
    await walk.take(lone.host, restart);
    expect((await lone.host.services.status({ product, service: 'api' as never, instance: apiA })).releaseId).toBe(r1);
    const failure = await walk.take(lone.host, prove).then(() => null, (error: FairleadError) => error.reason);
    expect(failure).toMatchObject({ class: 'release', code: 'wrong_release_answers' });
  }, 90_000);

  test('somebody broke `current` as well: the product serves all the same', async () => {
    const { currentLink } = hostLayout(lone.root, product);
    await fs.rm(currentLink);
    await fs.symlink('/nowhere', currentLink);
    await lone.cutPower();
    await lone.startAgent();
    expect(await lone.served()).toBe(r1);
  }, 60_000);
});
