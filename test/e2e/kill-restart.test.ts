import type { HostDetail, ServiceRunAccepted } from '../../src/contract/index.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { killProcesses, startCheckedStack, type CheckedStack } from '../support/checked-stack.ts';
import { points, tried, type Verdict } from '../support/checkpoints.ts';
import { eventually } from '../support/eventually.ts';
import { bootsOf, brokenActivation, brokenGuarantees, brokenRestarts } from '../support/invariants.ts';
import { cutDown } from '../support/matrix-product.ts';

/** Every activity of a restart, in the order of its steps; a new one has to be added here, or the first test fails. */
const activities = ['inspectServices', 'openIntent', 'armRecovery', 'drainInstance', 'restartInstance', 'proveInstance', 'admitInstance', 'verifyHealth', 'closeIntent'];

/** Guarantees 1, 2, 3, 4, 6 and 9. */
describe('a restart loses its agent, or its control worker', () => {
  let stack: CheckedStack;
  beforeAll(async () => {
    // A killed worker holds its run up for as long as these say; the outcome is the same.
    stack = await startCheckedStack({ env: { FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000' } });
    await stack.publish('r1', { edit: cutDown });
    expect((await stack.apply('h1', 'r1')).outcome).toBe('succeeded');
    // Until the host has told that something is installed, which it does beside the run, a restart is refused.
    await eventually('control hears that r1 is active on h1', async () => (await stack.ask<HostDetail>('GET', '/api/hosts/h1')).body.products.some(({ state }) => state?.activeReleaseId === 'r1'), 60_000);
  }, 240_000);
  afterAll(() => stack?.end(), 60_000);

  const root = () => stack.dev.summary.hosts[0]?.root as string;

  async function restart(): Promise<{ report: RunReport; started: string[] }> {
    const before = (await bootsOf(root(), stack.product)).length;
    const answer = await stack.ask<ServiceRunAccepted>('POST', '/api/services/restart', { host: 'h1', product: stack.product, service: 'api', bakeSeconds: 0 });
    expect(answer).toMatchObject({ status: 202 });
    const { runId } = answer.body;
    const report = await eventually(`run ${runId} has a report`, async () => (await stack.ask<{ report?: RunReport | null }>('GET', `/api/runs/${runId}`)).body.report ?? false, 90_000);
    const boots = (await bootsOf(root(), stack.product)).slice(before);
    expect(brokenRestarts(boots)).toEqual([]);
    return { report, started: boots.map(({ instance }) => instance).sort() };
  }

  test('these are its activities', async () => {
    const seen = new Set<string>();
    stack.decide(({ program, activity }) => {
      if (program === 'agent') seen.add(activity);
      return 'go';
    });
    expect((await restart()).report.outcome).toBe('succeeded');
    expect([...seen]).toEqual(activities);
  }, 60_000);

  test.each(tried(activities))('SIGKILL %s %s: the run ends well, and each instance was restarted once', async (point, activity) => {
    let killed = false;
    let broken: string[] = [];
    stack.decide(async (at): Promise<Verdict> => {
      if (killed || at.program !== 'agent' || at.activity !== activity || at.point !== point) return 'go';
      killed = true;
      await killProcesses([stack.pidOf('agent-h1')]);
      broken = await brokenActivation(root(), stack.product);
      return 'go';
    });
    const { report, started } = await restart();
    stack.decide(() => 'go');
    expect({ killed, broken, outcome: report.outcome, started }).toEqual({ killed: true, broken: [], outcome: 'succeeded', started: ['api-a', 'api-b'] });
    expect(await brokenGuarantees(stack, report)).toEqual([]);
  }, 120_000);

  test.each(activities)('SIGKILL of control before, during and after %s: the run ends well, and each instance was restarted once', async (activity) => {
    const left = [...points];
    const broken: string[] = [];
    stack.decide(async (at): Promise<Verdict> => {
      if (at.program !== 'agent' || at.activity !== activity || at.point !== left[0]) return 'go';
      left.shift();
      const pid = stack.pidOf('control');
      await killProcesses([pid]);
      broken.push(...(await brokenActivation(root(), stack.product)));
      // There has to be somebody to kill at the next point.
      await eventually('control is started again', async () => (stack.dev.pids()['control'] ?? pid) !== pid, 30_000);
      return 'go';
    });
    const { report, started } = await restart();
    stack.decide(() => 'go');
    // What only asks has no effect to be killed during.
    expect({ left: left.filter((point) => point !== 'during'), broken, outcome: report.outcome, started }).toEqual({ left: [], broken: [], outcome: 'succeeded', started: ['api-a', 'api-b'] });
    expect(await brokenGuarantees(stack, report)).toEqual([]);
  }, 120_000);
});
