import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostDependencies } from '../../activities/host/dependencies.ts';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import { findByEnvironment, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import type { FairleadError } from '../../src/domain/failure.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostAct, HostState } from '../../src/domain/host/state.ts';
import type { HostId, InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import { stepTitle } from '../../src/domain/update/step.ts';
import { agentCommand, agentEnvironment } from '../../src/runtime/agent-command.ts';
import { composeHost } from '../../src/runtime/agent/host.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { startArtifactServer } from '../support/artifact-server.ts';
import { createHostRoot, eventually, freePort } from '../support/host-root.ts';
import { brokenActivation, brokenOutcome } from '../support/invariants.ts';
import { cutDown } from '../support/matrix-product.ts';
import { exampleProduct as product, project } from '../support/stack.ts';
import { planWalk, type Walk } from '../support/walk-plan.ts';
import type { Packed } from '../support/walked-product.ts';

const [r1, r2, r3] = ['r1', 'r2', 'r3'] as [ReleaseId, ReleaseId, ReleaseId];
const apiA = 'api-a' as InstanceName;
const servesMs = 30_000;

/** Packs r1 and r2, which are sound, and r3, which ends as soon as it is started. @param instances short names of the one service */
async function pack(work: string, instances: readonly string[]): Promise<Packed[]> {
  return Promise.all(
    [r1, r2, r3].map(async (releaseId) => {
      const directory = await fs.mkdtemp(join(work, `source-${releaseId}-`));
      await fs.cp(join(project, 'examples/noderax-platform'), directory, { recursive: true });
      await cutDown(directory);
      const file = join(directory, 'fairlead.yaml');
      const text = (await fs.readFile(file, 'utf8')).replace('installed: [a, b]', `installed: [${instances.join(', ')}]`).replace('startSeconds: 5', 'startSeconds: 2');
      await fs.writeFile(file, instances.includes('b') ? text : text.replace(', b: 4012', ''));
      if (releaseId === r3) await fs.writeFile(join(directory, 'faults.json'), JSON.stringify({ crashAtStart: true }));
      const output = join(work, `${releaseId}-${instances.join('')}.tar.zst`);
      return { file: output, artifact: await createBundle({ directory, releaseId, format: 'zst', output }) };
    }),
  );
}

/** A host of real processes. Steps are taken in this process, as a run would; the agent is a process of its own that nobody answers. */
describe.each([[['a', 'b']], [['a']]])('the power of a host with the instances %j is cut, and control is away when it comes back', (instances) => {
  let work: string;
  let agentFile: string;
  let packed: Packed[];
  let server: Awaited<ReturnType<typeof startArtifactServer>>;
  let place: Awaited<ReturnType<typeof createHostRoot>>;
  let host: HostDependencies;
  let agent: ChildProcess | null = null;
  let fence = 0;

  beforeAll(async () => {
    work = await fs.mkdtemp(join(tmpdir(), 'fairlead-alone-'));
    agentFile = (await buildAgent()).file;
    packed = await pack(work, instances);
    server = await startArtifactServer(packed);
  }, 120_000);
  afterAll(async () => {
    await server?.end();
    await fs.rm(work, { recursive: true, force: true });
  });
  beforeEach(async () => {
    place = await createHostRoot();
    const { root } = place;
    const routerEntry = [process.execPath, agentFile, 'router'];
    const composed = await composeHost({ hostId: 'h1' as HostId, root, ports: 'free', router: 'embedded', services: 'embedded', routerAddress: '127.0.0.1', apiUrl: 'http://127.0.0.1:1', readKey: async () => 'none', routerEntry });
    host = { ...composed, artifacts: server.artifacts };
    await walkThrough(await plan(r1));
  }, 60_000);
  afterEach(async () => {
    await endAgent();
    await place.end();
  });

  const plan = (releaseId: ReleaseId): Promise<Walk> => planWalk(host, (packed.find(({ artifact }) => artifact.releaseId === releaseId) as Packed).artifact, (fence += 1));
  const walkThrough = async (walk: Walk) => {
    for (const step of walk.plan.steps) await walk.take(host, step);
  };
  const state = async () => (await host.store.readState(product)) as HostState;

  /** Everything of the host dies at once. The disk is left as it is: what a cut does to that is another suite's subject. */
  async function cutPower(): Promise<void> {
    await endAgent();
    const all = await findByEnvironment({ FAIRLEAD_ROOT: place.root });
    for (const victim of all) await signalProcess(victim, 'SIGKILL');
    for (const victim of all) expect(await waitForEnd(victim, 5_000)).toBe(true);
  }

  async function startAgent(): Promise<void> {
    const closed = await freePort();
    const [file = '', ...argv] = agentCommand(agentFile);
    agent = spawn(file, argv, {
      env: {
        PATH: process.env['PATH'] ?? '', ...agentEnvironment, FAIRLEAD_ROLE: 'node', FAIRLEAD_HOST_ID: 'h1', FAIRLEAD_ROOT: place.root, FAIRLEAD_API_URL: `http://127.0.0.1:${closed}`, FAIRLEAD_API_KEY: 'none',
        FAIRLEAD_TEMPORAL_ADDRESS: `127.0.0.1:${closed}`, FAIRLEAD_PORTS: 'free', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEALTH_LISTEN: '127.0.0.1:0', FAIRLEAD_LOG_LEVEL: 'warn',
      },
      stdio: 'ignore',
    });
  }
  async function endAgent(): Promise<void> {
    const child = agent;
    agent = null;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Clients get an answer, and it comes from a release that is complete. */
  async function expectServed(): Promise<string> {
    const port = (await state()).router?.port;
    const releaseId = await eventually(
      'an answer through the router',
      async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(2_000) });
        return answer.status === 200 ? ((await answer.json()) as { releaseId: string }).releaseId : null;
      },
      servesMs,
    );
    expect(await host.releases.isComplete(product, releaseId as ReleaseId)).toBe(true);
    return releaseId;
  }

  test('at each step of an update: the product serves again from a complete release, and the run goes on from there to its end', async () => {
    const walk = await plan(r2);
    const served: string[] = [];
    for (const step of walk.plan.steps) {
      await walk.take(host, step);
      await cutPower();
      await startAgent();
      served.push(`${stepTitle(step)}: ${await expectServed()}`);
      expect([stepTitle(step), await brokenActivation(place.root, product)]).toEqual([stepTitle(step), []]);
      // The run comes back. In this test it is not the agent's, which would be in its way.
      await endAgent();
    }
    expect(await brokenOutcome(place.root, walk.report())).toEqual([]);
    const before = served.slice(0, served.findIndex((line) => line.startsWith('activate')));
    expect(before.filter((line) => !line.endsWith(': r1'))).toEqual([]);
    expect(served.at(-1)).toBe('close-intent: r2');
    expect(served).toContain('commit: r2');
  }, 180_000);

  test('the new release does not start: clients are served by the last good one, and the run finds so when it comes back', async () => {
    const walk = await plan(r3);
    const upTo = walk.plan.steps.findIndex((step) => step.name === 'restart');
    for (const step of walk.plan.steps.slice(0, upTo + 1)) await walk.take(host, step);
    expect((await state()).instances[apiA]).toMatchObject({ releaseId: r3, admitted: false });
    const { startedBy } = (await state()).instances[apiA] ?? {};
    await cutPower();
    await startAgent();
    expect(await expectServed()).toBe(r1);
    await eventually('api-a runs r1 again', async () => (await state()).instances[apiA]?.releaseId === r1 && (await host.services.status({ product, service: 'api' as never, instance: apiA })).releaseId === r1, servesMs);
    expect((await state()).instances[apiA]?.startedBy).toBe(startedBy);
    expect([(await state()).activeReleaseId, (await host.store.readIntent(product))?.runId]).toEqual([r3, walk.run.runId]);
    const acts = JSON.parse(await fs.readFile(join(hostLayout(place.root, product).fairleadDir, 'acts.json'), 'utf8')) as HostAct[];
    expect(acts).toContainEqual(expect.objectContaining({ act: 'put_back', subject: 'api-a' }));
    await endAgent();

    // What was restarted once is not restarted a second time, and the proof fails: the run goes back, and the release is condemned for it.
    const [restart, prove] = walk.plan.steps.slice(upTo, upTo + 2);
    if (!restart || !prove) throw new Error('the plan has no such steps');
    await walk.take(host, restart);
    expect((await host.services.status({ product, service: 'api' as never, instance: apiA })).releaseId).toBe(r1);
    const failure = await walk.take(host, prove).then(() => null, (error: FairleadError) => error.reason);
    expect(failure).toMatchObject({ class: 'release', code: 'wrong_release_answers' });
  }, 90_000);

  test('somebody broke `current` as well: the product serves all the same', async () => {
    const { currentLink } = hostLayout(place.root, product);
    await fs.rm(currentLink);
    await fs.symlink('/nowhere', currentLink);
    await cutPower();
    await startAgent();
    expect(await expectServed()).toBe(r1);
  }, 60_000);
});
