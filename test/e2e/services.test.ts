import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceRunAccepted, ServiceStatusAnswer } from '../../src/contract/index.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { RunProgress, RunReport } from '../../src/domain/run/report.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenGuarantees, brokenOutcome, brokenRestarts } from '../support/invariants.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { startStack, type Stack } from '../support/stack.ts';

/** The services of a host as people meet them: through the API and the real command, with processes that are counted by the starts that they wrote down. */
describe('services of a host', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
    for (const releaseId of ['r1', 'r2']) await stack.publish(releaseId, { edit: shortLimits });
    expect((await stack.apply('h1', 'r1', { phase: 'installed' })).outcome).toBe('succeeded');
  }, 120_000);
  afterAll(() => stack?.end(), 60_000);

  const root = () => stack.dev.summary.hosts[0]?.root as string;
  const here = () => ({ host: 'h1', product: stack.product });

  async function ask(path: string, body: Record<string, unknown>): Promise<ServiceRunAccepted> {
    const answer = await stack.ask<ServiceRunAccepted>('POST', `/api/services/${path}`, { ...here(), ...body });
    expect({ status: answer.status, body: answer.body }).toMatchObject({ status: 202 });
    return answer.body;
  }
  const restart = (service = 'api', more: Record<string, unknown> = {}) => ask('restart', { service, bakeSeconds: 0, ...more });
  const reportOf = (runId: string): Promise<RunReport> =>
    eventually(`run ${runId} has a report`, async () => (await stack.ask<{ report?: RunReport | null }>('GET', `/api/runs/${runId}`)).body.report ?? false, 60_000);
  const progressOf = async (runId: string): Promise<RunProgress | null> => (await stack.ask<{ progress?: RunProgress | null }>('GET', `/api/runs/${runId}`)).body.progress ?? null;
  /** As the host says itself: one that is busy may miss the seconds that it is given to answer. */
  const status = (): Promise<ServiceStatusAnswer> =>
    eventually('the host says how its services are', async () => {
      const { body } = await stack.ask<ServiceStatusAnswer>('GET', `/api/services/status?host=h1&product=${stack.product}`);
      return body.asked && body;
    }, 60_000);
  const statusOf = async (name: string) => (await status()).instances.find((each) => each.name === name);
  const boots = async (): Promise<string[]> => (await bootsOf(root(), stack.product)).map(({ instance, releaseId }) => `${instance} ${releaseId}`);

  /** What the work started, with the report's own invariants. */
  async function during(work: () => Promise<RunReport>): Promise<{ report: RunReport; started: string[] }> {
    const before = (await boots()).length;
    const report = await work();
    expect(await brokenGuarantees(stack, report)).toEqual([]);
    return { report, started: (await boots()).slice(before) };
  }

  /** The same while clients ask 200 times a second. */
  async function underLoad(work: () => Promise<RunReport>): Promise<{ report: RunReport; started: string[]; load: LoadResult }> {
    const address = await stack.address('h1');
    const clients = startLoad({ urls: ['/api/health', '/', '/api/rows'].map((path) => address + path), postUrl: `${address}/api/rows`, postShare: 0.2, requestsPerSecond: 200, connections: 12 });
    const asking = () => new Promise((resolve) => setTimeout(resolve, 500)); // The load itself: nothing is waited for.
    let load: LoadResult | null = null;
    try {
      await asking();
      const done = await during(work);
      await asking();
      load = await clients.stop();
      expect({ failed: load.failed, succeeded: load.succeeded }).toEqual({ failed: [], succeeded: load.sent });
      return { ...done, load };
    } finally {
      if (load === null) await clients.stop();
    }
  }

  /** Guarantee 3. */
  test('five requests within two seconds make one restart, and each of the five learns how it ended', async () => {
    const before = (await boots()).length;
    const accepted: ServiceRunAccepted[] = [];
    for (let count = 0; count < 5; count += 1) {
      accepted.push(await restart());
      await new Promise((resolve) => setTimeout(resolve, 200)); // Spread, as people and scripts ask.
    }
    expect(new Set(accepted.map(({ runId }) => runId)).size).toBe(1);
    expect(accepted.map(({ joined }) => joined)).toEqual([false, true, true, true, true]);
    const reports = await Promise.all(accepted.map(({ runId }) => reportOf(runId)));
    expect(reports.map(({ outcome, kind }) => [outcome, kind])).toEqual(Array(5).fill(['succeeded', 'restart']));
    expect((await boots()).slice(before)).toEqual(['api-a r1', 'api-b r1']);
    expect(await brokenOutcome(root(), reports[0] as RunReport)).toEqual([]);
    // The end of a run stands in the audit a moment after its report can be read.
    const events = await eventually('the end of the run is in the audit', async () => {
      const { body } = await stack.ask<{ rows: { event: string }[] }>('GET', `/api/audit?runId=${accepted[0]?.runId}&limit=50`);
      const found = body.rows.map(({ event }) => event);
      return found.includes('run.ended') && found;
    });
    expect(events.filter((event) => event !== 'request.ended').sort()).toEqual(['run.ended', 'run.intended', ...Array(5).fill('run.service_requested')]);
  }, 120_000);

  /** Guarantee 11. */
  test('a request during the restart makes a second one; meanwhile the drain is seen, and the wait says for what', async () => {
    const before = (await boots()).length;
    // Requests that take their time: the drain of their instance waits for them. They begin before the restart does, and end within the bound of the drain.
    const address = await stack.address('h1');
    const slow = Promise.all(Array.from({ length: 12 }, () => fetch(`${address}/api/slow?ms=11000`, { headers: { connection: 'close' } }).then((answer) => answer.status)));
    const first = await restart();
    await eventually('an instance drains', async () => (await statusOf('api-a'))?.status === 'draining', 30_000);
    expect(await status()).toMatchObject({ asked: true, run: { runId: first.runId }, progress: { step: 'drain api-a' } });
    const second = await restart();
    expect(second).toMatchObject({ joined: false });
    expect(second.runId).not.toBe(first.runId);
    const third = await restart();
    expect(third).toMatchObject({ joined: true, runId: second.runId });
    const waiting = await eventually('the second one waits for the host', async () => {
      const wait = (await progressOf(second.runId))?.waiting;
      return wait?.for.startsWith('host/') === true && wait;
    }, 20_000);
    expect(waiting).toMatchObject({ for: expect.stringContaining(first.runId), release: expect.stringContaining(`runs cancel ${first.runId}`), until: expect.any(String) });
    expect([(await reportOf(first.runId)).outcome, (await reportOf(second.runId)).outcome]).toEqual(['succeeded', 'succeeded']);
    expect((await boots()).slice(before)).toEqual(['api-a r1', 'api-b r1', 'api-a r1', 'api-b r1']);
    expect(await slow).toEqual(Array(12).fill(200));
  }, 150_000);

  /** Guarantees 3 and 12. */
  test('a restart under load: no request fails, each instance starts once, one after the other', async () => {
    const { report, started } = await underLoad(async () => reportOf((await restart()).runId));
    expect(report.outcome).toBe('succeeded');
    expect(started).toEqual(['api-a r1', 'api-b r1']);
    expect(report.steps.map(({ name, instance }) => [name, instance].filter(Boolean).join(' '))).toEqual([
      'open-intent', 'arm-recovery', 'drain api-a', 'restart api-a', 'prove api-a', 'admit api-a', 'drain api-b', 'restart api-b', 'prove api-b', 'admit api-b', 'verify-health', 'close-intent',
    ]);
  }, 120_000);

  test('a drain past its bound: stopped and started as separate steps, said in the report', async () => {
    const address = await stack.address('h1');
    // Some of them are api-a's, whichever way the router shares them.
    const slow = Array.from({ length: 12 }, () => fetch(`${address}/api/slow?ms=30000`, { headers: { connection: 'close' } }).then((answer) => answer.status, () => 0));
    const { report, started } = await during(async () => reportOf((await restart('api', { instances: ['api-a'] })).runId));
    expect(report.outcome).toBe('succeeded');
    expect(report.steps.map(({ name }) => name).slice(2, 7)).toEqual(['drain', 'stop', 'restart', 'prove', 'admit']);
    expect(report.steps.find(({ name }) => name === 'drain')?.note).toMatch(/still in flight after .* s, the bound of its drain/);
    expect(report.steps.find(({ name }) => name === 'stop')?.note).toMatch(/was killed/);
    expect(started).toEqual(['api-a r1']);
    // Those of its twin were answered; its own had their time.
    const answers = await Promise.all(slow);
    expect(answers).toContain(200);
    expect(answers.some((code) => code !== 200)).toBe(true);
  }, 150_000);

  test('a reload under load: no request fails, the processes stay, and what changed is in force', async () => {
    const before = (await status()).instances.filter(({ service }) => service === 'api').map(({ name, pid }) => [name, pid]);
    const { report, started } = await underLoad(async () => reportOf((await ask('reload', { service: 'api', bakeSeconds: 0 })).runId));
    expect(report).toMatchObject({ outcome: 'succeeded', kind: 'restart' });
    expect(started).toEqual([]);
    expect((await status()).instances.filter(({ service }) => service === 'api').map(({ name, pid }) => [name, pid])).toEqual(before);
    for (const { port } of (await status()).instances.filter(({ service }) => service === 'api')) {
      expect(await (await fetch(`http://127.0.0.1:${port}/health/detailed`)).json()).toMatchObject({ reloads: 1 });
    }
  }, 120_000);

  test('a reload that makes an instance unready: undone without a restart where nobody asked for one, by a restart where somebody did', async () => {
    const faults = join(stack.layout('h1').stateRoot, 'data/faults.json');
    await fs.writeFile(faults, '{"notReady":true,"only":"api-a"}');
    try {
      const before = (await boots()).length;
      const pid = (await statusOf('api-a'))?.pid as number;
      // It gets its time to be ready once more; somebody mends the settings in that time.
      const { runId } = await ask('reload', { service: 'api', instances: ['api-a'], bakeSeconds: 0 });
      await eventually('the run turns back', async () => (await progressOf(runId))?.direction === 'undo', 30_000);
      await fs.rm(faults);
      process.kill(pid, 'SIGUSR2');
      expect(await reportOf(runId)).toMatchObject({ outcome: 'rolled_back', reason: { code: 'probe_failed' } });
      expect((await boots()).slice(before)).toEqual([]);

      await fs.writeFile(faults, '{"notReady":true,"only":"api-a"}');
      const { runId: falling } = await ask('reload', { service: 'api', instances: ['api-a'], bakeSeconds: 0, orRestart: true });
      // Mended while the reloaded process has its time; nobody tells that process, so that only a restart takes it up.
      const port = (await statusOf('api-a'))?.port;
      await eventually('the process has taken the settings up', async () => (await fetch(`http://127.0.0.1:${port}/health/ready`)).status === 503, 30_000);
      await fs.rm(faults);
      const report = await reportOf(falling);
      expect([report.outcome, report.steps.map(({ name, outcome }) => `${name} ${outcome}`).slice(2, 7)]).toEqual(['succeeded', ['reload failed', 'drain done', 'restart done', 'prove done', 'admit done']]);
      expect((await boots()).slice(before)).toEqual(['api-a r1']);
    } finally {
      await fs.rm(faults, { force: true });
    }
  }, 120_000);

  test('what cannot be done is refused with what to do: a service, an instance, a signal that are not there', async () => {
    const refusals: [string, Record<string, unknown>, number, string][] = [
      ['restart', { service: 'apy' }, 404, 'unknown_service'],
      ['reload', { service: 'web' }, 409, 'reload_undeclared'],
      ['add-instance', { service: 'api', name: 'a' }, 409, 'instance_declared'],
      ['remove-instance', { service: 'api', name: 'b' }, 409, 'instance_declared'],
    ];
    for (const [path, body, code, reason] of refusals) {
      const answer = await stack.ask<{ code: string; hint: string | null }>('POST', `/api/services/${path}`, { ...here(), ...body });
      expect([path, answer.status, answer.body.code, Boolean(answer.body.hint)]).toEqual([path, code, reason, true]);
    }
    const { exitCode, stdout } = await stack.fairlead('service', 'restart', 'api', '--instance', 'api-x', '--json');
    expect([exitCode, (JSON.parse(stdout) as RunReport).outcome, (JSON.parse(stdout) as RunReport).reason?.code]).toEqual([3, 'refused', 'unknown_instance']);
  }, 120_000);

  test('an instance added under load serves, an update rolls it too, and it is removed again', async () => {
    const added = await underLoad(async () => {
      const { exitCode, stdout, stderr } = await stack.fairlead('service', 'add-instance', 'api', 'c', '--json');
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      return JSON.parse(stdout) as RunReport;
    });
    expect([added.report.outcome, added.report.kind, added.started]).toEqual(['succeeded', 'scale', ['api-c r1']]);
    const conf = stack.layout('h1').configFile('api-c' as InstanceName);
    expect((await fs.stat(conf)).mode & 0o777).toBe(0o600);
    expect(await statusOf('api-c')).toMatchObject({ status: 'active', releaseId: 'r1', traffic: true, extra: true, lastExit: null });
    await eventually('clients reach it', async () => ((await (await fetch(`${await stack.address('h1')}/api/health`, { headers: { connection: 'close' } })).json()) as { instance: string }).instance === 'api-c');
    expect(await (await reportOf((await ask('add-instance', { service: 'api', name: 'c' })).runId)).outcome).toBe('unchanged');

    const updated = await underLoad(() => stack.apply('h1', 'r2'));
    expect(updated.report.outcome).toBe('succeeded');
    expect(updated.started.sort()).toEqual(['api-a r2', 'api-b r2', 'api-c r2']);
    expect(brokenRestarts((await bootsOf(root(), stack.product)).slice(-3))).toEqual([]);

    const removed = await underLoad(async () => reportOf((await ask('remove-instance', { service: 'api', name: 'c' })).runId));
    expect(removed.report.outcome).toBe('succeeded');
    expect(await statusOf('api-c')).toBeUndefined();
    expect((await stack.state('h1')).extras).toBeUndefined();
    expect([await exists(conf), await exists(`${conf}.removed`)]).toEqual([false, true]);
  }, 120_000);

  test('an instance that does not come up is taken away again: the host is as it was', async () => {
    const conf = stack.layout('h1').configFile('api-d' as InstanceName);
    await fs.writeFile(conf, `FAULTS='{"crashAtStart":true}'\n`, { mode: 0o600 });
    const { report } = await during(async () => reportOf((await ask('add-instance', { service: 'api', name: 'd' })).runId));
    expect(report).toMatchObject({ outcome: 'rolled_back', reason: { code: 'instance_exited' } });
    expect(report.evidence.some((fact) => fact.kind === 'log' && fact.instance === 'api-d')).toBe(true);
    expect((await stack.state('h1')).extras).toBeUndefined();
    expect(await statusOf('api-d')).toBeUndefined();
  }, 120_000);

  test('a restart that cannot be brought back either strands the host, and `fairlead recover` brings it back', async () => {
    const conf = stack.layout('h1').configFile('api-a' as InstanceName);
    const text = await fs.readFile(conf, 'utf8');
    await fs.writeFile(conf, `${text}FAULTS='{"notReady":true}'\n`, { mode: 0o600 });
    const before = (await boots()).length;
    const report = await reportOf((await restart()).runId);
    expect(report).toMatchObject({ outcome: 'stranded', recovery: { stuckAt: 'prove api-a', failedStep: 'prove api-a' } });
    expect(await brokenGuarantees(stack, report)).toEqual([]);
    // Once in each direction, and the twin was left to serve.
    expect((await boots()).slice(before).map((line) => line.split(' ')[0])).toEqual(['api-a', 'api-a']);
    expect((await fetch(`${await stack.address('h1')}/api/health`)).status).toBe(200);
    const refused = await stack.fairlead('service', 'restart', 'api', '--json');
    expect([refused.exitCode, (JSON.parse(refused.stdout) as RunReport).reason?.code]).toEqual([3, 'host_stranded']);
    await fs.writeFile(conf, text, { mode: 0o600 });
    const recovered = await stack.fairlead('recover', '--root', root(), '--product', stack.product, '--run', report.runId, '--json');
    expect({ exitCode: recovered.exitCode, stderr: recovered.stderr }).toMatchObject({ exitCode: 0 });
    expect((await stack.state('h1')).failedReleaseIds).toEqual([]);
    expect(await brokenOutcome(root(), { ...report, outcome: 'rolled_back' })).toEqual([]);
  }, 150_000);

  test('`service status` shows each instance, and says unknown where the host does not answer', async () => {
    const asked = await eventually('the host answers', async () => {
      const shown = await stack.fairlead('service', 'status', 'api');
      return /^api-a +unknown /m.test(shown.stdout) ? null : shown;
    }, 60_000);
    expect(asked).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/INSTANCE +STATUS +RELEASE +PID +PORT +TRAFFIC +LAST EXIT\b.*\napi-a +active +r2 +\d+ +\d+ +yes/) });
    // What is shown then is what the host told last: it was brought back by hand a moment ago, which its next word tells.
    await eventually('the host has told', async () => {
      const { body } = await stack.ask<{ products: { state: { instances: Record<string, { admitted: boolean }> } | null }[] }>('GET', '/api/hosts/h1');
      return Object.values(body.products[0]?.state?.instances ?? {}).every(({ admitted }) => admitted);
    }, 30_000);
    const agent = stack.dev.pids()['agent-h1'] as number;
    process.kill(agent, 'SIGSTOP');
    try {
      const { exitCode, stdout } = await stack.fairlead('service', 'status', '--json');
      const answer = JSON.parse(stdout) as ServiceStatusAnswer;
      expect([exitCode, answer.asked]).toEqual([0, false]);
      expect(answer.instances.map((each) => [each.name, each.status, each.pid, each.traffic])).toEqual(['api-a', 'api-b', 'web-a', 'web-b'].map((name) => [name, 'unknown', null, true]));
    } finally {
      process.kill(agent, 'SIGCONT');
    }
  }, 120_000);
});

const exists = (path: string): Promise<boolean> => fs.access(path).then(() => true, () => false);

/** An edit of the example: limits that a test can wait for, and in which it can still step in while they last. */
async function shortLimits(directory: string): Promise<void> {
  const file = join(directory, 'fairlead.yaml');
  const text = (await fs.readFile(file, 'utf8')).replaceAll(/drainSeconds: \d+/g, 'drainSeconds: 12').replaceAll(/startSeconds: \d+/g, 'startSeconds: 6');
  await fs.writeFile(file, text.replaceAll(/^(\s+signal: SIGTERM\n(?:.*#.*\n)?\s+seconds: )\d+/gm, '$12'));
}
