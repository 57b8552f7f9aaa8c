import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { RolloutResult } from '../../src/cli/rollout/answer.ts';
import type { RunDetail } from '../../src/contract/index.ts';
import { killProcesses } from '../support/checked-stack.ts';
import { eventually } from '../support/eventually.ts';
import { ownReleases, startOwnHost, type OwnHost, type OwnReleases } from '../support/own-hosts.ts';
import { controllerInstances, startOwnController, type OwnController } from '../support/own-controller.ts';

const limitMs = 400_000;

/** The control plane of Fairlead, brought to another release by itself: two APIs and two control workers behind a router, on one host. */
describe('a controller that is updated by itself', () => {
  let controller: OwnController;
  let nodes: OwnReleases;
  let node: OwnHost | null = null;
  beforeAll(async () => {
    [controller, nodes] = await Promise.all([startOwnController('c1'), ownReleases()]);
    await eventually('it knows what it runs', async () => JSON.stringify(await controller.ask('/api/hosts/c1')).includes('"lastGoodReleaseId":"c1"'), limitMs);
  }, limitMs);
  afterAll(async () => {
    await node?.end();
    await nodes?.end();
    await controller?.end();
  }, limitMs);

  async function update(...words: string[]): Promise<{ code: number | null; result: RolloutResult }> {
    const { exitCode, stdout, stderr } = await controller.fairlead('nodes', 'update', ...words, '--json', '--no-sign', '--decision-seconds', '0', '--verify-seconds', '60');
    if (stdout === '') throw new Error(`nothing was printed (${exitCode}): ${stderr}`);
    return { code: exitCode, result: JSON.parse(stdout) as RolloutResult };
  }
  const restartsOf = ({ steps }: { steps: readonly { name: string; direction: string; instance?: string | undefined; outcome: string }[] }, direction: string) =>
    steps.filter((step) => step.name === 'restart' && step.direction === direction && step.outcome === 'done').map(({ instance }) => instance);

  test('API and control worker end at their start: the last good release serves, and the report has the recovery record with the backup path', async () => {
    const broken = await controller.releases.pack('c2', async (directory) => {
      for (const part of ['api', 'control']) await fs.writeFile(join(directory, `workers/${part}.ts`), "throw new Error('this controller was packed broken');\n");
    });
    const { code, result } = await update('--all', broken);
    expect([code === 0, result.ok]).toEqual([false, false]);
    expect(result.hosts).toEqual([expect.objectContaining({ host: 'c1', role: 'controller', artifactRole: 'controller', from: 'c1', to: 'c2', outcome: 'rolled_back', recovery: expect.objectContaining({ lastGoodReleaseId: 'c1', activeReleaseId: 'c1', backupPath: expect.stringContaining('/backups/') }) })]);
    const state = await controller.state();
    expect(state).toMatchObject({ activeReleaseId: 'c1', failedReleaseIds: ['c2'] });
    expect(controllerInstances.map((name) => state.instances[name as never]?.['releaseId'])).toEqual(controllerInstances.map(() => 'c1'));
  }, 2 * limitMs);

  /** Guarantees 3 and 9. */
  test('controller and node in one rollout, SIGKILL of both APIs and both control workers in the middle: the controller first, its own agent with it, each restarted once, then the node; ok, and exit code 0', async () => {
    node = await startOwnHost(controller, 'n1', await nodes.pack('n0'));
    await eventually('the node is known', async () => JSON.stringify(await controller.ask('/api/hosts/n1')).includes('"lastGoodReleaseId":"n0"'), limitMs);
    const agents = await controller.processes('agent');
    const updating = update('--all', await controller.releases.pack('c3'), await nodes.pack('c3'));
    // One is on the new release, the others still on the old one.
    await eventually('the first instance was restarted', async () => Object.values((await controller.state()).instances).some(({ releaseId }) => releaseId === 'c3'), limitMs);
    const killed = [...(await controller.processes('control')), ...(await controller.processes('api'))];
    await killProcesses(killed.map(({ pid }) => pid));
    expect(killed.length).toBeGreaterThan(2);
    const { code, result } = await updating;
    expect(result).toMatchObject({ ok: true, outcome: 'succeeded', releaseId: 'c3' });
    const updated = { to: 'c3', outcome: 'updated', verification: expect.objectContaining({ releaseId: 'c3' }), recovery: null };
    expect(result.hosts).toEqual([
      expect.objectContaining({ host: 'c1', role: 'controller', artifactRole: 'controller', artifactProfile: 'control-plane', from: 'c1', ...updated }),
      expect.objectContaining({ host: 'n1', role: 'node', artifactRole: 'node', artifactProfile: 'node-runtime', from: 'n0', ...updated }),
    ]);
    expect(code).toBe(0);
    const [ofController, ofNode] = await Promise.all(result.hosts.map(({ runId }) => controller.ask<RunDetail>(`/api/runs/${runId}`)));
    expect(Date.parse(ofController!.report!.endedAt)).toBeLessThanOrEqual(Date.parse(ofNode!.report!.startedAt));
    expect(restartsOf(ofController!.report!, 'do').sort()).toEqual([...controllerInstances]);
    expect(restartsOf(ofController!.report!, 'undo')).toEqual([]);
    expect(Object.values((await controller.state()).instances).map(({ releaseId }) => releaseId)).toEqual(controllerInstances.map(() => 'c3'));
    // Another process, and one: whoever asked for it is gone.
    const now = await controller.processes('agent');
    expect([agents.length, now.length, now.some(({ pid }) => agents.some((old) => old.pid === pid))]).toEqual([1, 1, false]);
    expect((await node.status('agent-main')).releaseId).toBe('c3');
  }, 2 * limitMs);

  test('both control workers are ready on the new release and do no work, so that nobody could take them back: the dead-man of the host does', async () => {
    const idle = `import { createServer } from 'node:http';
const [host, port] = process.env.FAIRLEAD_WORKER_HEALTH_LISTEN.split(':');
createServer((_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"healthy":true,"releaseId":"c4"}')).listen(Number(port), host);
process.on('SIGTERM', () => process.exit(0));
`;
    const from = (await controller.state()).lastGoodReleaseId;
    const bundle = await controller.releases.pack('c4', async (directory) => fs.writeFile(join(directory, 'workers/control.ts'), idle));
    const { result } = await update('c1', bundle);
    expect(result).toMatchObject({ ok: false, hosts: [expect.objectContaining({ from, to: 'c4', outcome: 'rolled_back', reason: expect.objectContaining({ code: 'taken_back' }), recovery: expect.objectContaining({ activeReleaseId: from, backupPath: expect.stringContaining('/backups/') }) })] });
    const run = await controller.ask<RunDetail>(`/api/runs/${result.hosts[0]!.runId}`);
    // What the dead-man has started is not started again.
    expect(run.report!.steps.filter(({ name, direction, note }) => name === 'restart' && direction === 'undo' && note !== `ran ${from} already`)).toEqual([]);
    expect(await controller.state()).toMatchObject({ activeReleaseId: from, lastGoodReleaseId: from });
    expect((await controller.processes('control')).length).toBe(2);
  }, 2 * limitMs);
});
