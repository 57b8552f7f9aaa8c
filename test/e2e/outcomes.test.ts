import * as fs from 'node:fs/promises';
import { renderInstanceConfig, parseInstanceConfig } from '../../src/domain/host/instance-config.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { eventually } from '../support/eventually.ts';
import { brokenGuarantees, brokenOutcome } from '../support/invariants.ts';
import { shortStart, startStack, type Stack } from '../support/stack.ts';

/** The outcomes as an operator meets them: the real command, its exit code, its one JSON document, and the host afterwards. Guarantees 2 and 4. */
describe('fairlead update apply', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
    await stack.publish('r1', { edit: shortStart });
    await stack.publish('r2', { edit: shortStart });
    await stack.publish('r3', { edit: shortStart, faults: { crashAtStart: true, only: 'api-b' } });
    await stack.publish('r5', { edit: shortStart });
  }, 180_000);
  afterAll(() => stack?.end(), 120_000);

  const root = () => stack.dev.summary.hosts[0]?.root as string;
  async function apply(releaseId: string, ...more: string[]): Promise<{ exitCode: number | null; report: RunReport; stderr: string }> {
    const { exitCode, stdout, stderr } = await stack.fairlead('update', 'apply', '--host', 'h1', '--product', stack.product, '--release', releaseId, '--bake-seconds', '0', '--json', ...more);
    const report = JSON.parse(stdout) as RunReport; // Nothing else may stand on stdout.
    expect(await brokenGuarantees(stack, report)).toEqual([]);
    return { exitCode, report, stderr };
  }

  test('a first install succeeds: 0', async () => {
    const { exitCode, report } = await apply('r1', '--phase', 'installed');
    expect([exitCode, report.outcome, report.fromReleaseId, report.toReleaseId]).toEqual([0, 'succeeded', null, 'r1']);
    expect(report).toMatchObject({ schema: 1, kind: 'update-apply', host: 'h1', product: 'noderax-platform', artifactRole: 'node', artifactProfile: 'control-plane', recovery: null });
    expect(report.steps.every(({ outcome }) => outcome === 'done')).toBe(true);
  }, 120_000);

  test('an update succeeds: 0, by the steps that `update plan` said; asked again there is nothing to do: 0', async () => {
    const planned = await stack.fairlead('update', 'plan', 'r2', '--host', 'h1', '--product', stack.product, '--json');
    const { plan } = JSON.parse(planned.stdout) as { plan: { steps: { name: string; instance?: string }[] } };
    const { exitCode, report } = await apply('r2');
    expect({ exitCode, report }).toMatchObject({ exitCode: 0, report: { outcome: 'succeeded', fromReleaseId: 'r1', toReleaseId: 'r2' } });
    expect(report.steps.map(({ name, instance }) => [name, instance])).toEqual(plan.steps.map(({ name, instance }) => [name, instance]));
    expect(await apply('r2')).toMatchObject({ exitCode: 0, report: { outcome: 'unchanged', steps: [] } });
  }, 120_000);

  test('a cancel in the middle is a rollback: 2, and the release may be tried again', async () => {
    await stack.publish('r2b', { edit: shortStart });
    const running = stack.fairlead('update', 'apply', '--host', 'h1', '--product', stack.product, '--release', 'r2b', '--bake-seconds', '60', '--json');
    const runId = await eventually('the new release answers on the first instance', async () => {
      const { body } = await stack.ask<{ runs: { runId: string }[] }>('GET', '/api/runs?host=h1&limit=1');
      const { body: detail } = await stack.ask<{ progress?: { step: string | null } | null }>('GET', `/api/runs/${body.runs[0]?.runId}`);
      return detail.progress?.step === 'prove api-a' && body.runs[0]?.runId;
    }, 60_000);
    expect((await stack.fairlead('runs', 'cancel', runId, '--reason', 'changed my mind')).exitCode).toBe(0);
    const { exitCode, stdout } = await running;
    const report = JSON.parse(stdout) as RunReport;
    expect([exitCode, report.outcome, report.fromReleaseId]).toEqual([2, 'cancelled', 'r2']);
    expect(await brokenGuarantees(stack, report)).toEqual([]);
    expect((await stack.state('h1')).failedReleaseIds).toEqual([]);
  }, 180_000);

  /** Guarantees 2 and 8. */
  test('an instance that crashes is rolled back with its log as evidence: 5; the release is condemned: 3', async () => {
    const { exitCode, report } = await apply('r3');
    expect([exitCode, report.outcome, report.reason?.class]).toEqual([5, 'rolled_back', 'release']);
    expect(report.evidence.some((fact) => fact.kind === 'log' && fact.instance === 'api-b')).toBe(true);
    expect(report.steps.filter(({ direction }) => direction === 'undo').map(({ name, instance }) => [name, instance].filter(Boolean).join(' '))).toEqual(
      expect.arrayContaining(['reactivate', 'restart api-b', 'restart api-a', 'verify-health', 'discard', 'close-intent']),
    );
    const again = await apply('r3');
    expect([again.exitCode, again.report.outcome, again.report.reason?.code]).toEqual([3, 'refused', 'release_condemned']);
  }, 120_000);

  test('the undo fails as well: 6, and `fairlead recover` brings the host back', async () => {
    // Somebody has edited a conf file: from its next start on, this instance is never ready, on any release.
    const conf = stack.layout('h1').configFile('api-a' as InstanceName);
    const before = await fs.readFile(conf, 'utf8');
    await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(before), FAULTS: '{"notReady":true}' }), { mode: 0o600 });
    const { exitCode, report } = await apply('r5');
    expect([exitCode, report.outcome]).toEqual([6, 'stranded']);
    expect(report.recovery).toMatchObject({ lastGoodReleaseId: 'r2', attemptedReleaseId: 'r5', stuckAt: 'prove api-a', backupPath: report.backupPath });
    expect((await fs.stat(report.backupPath as string)).isDirectory()).toBe(true);

    const refused = await apply('r2');
    expect([refused.exitCode, refused.report.reason?.code]).toEqual([3, 'host_stranded']);

    // A recovery that comes too early fails, and stands in the way of none that comes later.
    const early = await stack.fairlead('recover', '--root', root(), '--product', stack.product, '--run', report.runId, '--json');
    expect([early.exitCode, early.stderr]).toEqual([1, expect.stringContaining('the fault notReady is set')]);
    await fs.writeFile(conf, before, { mode: 0o600 });
    const recovered = await stack.fairlead('recover', '--root', root(), '--product', stack.product, '--run', report.runId, '--json');
    expect([recovered.exitCode, JSON.parse(recovered.stdout)]).toMatchObject([0, { outcome: 'recovered', releaseId: 'r2' }]);
    expect(await brokenOutcome(root(), { ...report, outcome: 'rolled_back' })).toEqual([]);
  }, 180_000);
});
