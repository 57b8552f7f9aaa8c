import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exists } from '../../src/adapters/files/durable.ts';
import { findByEnvironment } from '../../src/adapters/process/proc.ts';
import { openRcNames } from '../../src/adapters/service-manager/openrc/init-script.ts';
import { parseProcessNote } from '../../src/adapters/service-manager/openrc/parse.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { InstanceName, ProductName, RunId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { switchOff } from '../../src/runtime/dev/power.ts';
import { destroyDevDirectory } from '../support/dev.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenActivation, brokenOutcome, brokenRestarts } from '../support/invariants.ts';
import { startDevProgram } from '../support/killable-dev.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { describeOwnAgent } from '../support/openrc-own-agent.ts';
import { openRcRequirements, useRealOpenRc, type OpenRcMachine } from '../support/openrc-machine.ts';
import { describeWith, program } from '../support/requirement.ts';
import { project, shortStart, startStack, startWithin, type Stack } from '../support/stack.ts';

const product = 'bloom-runtime' as ProductName;
const instances = ['runtime-a', 'runtime-b'] as InstanceName[];
const key = 'runtime-key-of-this-test';
const settings = `RUNTIME_API_KEY='${key}'\nMEMBRIDGE_ADMIN_KEY='abcd-admin-key-of-the-file-wxyz'\n`;
/** The load itself: nothing is waited for but that clients go on for a while. */
const asking = () => new Promise((resolve) => setTimeout(resolve, 700));

/** Never ready, and waited for so long that the control plane dies first. */
const longStart = startWithin(600);

describeWith([...openRcRequirements, program('nginx')], 'bloom-runtime on a host with OpenRC and nginx', () => {
  let machine: OpenRcMachine;
  let dir: string;
  let stack: Stack;

  const hostRoot = () => join(dir, 'hosts', 'h1');
  const layout = () => hostLayout(hostRoot(), product);
  const names = (instance: InstanceName) => openRcNames(hostRoot(), machine.initDir, { product, instance });
  const stateOf = async () => JSON.parse(await readFile(layout().stateFile, 'utf8')) as HostState;
  const address = async () => `http://127.0.0.1:${(await stateOf()).router?.port}`;
  const boots = () => bootsOf(hostRoot(), product);
  const started = (found: Awaited<ReturnType<typeof boots>>) => found.map(({ instance, releaseId }) => `${instance} ${releaseId}`).sort();
  const all = (releaseId: string) => instances.map((instance) => `${instance} ${releaseId}`);

  /** Instance, release and process of each that OpenRC says is started, by what the process was told. */
  async function running(): Promise<{ name: string; pid: number }[]> {
    const found = [];
    for (const instance of instances) {
      if (!(await machine.rcService(names(instance).service, 'status').then(() => true, () => false))) continue;
      const note = parseProcessNote(await readFile(names(instance).processNote, 'utf8'));
      const [process] = (await findByEnvironment({ FAIRLEAD_ROOT: hostRoot(), FAIRLEAD_INSTANCE: `${product}/${instance}` })).filter(({ pid }) => pid === note?.pid);
      found.push({ name: `${instance} ${process?.environment['FAIRLEAD_RELEASE_ID'] ?? '(none)'}`, pid: process?.pid ?? 0 });
    }
    return found;
  }
  const releases = async () => (await running()).map(({ name }) => name);

  async function start(releaseId: string): Promise<RunId> {
    const { status, body } = await stack.ask<{ runId: RunId }>('POST', '/api/updates/apply', { host: 'h1', product, releaseId, phase: 'installed', bakeSeconds: 0 });
    if (status !== 202) throw new Error(`applying ${releaseId} was answered with ${status}: ${JSON.stringify(body)}`);
    return body.runId;
  }
  const report = (runId: RunId) => eventually(`run ${runId} has ended`, async () => (await stack.ask<{ report: RunReport | null }>('GET', `/api/runs/${runId}`)).body.report, 150_000);
  const apply = async (releaseId: string) => report(await start(releaseId));

  async function api(method: 'GET' | 'POST', path: string, body?: unknown): Promise<{ status: number; body: { id: string; [key: string]: unknown } }> {
    const response = await fetch(`${await address()}/api/runtime/${path}`, { method, headers: { connection: 'close', 'x-runtime-api-key': key }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: response.status, body: (await response.json()) as { id: string } };
  }

  /** Clients who read, and one who writes: every task that was accepted has to be there in the end. */
  async function underLoad<Value>(work: () => Promise<Value>): Promise<{ value: Value; load: LoadResult }> {
    const at = await address();
    const clients = startLoad({ urls: ['/api/health', '/', '/health/ready'].map((path) => at + path), requestsPerSecond: 100, connections: 12 });
    const accepted: string[] = [];
    let isDone = false;
    const writing = (async () => {
      for (let number = 0; !isDone; number += 1) {
        const answer = await api('POST', 'llm-tasks', { prompt: `task ${number}` });
        if (answer.status !== 201) throw new Error(`a task was answered with ${answer.status}`);
        accepted.push(answer.body.id);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    try {
      await asking();
      const value = await work();
      await asking();
      isDone = true;
      await writing;
      const tasks = (await api('GET', 'llm-tasks')).body as unknown as { id: string }[];
      const kept = new Set(tasks.map(({ id }) => id));
      expect(accepted.length).toBeGreaterThan(10);
      expect(accepted.filter((id) => !kept.has(id))).toEqual([]);
      return { value, load: await clients.stop() };
    } finally {
      isDone = true;
      await Promise.allSettled([writing, clients.stop()]);
    }
  }
  const agentPid = () => Object.entries(stack.dev.pids()).find(([name]) => name.includes('h1'))?.[1] ?? null;

  beforeAll(async () => {
    machine = await useRealOpenRc();
    dir = await mkdtemp(join(tmpdir(), 'fairlead-openrc-'));
    // So that whatever the host makes of OpenRC goes away in the end.
    machine.create(hostRoot());
    await mkdir(layout().configDir, { recursive: true });
    await writeFile(layout().envFile, settings, { mode: 0o600 });
    stack = await startStack({
      dir,
      start: startDevProgram,
      example: join(project, 'examples/bloom-runtime'),
      replace: { env: { FAIRLEAD_SERVICES: 'openrc', FAIRLEAD_ROUTER: 'nginx', FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000' } },
    });
    for (const releaseId of ['r1', 'r2', 'r5']) await stack.publish(releaseId);
    await stack.publish('r3', { edit: shortStart, faults: { notReady: true, only: 'runtime-b' } });
    await stack.publish('r4', { edit: shortStart, faults: { crashAtStart: true, only: 'runtime-b' } });
    await stack.publish('r6', { edit: longStart, faults: { notReady: true, only: 'runtime-b' } });
  }, 240_000);
  afterAll(async () => {
    await stack?.end();
    await machine?.end();
    if (dir) await switchOff(hostRoot(), 0);
    if (dir) await destroyDevDirectory(dir);
  }, 120_000);

  test('install: each instance is a service of OpenRC that starts with the machine, and the host says what runs it', async () => {
    const run = await apply('r1');
    expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
    expect(await releases()).toEqual(all('r1'));
    for (const instance of instances) expect(await readdir(machine.runlevelDir)).toContain(names(instance).service);
    expect((await stateOf()).manager).toBe('openrc');
    expect((await api('GET', 'config')).body).toMatchObject({ admin_key_masked: 'abcd****wxyz' });
    const script = await readFile(names(instances[0]!).initScript, 'utf8');
    for (const line of ['\tneed net', '\tafter firewall', 'supervisor=supervise-daemon']) expect(script.split('\n')).toContain(line);
  }, 180_000);

  /** Guarantee 12. */
  test('an update under constant load: no request fails, no task is lost, both releases answer, each instance is replaced once', async () => {
    const before = [await boots(), await running()] as const;
    const { value: run, load } = await underLoad(() => apply('r2'));
    expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
    expect(load.failed).toEqual([]);
    expect(load.sent).toBeGreaterThan(100);
    expect(load.succeeded).toBe(load.sent);
    expect(Object.keys(load.byReleaseId).sort()).toEqual(['r1', 'r2']);
    expect(started((await boots()).slice(before[0].length))).toEqual(all('r2'));
    expect(await releases()).toEqual(all('r2'));
    const pids = (await running()).map(({ pid }) => pid);
    expect(before[1].filter(({ pid }) => pids.includes(pid))).toEqual([]);
    expect(await brokenOutcome(hostRoot(), run)).toEqual([]);
    expect(await brokenActivation(hostRoot(), product)).toEqual([]);
  }, 180_000);

  test('a release that never gets healthy is rolled back, with its unit and log as evidence, and no client has noticed', async () => {
    const { value: run, load } = await underLoad(() => apply('r3'));
    expect([run.outcome, run.reason?.class, run.reason?.code]).toEqual(['rolled_back', 'release', 'probe_failed']);
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'unit', instance: 'runtime-b', status: 'active' }));
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'log', instance: 'runtime-b', lines: expect.arrayContaining([expect.stringContaining('release r3 listens')]) }));
    expect(load.failed).toEqual([]);
    expect(await releases()).toEqual(all('r2'));
    expect(await brokenOutcome(hostRoot(), run)).toEqual([]);
  }, 180_000);

  test('a release that crashes at its start is rolled back, with exit status and last words, and OpenRC does not go on starting it', async () => {
    const { value: run, load } = await underLoad(() => apply('r4'));
    expect([run.outcome, run.reason?.class, run.reason?.code]).toEqual(['rolled_back', 'release', 'instance_exited']);
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'unit', instance: 'runtime-b', status: 'failed', exit: 'exit 1' }));
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'log', instance: 'runtime-b', lines: expect.arrayContaining([expect.stringContaining('crashAtStart')]) }));
    expect(load.failed).toEqual([]);
    expect(await releases()).toEqual(all('r2'));
    expect(await exists(join(machine.stateDir, 'failed', names('runtime-b' as InstanceName).service))).toBe(false);
  }, 180_000);

  test('the agent is killed: its instances run on untouched, and so do their clients; the next one finds them as they are', async () => {
    const before = await running();
    const agent = agentPid();
    if (agent === null) throw new Error('there is no agent');
    const { load } = await underLoad(async () => {
      process.kill(agent, 'SIGKILL');
      await eventually('there is another agent', () => ![null, agent].includes(agentPid()), 60_000);
      expect((await apply('r2')).outcome).toBe('unchanged');
    });
    expect(load.failed).toEqual([]);
    expect(await running()).toEqual(before);
  }, 180_000);

  test('SIGKILL to the agent in the middle of an update: the next one goes on, each instance is replaced once, no request fails', async () => {
    const before = (await boots()).length;
    const { value: run, load } = await underLoad(async () => {
      const runId = await start('r5');
      await eventually('the first instance is on the new release', async () => (await releases()).includes('runtime-a r5'), 60_000);
      process.kill(agentPid() ?? 0, 'SIGKILL');
      return report(runId);
    });
    expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
    expect(load.failed).toEqual([]);
    const since = (await boots()).slice(before);
    expect(brokenRestarts(since)).toEqual([]);
    expect(started(since)).toEqual(all('r5'));
    expect(await releases()).toEqual(all('r5'));
    expect(await brokenOutcome(hostRoot(), run)).toEqual([]);
  }, 180_000);

  test('an instance crashes: OpenRC starts it anew on the same release, and nobody has to ask for it', async () => {
    const [first] = await running();
    if (first === undefined) throw new Error('nothing runs');
    process.kill(first.pid, 'SIGKILL');
    const after = await eventually('it runs again', async () => {
      // Only that one: for a moment OpenRC may not count it among those that run.
      const now = (await running()).find(({ name }) => name.startsWith(`${first.name.split(' ')[0]} `));
      return now !== undefined && now.pid > 0 && now.pid !== first.pid && now;
    }, 60_000);
    expect(after.name).toBe(first.name);
  }, 120_000);

  describeOwnAgent(() => ({ machine, stack, dir }), product, settings);

  /** Guarantee 10. */
  test('agent and control gone in the middle of an update: the recovery script alone brings the old release back', async () => {
    const runId = await start('r6');
    await eventually('the run waits for runtime-b', async () => (await stack.ask<{ progress: { step: string } | null }>('GET', `/api/runs/${runId}`)).body.progress?.step === 'prove runtime-b', 60_000);
    expect(await releases()).toEqual(all('r6'));
    await stack.dev.kill();

    const { status, stderr, stdout } = spawnSync('/usr/bin/env', ['-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'sh', layout().recoveryScript(runId)], { encoding: 'utf8', cwd: '/', timeout: 120_000 });
    expect([status, stdout.includes(`${product} is back on release r5.`) || stdout]).toEqual([0, true]);
    expect(stderr.split('\n').filter((line) => line !== '' && !line.includes('cgroup'))).toEqual([]);
    expect(await releases()).toEqual(all('r5'));
    expect(await readlink(layout().currentLink)).toBe('releases/r5');
    const answering = new Map<string, string>();
    await eventually('both instances answer through the router', async () => {
      const body = (await (await fetch(`${await address()}/api/health`, { headers: { connection: 'close' } })).json()) as { instance: string; releaseId: string };
      answering.set(body.instance, body.releaseId);
      return answering.size === 2;
    });
    expect([...new Set(answering.values())]).toEqual(['r5']);
  }, 240_000);
});
