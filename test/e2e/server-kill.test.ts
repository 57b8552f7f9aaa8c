import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { RunReport } from '../../src/domain/run/report.ts';
import { findByEnvironment } from '../../src/adapters/process/proc.ts';
import { killProcesses, startCheckedStack, withDescendants, type CheckedStack } from '../support/checked-stack.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenGuarantees } from '../support/invariants.ts';
import { startLoad } from '../support/load.ts';
import { cutDown } from '../support/matrix-product.ts';

/** The servers behind a run die in the middle of it: whoever started them starts them again, the run goes on, and clients of the product feel nothing. Guarantees 1, 2, 3, 4, 6, 9 and 12. */
describe('in the middle of an update', () => {
  let stack: CheckedStack;
  let count = 0;
  beforeAll(async () => {
    stack = await startCheckedStack();
    await stack.publish('base', { edit: cutDown });
    expect((await stack.apply('h1', 'base')).outcome).toBe('succeeded');
  }, 240_000);
  afterAll(() => stack?.end(), 60_000);

  const root = (): string => stack.dev.summary.hosts[0]?.root as string;
  const logOf = (name: string): Promise<string> => fs.readFile(join(stack.dev.summary.logs, `${name}.log`), 'utf8');

  /** Runs an update under load, does `fault` in the middle of the activity, and looks at everything afterwards. */
  async function applyWith(activity: string, fault: (runId: string) => Promise<void>, { hostGoes = false } = {}): Promise<RunReport> {
    count += 1;
    const releaseId = `s${count}`;
    // A run may end before the API is back from the test before.
    await eventually('the API is ready', () => stack.ask('GET', '/health/ready').then(({ status }) => (status === 200 ? true : null), () => null), 60_000);
    await stack.publish(releaseId, { edit: cutDown });
    const bootsBefore = (await bootsOf(root(), stack.product)).length;
    const clients = startLoad({ urls: [`${await stack.address('h1')}/health`], requestsPerSecond: 50, connections: 4 });
    let faulted: Promise<void> | null = null;
    let started: Promise<string>;
    stack.decide(async (at) => {
      if (faulted !== null || at.activity !== activity || at.point !== 'during') return 'go';
      faulted = started.then(fault);
      await faulted;
      return 'go' as const;
    });
    let felt: number;
    let report: RunReport;
    try {
      started = stack.start('h1', releaseId);
      report = await stack.report(await started);
      await faulted;
      expect(faulted).not.toBeNull();
    } finally {
      stack.decide(() => 'go');
      const { sent, failed } = await clients.stop();
      felt = sent === 0 ? NaN : failed.length;
    }
    const boots = (await bootsOf(root(), stack.product)).slice(bootsBefore);
    const broken = await brokenGuarantees(stack, report, hostGoes ? [] : boots);
    expect({ outcome: report.outcome, reason: report.reason, broken, felt: hostGoes ? 0 : felt }).toEqual({ outcome: 'succeeded', reason: null, broken: [], felt: 0 });
    return report;
  }

  /** PostgreSQL with all its processes; of the agent only itself, since instances and router outlive it. */
  async function pidsOf(names: readonly string[]): Promise<number[]> {
    return (await Promise.all(names.map((name) => (name === 'postgres' ? withDescendants(stack.pidOf(name)) : [stack.pidOf(name)])))).flat();
  }
  const everything = ['agent-h1', 'control', 'api', 'temporal', 'postgres'];
  const kills: readonly (readonly [readonly string[], string])[] = [
    [['temporal'], 'downloadBundle'],
    [['temporal'], 'activateRelease'],
    [['temporal'], 'restartInstance'],
    [['temporal'], 'closeIntent'],
    [['postgres'], 'openIntent'],
    [['postgres'], 'restartInstance'],
    [['temporal', 'postgres'], 'migrateData'],
    [['temporal', 'postgres', 'api', 'control'], 'verifyHealth'],
    [everything, 'extractBundle'],
    [everything, 'restartInstance'],
  ];
  test.each(kills.map(([victims, activity]) => [victims.join(', '), activity, victims] as const))('SIGKILL of %s during %s: they come back, and the run succeeds', async (_names, activity, victims) => {
    const said = stack.said.length;
    await applyWith(activity, async () => killProcesses(await pidsOf(victims)));
    for (const name of victims) expect(stack.said.slice(said).filter((line) => line.startsWith(`${name} was ended by SIGKILL`))).toHaveLength(1);
  }, 240_000);

  test.each(['takeBackup', 'restartInstance'])('SIGKILL of everything during %s, instances and router of the host too: they come back, and the run succeeds', async (activity) => {
    await applyWith(
      activity,
      async () => {
        const marked = await findByEnvironment({ FAIRLEAD_ROOT: root() });
        await killProcesses([...(await pidsOf(everything)), ...marked.map(({ pid }) => pid)]);
      },
      { hostGoes: true },
    );
  }, 240_000);

  test('SIGTERM of the agent: it lets the step end, and no step is taken twice', async () => {
    const before = await logOf('agent-h1');
    const report = await applyWith('restartInstance', async () => {
      const pid = stack.pidOf('agent-h1');
      process.kill(pid, 'SIGTERM');
      await eventually('the agent says that it is stopping', async () => ((await logOf('agent-h1')).slice(before.length).includes('"signal":"SIGTERM"') ? true : null));
    });
    expect(report.steps.filter(({ attempts }) => attempts > 1)).toEqual([]);
    await eventually('the agent is there again', () => stack.dev.pids()['agent-h1'] ?? null);
    expect(stack.said.at(-1)).toContain('agent-h1 ended with exit code 0');
  }, 240_000);

  /** Guarantee 6. */
  test('SIGSTOP of the agent for longer than the heartbeat limit, then SIGCONT: the attempt that was given up does no harm', async () => {
    const report = await applyWith('restartInstance', async (runId) => {
      const pid = stack.pidOf('agent-h1');
      process.kill(pid, 'SIGSTOP');
      try {
        await eventually(
          'the server has given the attempt up',
          async () => {
            const { body } = await stack.ask<{ pending?: { activity: string; attempt: number }[] }>('GET', `/api/runs/${runId}`);
            return body.pending?.some(({ activity, attempt }) => activity === 'restartInstance' && attempt > 1) ? true : null;
          },
          60_000,
        );
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    });
    expect(report.steps.find(({ name }) => name === 'restart')?.attempts).toBe(2);
    expect(await logOf('agent-h1')).toContain('its result is not wanted');
  }, 240_000);
});
