import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { RunId } from '../../src/domain/ids.ts';
import { switchOff } from '../../src/runtime/dev/power.ts';
import { makeNodeImage } from '../support/compose-machine.ts';
import { startDockerDaemon, type DockerDaemon } from '../support/docker-daemon.ts';
import { destroyDevDirectory } from '../support/dev.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenActivation, brokenOutcome, brokenRestarts } from '../support/invariants.ts';
import { startDevProgram } from '../support/killable-dev.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { describeWith, givenMachine, program, root } from '../support/requirement.ts';
import { exampleProduct as product, startStack, startWithin, type Stack } from '../support/stack.ts';

const image = 'fairlead-test/node:e2e';
const instances = ['api-a', 'api-b', 'web-a', 'web-b'];
/** The load itself: nothing is waited for but that clients go on for a while. */
const asking = () => new Promise((resolve) => setTimeout(resolve, 700));

/** Never ready, and waited for so long that the control plane dies first. */
const longStart = startWithin(600);

describeWith([givenMachine, root, program('dockerd'), program('docker-compose'), program('setpriv')], 'a host that runs its instances in containers', () => {
  let daemon: DockerDaemon;
  let dir: string;
  let stack: Stack;

  const hostRoot = (): string => join(dir, 'hosts', 'h1');
  const stateOf = async (): Promise<HostState> => JSON.parse(await readFile(hostLayout(hostRoot(), product).stateFile, 'utf8')) as HostState;
  /** Instance and release of every container of the host that runs. */
  const containers = async (): Promise<string[]> => {
    const labels = '{{.Label "fairlead.instance"}} {{.Label "fairlead.release"}}';
    return (await daemon.docker('ps', '--filter', `label=fairlead.root=${hostRoot()}`, '--format', labels)).split('\n').filter((line) => line !== '').sort();
  };
  const all = (releaseId: string): string[] => instances.map((instance) => `${instance} ${releaseId}`);

  beforeAll(async () => {
    daemon = await startDockerDaemon();
    dir = await mkdtemp(join(tmpdir(), 'fairlead-compose-'));
    await makeNodeImage(daemon, image);
    stack = await startStack({
      dir,
      start: startDevProgram,
      replace: { env: { FAIRLEAD_SERVICES: 'compose', FAIRLEAD_COMPOSE_IMAGE: image, DOCKER_HOST: daemon.host, FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000' } },
    });
    for (const releaseId of ['r1', 'r2', 'r4']) await stack.publish(releaseId);
    await stack.publish('r3', { faults: { crashAtStart: true, only: 'api-b' } });
    await stack.publish('r5', { edit: longStart, faults: { notReady: true, only: 'api-b' } });
  }, 180_000);
  afterAll(async () => {
    await stack?.end();
    const left = (await daemon?.docker('ps', '--all', '--quiet', '--filter', `label=fairlead.root=${hostRoot()}`))?.split('\n').filter((id) => id !== '') ?? [];
    if (left.length > 0) await daemon.docker('rm', '--force', ...left);
    if (dir) await switchOff(hostRoot(), 0);
    if (dir) await destroyDevDirectory(dir);
    await daemon?.end();
  }, 120_000);

  test('install: every instance is a container on the release, and the host says what runs it', async () => {
    const report = await stack.apply('h1', 'r1', { phase: 'installed' });
    expect([report.reason, report.outcome]).toEqual([null, 'succeeded']);
    expect(await containers()).toEqual(all('r1'));
    expect((await stateOf()).manager).toBe('compose');
  }, 120_000);

  /** Guarantees 3 and 12. */
  test('an update under constant load: no request fails, both releases answer, each container is replaced once', async () => {
    const address = await stack.address('h1');
    const before = (await bootsOf(hostRoot(), product)).length;
    const clients = startLoad({ urls: ['/api/health', '/', '/api/rows', '/web/health'].map((path) => address + path), postUrl: `${address}/api/rows`, postShare: 0.2, requestsPerSecond: 100, connections: 12 });
    let load: LoadResult;
    try {
      await asking();
      const report = await stack.apply('h1', 'r2');
      expect([report.reason, report.outcome]).toEqual([null, 'succeeded']);
      expect(await brokenOutcome(hostRoot(), report)).toEqual([]);
      await asking();
    } finally {
      load = await clients.stop();
    }
    expect(load.failed).toEqual([]);
    expect(load.succeeded).toBe(load.sent);
    expect(Object.keys(load.byReleaseId).sort()).toEqual(['r1', 'r2']);
    const boots = (await bootsOf(hostRoot(), product)).slice(before);
    expect(boots.map(({ instance, releaseId }) => `${instance} ${releaseId}`).sort()).toEqual(['api-a r2', 'api-b r2']);
    expect(await containers()).toEqual(all('r2'));
    expect(await brokenActivation(hostRoot(), product)).toEqual([]);
  }, 120_000);

  test('a release whose second instance crashes: rolled back, with exit status and last words as evidence', async () => {
    const report = await stack.apply('h1', 'r3');
    expect([report.outcome, report.reason?.class, report.reason?.code]).toEqual(['rolled_back', 'release', 'instance_exited']);
    expect(report.evidence).toContainEqual(expect.objectContaining({ kind: 'unit', instance: 'api-b', status: 'failed', exit: 'exit 1' }));
    expect(report.evidence).toContainEqual(expect.objectContaining({ kind: 'log', instance: 'api-b', path: expect.stringMatching(/^docker logs fairlead-/), lines: expect.arrayContaining([expect.stringContaining('crashAtStart')]) }));
    expect(await containers()).toEqual(all('r2'));
    expect(await brokenOutcome(hostRoot(), report)).toEqual([]);
  }, 120_000);

  test('SIGKILL to the agent in the middle of an update: the next one goes on, and each container is replaced once', async () => {
    const before = (await bootsOf(hostRoot(), product)).length;
    const runId = await stack.start('h1', 'r4');
    await eventually('the first container of the new release', async () => (await containers()).some((line) => line.endsWith(' r4')), 60_000);
    const agent = Object.entries(stack.dev.pids()).find(([name]) => name.includes('h1'))?.[1];
    if (!agent) throw new Error(`no agent among ${Object.keys(stack.dev.pids()).join(', ')}`);
    process.kill(agent, 'SIGKILL');
    const report = await stack.report(runId);
    expect([report.reason, report.outcome]).toEqual([null, 'succeeded']);
    const boots = (await bootsOf(hostRoot(), product)).slice(before);
    expect(brokenRestarts(boots)).toEqual([]);
    expect(boots.map(({ instance, releaseId }) => `${instance} ${releaseId}`).sort()).toEqual(['api-a r4', 'api-b r4']);
    expect(await containers()).toEqual(all('r4'));
    expect(await brokenOutcome(hostRoot(), report)).toEqual([]);
  }, 180_000);

  /** Guarantee 10. */
  test('agent and control gone in the middle of an update: the recovery script alone brings the old release back', async () => {
    const runId = (await stack.start('h1', 'r5')) as RunId;
    await eventually('the run waits for api-b', async () => (await stack.ask<{ progress: { step: string } | null }>('GET', `/api/runs/${runId}`)).body.progress?.step === 'prove api-b', 60_000);
    expect(await containers()).toEqual(['api-a r5', 'api-b r5', 'web-a r4', 'web-b r4']);
    await stack.dev.kill();

    const script = hostLayout(hostRoot(), product).recoveryScript(runId);
    const { status, stderr, stdout } = spawnSync('/usr/bin/env', ['-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'sh', script], { encoding: 'utf8', cwd: '/', timeout: 120_000 });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`${product} is back on release r4.`);
    expect(await containers()).toEqual(all('r4'));
    expect(await readlink(hostLayout(hostRoot(), product).currentLink)).toBe('releases/r4');
    const { router } = await stateOf();
    const answering = new Map<string, string>();
    await eventually('both API instances answer through the router', async () => {
      const answer = await fetch(`http://127.0.0.1:${router?.port}/api/health`, { headers: { connection: 'close' } });
      const body = (await answer.json()) as { instance: string; releaseId: string };
      if (answer.status === 200) answering.set(body.instance, body.releaseId);
      return answering.size === 2;
    });
    expect([...new Set(answering.values())]).toEqual(['r4']);
  }, 240_000);
});
