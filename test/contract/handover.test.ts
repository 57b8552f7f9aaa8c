import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createHandover } from '../../src/adapters/handover/host-side.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { findByEnvironment, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import { ownProduct, type InstanceName, type ReleaseId, type RunId } from '../../src/domain/ids.ts';
import { deadManFiles } from '../../src/domain/recovery/dead-man.ts';
import { eventually } from '../support/eventually.ts';
import { createHostRoot } from '../support/host-root.ts';

const runId = '11111111-1111-4111-8111-111111111111' as RunId;
const limitMs = 60_000;
const instance = 'agent-main' as InstanceName;

/** With real shells; what they would start is a line in a file. */
describe('helpers that outlive the agent', () => {
  let root: string;
  let end: () => Promise<void>;
  let done: string;
  const open = () => createHandover({ root, services: 'embedded', commands: createCommandRunner(), slackSeconds: 0 });
  // Without what they have just started.
  const helpers = async (name: string) => (await findByEnvironment({ FAIRLEAD_ROOT: root, FAIRLEAD_HANDOVER: name })).filter(({ pid, sessionId }) => pid === sessionId);
  const watchers = () => helpers(`dead-man ${runId}`);
  const said = async () => (await fs.readFile(done, 'utf8').catch(() => '')).trim();
  const order = (line = 'restarted') => ({ product: ownProduct, runId, releaseId: 'f1' as ReleaseId, restarts: [{ instance, lines: [`echo ${line} >>${done}`] }] });
  const current = () => fs.readlink(hostLayout(root, ownProduct).currentLink);

  beforeEach(async () => {
    ({ root, end } = await createHostRoot());
    done = join(root, 'done');
    const layout = hostLayout(root, ownProduct);
    await fs.mkdir(layout.releaseDir('f1' as ReleaseId), { recursive: true });
    await fs.writeFile(join(layout.releaseDir('f1' as ReleaseId), '.fairlead-complete.json'), '{}');
    await fs.symlink('releases/f2', layout.currentLink);
  });
  afterEach(() => end());

  test('not disarmed by its deadline: current is back, each instance of the order restarted, once; disarming then says that it was too late', async () => {
    const handover = open();
    await handover.arm(order(), 3);
    expect(await watchers()).toHaveLength(1);
    await eventually('it has acted', async () => (await said()) !== '' && (await watchers()).length === 0, limitMs);
    expect([await said(), await current(), await handover.hasActed(runId), await handover.disarm(runId)]).toEqual(['restarted', 'releases/f1', true, 'acted']);
    expect((await handover.said(runId)).join('\n')).toMatch(/was not heard of.*\ncurrent -> f1\nstarting agent-main on f1\ndone, failed: 0/s);
    // Armed again by a late command, and watched again by another agent, it does nothing more.
    await handover.arm(order('twice'), 0);
    await open().resume();
    expect([await watchers(), await said()]).toEqual([[], 'restarted']);
  }, limitMs);

  test('it is acting until it has done all that it does; killed at it, it is not', async () => {
    const handover = open();
    const gate = join(root, 'gate');
    const slow = { ...order(), restarts: [{ instance, lines: [`echo begun >>${done}`, `while [ ! -e ${gate} ]; do sleep 0.05; done`] }] };
    await handover.arm(slow, 1);
    expect(await handover.isActing(runId)).toBe(false);
    await eventually('it is at the instance', async () => (await said()) === 'begun', limitMs);
    expect(await handover.isActing(runId)).toBe(true);
    await fs.writeFile(gate, '');
    await eventually('it has done', async () => !(await handover.isActing(runId)), limitMs);
    expect((await handover.said(runId)).at(-1)).toMatch(/^(starting agent-main on f1|done, failed: 0)$/);

    const other = 'run-2' as RunId;
    await fs.rm(gate);
    await handover.arm({ ...slow, runId: other }, 1);
    await eventually('it is at the instance', async () => (await said()) === 'begun\nbegun', limitMs);
    for (const watcher of await helpers(`dead-man ${other}`)) {
      await signalProcess(watcher, 'SIGKILL');
      await waitForEnd(watcher, 5_000);
    }
    expect([await handover.hasActed(other), await handover.isActing(other)]).toEqual([true, false]);
  }, limitMs);

  test('disarmed: it ends, and changes nothing', async () => {
    const handover = open();
    await handover.arm(order(), 30);
    expect(await handover.disarm(runId)).toBe('disarmed');
    await eventually('nobody watches', async () => (await watchers()).length === 0, limitMs);
    expect([await said(), await current(), await handover.hasActed(runId)]).toEqual(['', 'releases/f2', false]);
  }, limitMs);

  test('armed again with another order while it waits: one watcher, and the new order is what is done; a deadline that is put off counts anew', async () => {
    const handover = open();
    await handover.arm(order('first'), 600);
    await handover.arm(order('second'), 6);
    expect(await watchers()).toHaveLength(1);
    await handover.putOff(runId);
    expect(await handover.hasActed(runId)).toBe(false);
    await eventually('it has acted', async () => (await said()) !== '', limitMs);
    expect(await said()).toBe('second');
  }, limitMs);

  test('disarmed or forgotten while the deadline is being put off: it does not come back', async () => {
    const handover = open();
    for (let round = 0; round < 20; round += 1) {
      await handover.arm(order(), 600);
      // Each round takes it away a step later.
      const beat = handover.putOff(runId);
      for (let step = 0; step < round; step += 1) await fs.stat(root);
      await (round % 2 === 0 ? handover.disarm(runId) : handover.forget());
      await beat;
      expect(await handover.isArmed()).toBe(false);
    }
    await eventually('nobody watches', async () => (await watchers()).length === 0, limitMs);
  }, limitMs);

  test("the host's slack comes on top of what the steps take, when it is armed and when it is put off", async () => {
    const handover = createHandover({ root, services: 'embedded', commands: createCommandRunner(), slackSeconds: 70 });
    const armedFor = async () => Number(await fs.readFile(deadManFiles(hostLayout(root, ownProduct), runId).armed, 'utf8')) - Number((await fs.readFile('/proc/uptime', 'utf8')).split(' ')[0]);
    await handover.arm(order(), 500);
    expect(await armedFor()).toBeGreaterThan(510);
    await handover.putOff(runId);
    const left = await armedFor();
    expect([left > 510, left <= 571]).toEqual([true, true]);
    await handover.forget();
  }, limitMs);

  test('the watcher was killed: the agent that starts next has it watched again; forgotten, nothing is left', async () => {
    await open().arm(order(), 600);
    for (const watcher of await watchers()) {
      await signalProcess(watcher, 'SIGKILL');
      await waitForEnd(watcher, 5_000);
    }
    await open().resume();
    await open().resume();
    expect(await watchers()).toHaveLength(1);
    await open().forget();
    await eventually('nobody watches', async () => (await watchers()).length === 0, limitMs);
    expect(await fs.readdir(hostLayout(root, ownProduct).handoverDir)).toEqual([]);
    expect(await said()).toBe('');
  }, limitMs);

  test('a release to go back to that is not complete: nothing is changed', async () => {
    await fs.rm(join(hostLayout(root, ownProduct).releaseDir('f1' as ReleaseId), '.fairlead-complete.json'));
    await open().arm(order(), 0);
    await eventually('it has said so', async () => (await open().said(runId)).some((line) => line.includes('is not complete')), limitMs);
    expect([await said(), await current()]).toEqual(['', 'releases/f2']);
  }, limitMs);

  test('a successor is put in place by a process of its own, later than the answer; asked twice at once, by one', async () => {
    const handover = open();
    const successor = { runId, direction: 'do' as const, instance, releaseId: 'f2' as ReleaseId, lines: [`test -z "\${FAIRLEAD_INSTANCE-}" && echo started >>${done}`] };
    const before = process.env['FAIRLEAD_INSTANCE'];
    process.env['FAIRLEAD_INSTANCE'] = 'fairlead/agent-main';
    try {
      await handover.begin(successor);
      expect(await said()).toBe('');
      const own = await helpers(`successor ${runId} do`);
      // Held meanwhile: one that had ended could be begun again.
      for (const helper of own) await signalProcess(helper, 'SIGSTOP');
      await handover.begin(successor);
      expect(await helpers(`successor ${runId} do`)).toHaveLength(1);
      for (const helper of own) await signalProcess(helper, 'SIGCONT');
      // Ending the agent ends what has its environment.
      expect(own.map(({ environment }) => environment['FAIRLEAD_INSTANCE'])).toEqual([undefined]);
      await eventually('the successor was started', async () => (await said()) !== '', limitMs);
      expect(await said()).toBe('started');
    } finally {
      if (before === undefined) delete process.env['FAIRLEAD_INSTANCE'];
      else process.env['FAIRLEAD_INSTANCE'] = before;
    }
  }, limitMs);

  test('where systemd runs the agent, helpers are transient units of their own: what ends its control group does not reach them', async () => {
    const asked: (readonly string[])[] = [];
    const commands = { run: async (argv: readonly string[]) => (asked.push(argv), { exitCode: 0, signal: null, timedOut: false, stdout: '', stderr: '', summary: '' }) };
    await createHandover({ root, services: 'systemd', commands }).arm(order(), 600);
    expect(asked).toEqual([[...'systemd-run --quiet --collect --no-block'.split(' '), expect.stringMatching(/^--setenv=PATH=/), '--setenv=LANG=C', `--setenv=FAIRLEAD_ROOT=${root}`, `--setenv=FAIRLEAD_HANDOVER=dead-man ${runId}`, expect.stringMatching(/^--property=StandardOutput=append:/), expect.stringMatching(/^--property=StandardError=append:/), '/bin/sh', expect.stringMatching(/\.watch\.sh$/)]]);
  });

  test('systemd refuses, or an agent in a container is to replace itself: said, and nothing is started', async () => {
    const commands = { run: async () => ({ exitCode: 1, signal: null, timedOut: false, stdout: '', stderr: '', summary: 'systemd-run exited with 1' }) };
    await expect(createHandover({ root, services: 'systemd', commands }).arm(order(), 600)).rejects.toMatchObject({ reason: { code: 'handover_failed', class: 'host' }, retryable: true });
    const successor = { runId, direction: 'do' as const, instance, releaseId: 'f2' as ReleaseId, lines: [] };
    await expect(createHandover({ root, services: 'compose', commands }).begin(successor)).rejects.toMatchObject({ reason: { code: 'handover_unsupported' }, retryable: false });
  });
});
