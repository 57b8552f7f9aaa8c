import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { HostDetail, RunDetail } from '../../src/contract/index.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import { ownProduct, type ReleaseId } from '../../src/domain/ids.ts';
import type { RolloutResult } from '../../src/cli/rollout/answer.ts';
import { eventually } from '../support/eventually.ts';
import { ownReleases, startOwnHost, type OwnHost, type OwnReleases } from '../support/own-hosts.ts';
import { startStack, type Stack } from '../support/stack.ts';

const limitMs = 240_000;

/** Fairlead's own nodes, each an agent that runs from a release as an instance of the host's service manager, brought to another release by Fairlead. */
describe('nodes that are updated by themselves', () => {
  let stack: Stack;
  let releases: OwnReleases;
  const hosts: OwnHost[] = [];

  beforeAll(async () => {
    [stack, releases] = await Promise.all([startStack({ hosts: 0 }), ownReleases()]);
    const first = await releases.pack('f1');
    for (const name of ['n1', 'n2']) hosts.push(await startOwnHost({ api: stack.dev.summary.api, temporal: stack.dev.summary.temporal, key: stack.key }, name, first));
    for (const { name } of hosts) await eventually(`${name} is connected, and has told what it has`, async () => isOn(await shown(name), 'f1'), limitMs);
  }, limitMs);
  afterAll(async () => {
    await Promise.all(hosts.map((host) => host.end()));
    await releases?.end();
    await stack?.end();
  }, limitMs);

  const shown = async (name: string): Promise<HostDetail> => (await stack.ask<HostDetail>('GET', `/api/hosts/${name}`)).body;
  /** A host whose connection was cut is connected again within seconds. */
  const openSession = (name: string) => eventually(`${name} has a session`, async () => (await shown(name)).session, limitMs);
  const isOn = (host: HostDetail, releaseId: string) => host.status === 'connected' && host.products.some(({ product, state }) => product === ownProduct && state?.lastGoodReleaseId === releaseId);
  const tells = (host: HostDetail) => host.session?.releases.find(({ product }) => product === ownProduct)?.releaseId;

  async function update(...words: string[]): Promise<{ code: number | null; result: RolloutResult; said: string }> {
    const { exitCode, stdout, stderr } = await stack.fairlead('nodes', 'update', ...words, '--json', '--no-sign');
    if (stdout === '') throw new Error(`nothing was printed (${exitCode}): ${stderr}`);
    return { code: exitCode, result: JSON.parse(stdout) as RolloutResult, said: stderr };
  }

  test('nodes update --all with a new bundle: every agent is replaced once, and is seen on the new release in a new session', async () => {
    const before = await Promise.all(hosts.map(({ name }) => openSession(name)));
    const pids = await Promise.all(hosts.map(async (host) => (await host.status('agent-main')).pid));
    const { code, result, said } = await update('--all', await releases.pack('f2'), '--max-parallel', '2', '--bake-seconds', '0');
    expect([said, result]).toEqual([expect.any(String), expect.objectContaining({ ok: true, outcome: 'succeeded', releaseId: 'f2', product: 'fairlead' })]);
    expect(code).toBe(0);
    for (const [at, host] of hosts.entries()) {
      expect(result.hosts.find(({ host: name }) => name === host.name)).toMatchObject({ role: 'node', artifactRole: 'node', artifactProfile: 'node-runtime', from: 'f1', to: 'f2', outcome: 'updated', recovery: null });
      const now = await openSession(host.name);
      expect(now.releases.find(({ product }) => product === ownProduct)?.releaseId).toBe('f2');
      expect(now.bootId).not.toBe(before[at]!.bootId);
      const status = await host.status('agent-main');
      expect([status.releaseId, status.pid === pids[at]]).toEqual(['f2', false]);
      expect(await fs.readdir(join(host.root, 'var/lib/fairlead/fairlead/handover')).catch(() => [])).toEqual([]);
    }
  }, limitMs);

  /** Guarantees 2 and 10. */
  test('a release whose agent ends at its start: the dead-man takes the host back, the run ends rolled back, and the agent is at work', async () => {
    const broken = await releases.pack('f3', async (directory) => fs.writeFile(join(directory, 'lib/agent.mjs'), "throw new Error('this agent was packed broken');\n"));
    const { code, result } = await update('n1', broken, '--decision-seconds', '0');
    expect(result).toMatchObject({ ok: false, releaseId: 'f3' });
    expect(code).not.toBe(0);
    const [own] = result.hosts;
    expect(own).toMatchObject({ host: 'n1', from: 'f2', to: 'f3', outcome: 'rolled_back', reason: { class: 'release', code: 'taken_back' } });
    expect(own!.recovery).toMatchObject({ lastGoodReleaseId: 'f2', attemptedReleaseId: 'f3', backupPath: expect.stringContaining('/backups/') });
    expect(await hosts[0]!.status('agent-main')).toMatchObject({ status: 'active', releaseId: 'f2' });
    expect(await hosts[0]!.state()).toMatchObject({ activeReleaseId: 'f2', lastGoodReleaseId: 'f2', failedReleaseIds: ['f3'] });
    await eventually('seen on f2 again', async () => tells(await shown('n1')) === 'f2', limitMs);
    // It is at work: it takes the next release.
    expect((await update('n1', await releases.pack('f4'))).result).toMatchObject({ ok: true, releaseId: 'f4' });
  }, limitMs * 2);

  test('a node is well on the new release by its own account, and comes back on the old one: not verified, not ok, and the exit code says so', async () => {
    const node = hosts[1]!;
    const layout = hostLayout(node.root, ownProduct);
    const old = layout.releaseDir('f2' as ReleaseId);
    // Answers its probes as the new release, is the old one, and has the old one active again once the run is through.
    const deceiving = await releases.pack('f5', async (directory) =>
      fs.writeFile(
        join(directory, 'lib/agent.mjs'),
        `import { createServer } from 'node:http';
import { readFileSync, renameSync, symlinkSync } from 'node:fs';
const port = Number(process.env.FAIRLEAD_HEALTH_LISTEN.split(':')[1]);
createServer((_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"healthy":true,"releaseId":"f5"}')).listen(port, '127.0.0.1');
const back = setInterval(() => {
  if (JSON.parse(readFileSync(${JSON.stringify(layout.stateFile)}, 'utf8')).lastGoodReleaseId !== 'f5') return;
  clearInterval(back);
  symlinkSync('releases/f2', ${JSON.stringify(`${layout.currentLink}.back`)});
  renameSync(${JSON.stringify(`${layout.currentLink}.back`)}, ${JSON.stringify(layout.currentLink)});
}, 5);
process.env.FAIRLEAD_HEALTH_LISTEN = '127.0.0.1:0';
await import(${JSON.stringify(join(old, 'lib/agent.mjs'))});
`,
      ),
    );
    const { code, result } = await update('n2', deceiving, '--decision-seconds', '0', '--verify-seconds', '15');
    expect(result).toMatchObject({ ok: false, outcome: 'failed', releaseId: 'f5' });
    expect(code).not.toBe(0);
    expect(result.hosts).toEqual([expect.objectContaining({ host: 'n2', from: 'f2', to: 'f5', outcome: 'not_verified', reason: expect.objectContaining({ class: 'host', code: 'reconnected_on_other_release', message: expect.stringMatching(/came back at .* on f2, not on f5/) }), verification: expect.objectContaining({ releaseId: 'f2' }) })]);
    // The run itself had nothing to find fault with: it is the observation that counts.
    expect((await stack.ask<RunDetail>('GET', `/api/runs/${result.hosts[0]!.runId}`)).body.report?.outcome).toBe('succeeded');
  }, limitMs);
});
