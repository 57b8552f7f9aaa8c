import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseInstanceConfig, renderInstanceConfig } from '../../src/domain/host/instance-config.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { InstanceName, RunId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { switchOff } from '../../src/runtime/dev/power.ts';
import { startCheckpoints, type Checkpoint, type Verdict } from '../support/checkpoints.ts';
import { destroyDevDirectory, fairlead, isRunning, type CommandEnd } from '../support/dev.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenActivation, brokenOutcome, brokenRestarts } from '../support/invariants.ts';
import { startDevProgram } from '../support/killable-dev.ts';
import { cutDown } from '../support/matrix-product.ts';
import { describeWith, program, thorough } from '../support/requirement.ts';
import { exampleProduct as product, startStack, type Stack } from '../support/stack.ts';

/** On `h1` the script brings the host back, on `h2` the command, on `h3` a person takes it from a run, on `h4` a run goes on after a power cut. */
type Host = 'h1' | 'h2' | 'h3' | 'h4';

/** A program that only the agent's PATH has. */
const restoreProgram = 'restore-generation';

async function recoverable(directory: string): Promise<void> {
  await cutDown(directory);
  const file = join(directory, 'fairlead.yaml');
  const text = await fs.readFile(file, 'utf8');
  await fs.writeFile(file, text.replace(/restore: \{ command: .*/, `restore: { command: [${restoreProgram}], timeoutSeconds: 10 }`));
}

/** Ready never, and waited for so long that a person comes first. */
async function slow(directory: string): Promise<void> {
  await recoverable(directory);
  const file = join(directory, 'fairlead.yaml');
  await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace('startSeconds: 5', 'startSeconds: 600'));
}

interface Case {
  readonly router: 'nginx' | 'embedded';
  readonly power: 'stays on' | 'goes off';
  readonly hosts: readonly Host[];
}
const cases: readonly Case[] = [
  { router: 'nginx', power: 'stays on', hosts: ['h1', 'h2'] },
  { router: 'embedded', power: 'goes off', hosts: ['h1', 'h2', 'h3', 'h4'] },
];

for (const { router, power, hosts } of cases) {
  const hasRuns = hosts.includes('h3');
  /** Guarantees 1, 2, 9 and 10. */
  describeWith(router === 'nginx' ? [program('nginx'), thorough('the embedded router')] : [], `with everything dead at once (${router} router, the hosts' power ${power})`, () => {
    let dir: string;
    let stack: Stack;
    let checkpoints: Awaited<ReturnType<typeof startCheckpoints>>;
    let decide: (at: Checkpoint) => Promise<Verdict> | Verdict = () => 'go';
    let agentFile: string;
    const runs = {} as Record<Host, RunId>;
    let bootsBefore: number;

    const rootOf = (host: Host): string => join(dir, 'hosts', host);
    const start = (): Promise<Stack> =>
      startStack({
        dir,
        hosts: hosts.length,
        start: startDevProgram,
        replace: { agentFile, env: { ...checkpoints.env, PATH: agentPath(), FAIRLEAD_ROUTER: router, FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000' } },
      });
    const agentPath = (): string => `${join(dir, 'bin')}:${process.env['PATH']}`;
    const recover = (host: Host, ...more: string[]): Promise<CommandEnd> => fairlead(['recover', '--root', rootOf(host), '--product', product, ...more], { env: { PATH: agentPath() } });
    const stateOf = async (host: Host): Promise<HostState> => JSON.parse(await fs.readFile(stack.layout(host).stateFile, 'utf8')) as HostState;

    beforeAll(async () => {
      dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-recovery-'));
      await fs.mkdir(join(dir, 'bin'));
      await fs.writeFile(join(dir, 'bin', restoreProgram), '#!/bin/sh\ncp "$FAIRLEAD_BACKUP_DIR/generation" "$FAIRLEAD_STATE_DIR/data/generation"\n', { mode: 0o755 });
      ({ file: agentFile } = await buildAgent({ entry: 'test/support/programs/agent.ts', outfile: 'dist/test-agent.mjs' }));
      checkpoints = await startCheckpoints((at) => decide(at));
      stack = await start();
      for (const releaseId of ['r1', 'r2', 'r4']) await stack.publish(releaseId, { edit: recoverable });
      await stack.publish('r3', { edit: slow, faults: { notReady: true, only: 'api-b' } });
      const installed = await Promise.all(hosts.map((host) => stack.apply(host, 'r1')));
      expect(installed.map(({ outcome }) => outcome)).toEqual(hosts.map(() => 'succeeded'));
    }, 180_000);

    afterAll(async () => {
      await stack?.end();
      await Promise.all(hosts.map((host) => switchOff(rootOf(host), 0)));
      await checkpoints?.stop();
      await destroyDevDirectory(dir);
    }, 120_000);

    /** The host as clients and the disk show it: every instance answers through the router, on `releaseId`. */
    async function expectServing(host: Host, releaseId: string): Promise<void> {
      const { router: front, instances, activeReleaseId, lastGoodReleaseId } = await stateOf(host);
      expect([activeReleaseId, lastGoodReleaseId, await fs.readlink(stack.layout(host).currentLink)]).toEqual([releaseId, releaseId, `releases/${releaseId}`]);
      const answering = new Map<string, string>();
      await eventually(`both instances of ${host} answer through the router`, async () => {
        const answer = await fetch(`http://127.0.0.1:${front?.port}/health/ready`, { headers: { connection: 'close' } });
        const body = (await answer.json()) as { instance: string; releaseId: string };
        if (answer.status === 200) answering.set(body.instance, body.releaseId);
        return answering.size === Object.keys(instances).length;
      });
      expect(Object.fromEntries(answering)).toEqual({ 'api-a': releaseId, 'api-b': releaseId });
      expect(await brokenActivation(rootOf(host), product)).toEqual([]);
    }

    const generation = async (host: Host): Promise<string> => (await fs.readFile(join(stack.layout(host).stateRoot, 'data/generation'), 'utf8')).trim();

    test(`first: two hosts strand${hasRuns ? ', on one a run waits, on one it has just switched' : ''}`, async () => {
      const stranded = await Promise.all(
        (['h1', 'h2'] as const).map(async (host) => {
          const conf = stack.layout(host).configFile('api-a' as InstanceName);
          const before = await fs.readFile(conf, 'utf8');
          await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(before), FAULTS: '{"crashAtStart":true}' }));
          const report = await stack.apply(host, 'r2');
          await fs.writeFile(conf, before); // The person who edited it has found the mistake.
          return report;
        }),
      );
      expect(stranded.map(({ outcome }) => outcome)).toEqual(['stranded', 'stranded']);
      for (const report of stranded) runs[report.host as Host] = report.runId;

      if (!hasRuns) return;
      runs.h3 = (await stack.start('h3', 'r3')) as RunId;
      await eventually('the run on h3 waits for api-b', async () => {
        const { body } = await stack.ask<{ progress: { step: string } | null }>('GET', `/api/runs/${runs.h3}`);
        return body.progress?.step === 'prove api-b';
      }, 60_000);

      const switched = new Promise<void>((resolve) => {
        decide = ({ host, activity, point }) => {
          if (host !== 'h4' || activity !== 'activateRelease' || point !== 'after') return 'go';
          resolve();
          return new Promise(() => undefined); // Nobody will be there to hear the answer.
        };
      });
      bootsBefore = (await bootsOf(rootOf('h4'), product)).length;
      runs.h4 = (await stack.start('h4', 'r2')) as RunId;
      await switched;
    }, 180_000);

    if (hasRuns) test('recover refuses while the run is under way: 3, and says who goes on with it', async () => {
      const { code, stdout, stderr } = await recover('h3');
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toContain(`Run ${runs.h3} is applying r3 here since`);
      expect(stderr).toContain(`fairlead runs cancel ${runs.h3}`);
      expect(stderr).toContain('--force');
    });

    test('recover refuses another run than the one that stranded: 3, and names the right one', async () => {
      const { code, stderr } = await recover('h2', '--run', runs.h1);
      expect(code).toBe(3);
      expect(stderr).toContain(`is ${runs.h2}, not ${runs.h1}`);
      expect(stderr).toContain(`fairlead recover --product ${product} --run ${runs.h2}`);
    });

    test('then: SIGKILL to all of it', async () => {
      const pids = Object.values(stack.dev.pids()) as number[];
      expect(pids).toHaveLength(4 + hosts.length);
      await stack.dev.kill();
      expect(pids.filter(isRunning)).toEqual([]);
      for (const host of power === 'goes off' ? hosts : []) expect(await switchOff(rootOf(host), 0)).toBeGreaterThan(0);
      for (const host of hosts) expect(await brokenActivation(rootOf(host), product)).toEqual([]);
    });

    test('the script brings its host back under plain sh, with data; a second time it changes nothing', async () => {
      const script = stack.layout('h1').recoveryScript(runs.h1);
      await fs.writeFile(join(stack.layout('h1').stateRoot, 'data/generation'), 'of the new release\n');
      const first = spawnSync('/usr/bin/env', ['-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'sh', script], { encoding: 'utf8', cwd: '/', timeout: 120_000 });
      expect([first.status, first.stderr]).toEqual([0, '']);
      expect(first.stdout).toContain(`${product} is back on release r1.`);
      await expectServing('h1', 'r1');
      const again = spawnSync('/usr/bin/env', ['-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'sh', script], { encoding: 'utf8', cwd: '/', timeout: 120_000 });
      expect([again.status, again.stderr]).toEqual([0, '']);
      await expectServing('h1', 'r1');
      expect(await generation('h1')).toBe('r1');
    }, 180_000);

    test('`fairlead recover` brings its host back', async () => {
      const { code, stdout, stderr } = await recover('h2', '--run', runs.h2, '--json');
      expect({ code, stderr: code === 0 ? '' : stderr, result: JSON.parse(stdout) as unknown }).toMatchObject({ code: 0, stderr: '', result: { outcome: 'recovered', runId: runs.h2, releaseId: 'r1' } });
      await expectServing('h2', 'r1');
      expect(await generation('h2')).toBe('r1');
    }, 120_000);

    if (hasRuns) test('`fairlead recover --force` takes a host from a run whose control plane is gone', async () => {
      expect(await generation('h3')).toBe('r3');
      const { code, stdout, stderr } = await recover('h3', '--force');
      expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
      expect(stdout).toContain(`RECOVERED  ${product}: healthy on r1`);
      await expectServing('h3', 'r1');
      expect(await generation('h3')).toBe('r1');
    }, 120_000);

    test.each([['with the product named', ['--product', product]], ['with nothing named', []]])('`fairlead recover` where nothing is left to do, %s: 0, and it says so', async (_how, named) => {
      const before = await fs.readFile(stack.layout('h2').stateFile, 'utf8');
      const { code, stdout } = await fairlead(['recover', '--root', rootOf('h2'), ...named]);
      expect(code).toBe(0);
      expect(stdout).toContain('nothing to do');
      expect(await fs.readFile(stack.layout('h2').stateFile, 'utf8')).toBe(before);
    });

    test('everything is started again: the recoveries are told to their runs, and nothing on the hosts is touched', async () => {
      decide = () => 'go';
      const recovered = hosts.filter((host) => host !== 'h4');
      const boots = () => Promise.all(recovered.map((host) => bootsOf(rootOf(host), product)));
      const before = await boots();
      stack = await start();
      for (const host of recovered) {
        const { run, report } = await eventually(`the run on ${host} has ended and is marked recovered`, async () => {
          const { body } = await stack.ask<{ run: { recoveredAt: string | null; outcome: string }; report: RunReport | null }>('GET', `/api/runs/${runs[host]}`);
          return body.run.recoveredAt === null || body.report === null ? null : { ...body, report: body.report };
        }, 120_000);
        // The one that was taken from its run finds itself fenced off.
        expect([run.outcome, report.recovery?.reason.code]).toEqual(['stranded', host === 'h3' ? 'stale_command' : 'instance_exited']);
        const { body } = await stack.ask<{ rows: { event: string; detail: Record<string, unknown> }[] }>('GET', `/api/audit?runId=${runs[host]}`);
        const told = body.rows.filter(({ event }) => event === 'run.recovered');
        expect(told.map(({ detail }) => [detail['by'], detail['releaseId']])).toEqual([[host === 'h1' ? 'recovery script' : 'fairlead recover', 'r1']]);
        await expectServing(host, 'r1');
        expect(await brokenOutcome(rootOf(host), { ...report, outcome: 'rolled_back' })).toEqual([]);
      }
      expect(await boots()).toEqual(before);
      const { code, stdout } = await fairlead(['audit', 'verify', '--json', '--dir', dir]);
      expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true, firstBroken: null }]);
    }, 300_000);

    if (hasRuns)
      test('the power went right after the switch: the instances come up, the run goes on and succeeds, each is restarted once', async () => {
        const report = await eventually('the run on h4 has ended', async () => (await stack.ask<{ report: RunReport | null }>('GET', `/api/runs/${runs.h4}`)).body.report, 120_000);
        expect([report.outcome, report.reason]).toEqual(['succeeded', null]);
        await expectServing('h4', 'r2');
        const boots = (await bootsOf(rootOf('h4'), product)).slice(bootsBefore);
        expect(brokenRestarts(boots)).toEqual([]);
        expect(boots.map(({ instance, releaseId }) => `${instance} ${releaseId}`).sort()).toEqual(['api-a r1', 'api-a r2', 'api-b r1', 'api-b r2']);
        expect(await brokenOutcome(rootOf('h4'), report)).toEqual([]);
      }, 180_000);

    test('the next update succeeds on every host', async () => {
      const reports = await Promise.all(hosts.map((host) => stack.apply(host, 'r4')));
      expect(reports.map(({ outcome, reason }) => reason ?? outcome)).toEqual(hosts.map(() => 'succeeded'));
      for (const host of hosts) await expectServing(host, 'r4');
    }, 180_000);
  });
}
