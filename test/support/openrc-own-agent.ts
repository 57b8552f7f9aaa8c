import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { findByEnvironment, readProcess } from '../../src/adapters/process/proc.ts';
import { openRcNames } from '../../src/adapters/service-manager/openrc/init-script.ts';
import type { RolloutResult } from '../../src/cli/rollout/answer.ts';
import type { HostDetail, RunDetail } from '../../src/contract/index.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import { ownProduct, type InstanceName, type ProductName } from '../../src/domain/ids.ts';
import { eventually } from './eventually.ts';
import type { OpenRcMachine } from './openrc-machine.ts';
import { ownReleases, startOwnHost, type OwnHost, type OwnReleases } from './own-hosts.ts';
import type { Stack } from './stack.ts';

const limitMs = 240_000;
const name = 'own-1';

export interface OpenRcBed {
  readonly machine: OpenRcMachine;
  readonly stack: Stack;
  readonly dir: string;
}

/** A second host on the bed's machine, whose agent is a service of OpenRC that runs from a release of Fairlead. @param bed asked for once the bed is up @param product published there as r1 */
export function describeOwnAgent(bed: () => OpenRcBed, product: ProductName, settings: string): void {
  describe('an agent that replaces itself', () => {
    let releases: OwnReleases;
    let host: OwnHost;

    const names = () => openRcNames(host.root, bed().machine.initDir, { product: ownProduct, instance: 'agent-main' as InstanceName });
    const shown = async () => (await bed().stack.ask<HostDetail>('GET', `/api/hosts/${name}`)).body;
    const tells = async () => (await shown()).session?.releases.find(({ product: told }) => told === ownProduct)?.releaseId;
    const helpers = async () => (await findByEnvironment({ FAIRLEAD_ROOT: host.root })).filter(({ environment }) => environment['FAIRLEAD_HANDOVER'] !== undefined).map(({ pid }) => pid);
    /** Everything of the host but its agent and what watches over that: supervisors, instances, the router. */
    async function others(): Promise<number[]> {
      const found = (await findByEnvironment({ FAIRLEAD_ROOT: host.root })).filter(({ environment }) => ![environment['FAIRLEAD_INSTANCE'], environment['FAIRLEAD_WATCHES']].includes(`${ownProduct}/agent-main`) && environment['FAIRLEAD_HANDOVER'] === undefined);
      const supervisors = found.filter(({ environment }) => environment['FAIRLEAD_WATCHES'] !== undefined).map(({ parentPid }) => parentPid);
      return [...new Set([...found.map(({ pid }) => pid), ...supervisors])].sort((one, other) => one - other);
    }
    async function update(bundle: string): Promise<{ code: number | null; result: RolloutResult }> {
      const { exitCode, stdout, stderr } = await bed().stack.fairlead('nodes', 'update', name, bundle, '--bake-seconds', '0', '--decision-seconds', '0', '--json', '--no-sign');
      if (stdout === '') throw new Error(`nothing was printed (${exitCode}): ${stderr}`);
      return { code: exitCode, result: JSON.parse(stdout) as RolloutResult };
    }
    /** The supervisor of the agent: whoever waits for the shell that waits for it. */
    async function supervisor(): Promise<number> {
      const [watcher] = await findByEnvironment({ FAIRLEAD_ROOT: host.root, FAIRLEAD_WATCHES: `${ownProduct}/agent-main` });
      if (watcher === undefined || (await readProcess(watcher.parentPid)) === null) throw new Error('nobody supervises the agent');
      return watcher.parentPid;
    }

    beforeAll(async () => {
      releases = await ownReleases();
      const { machine, stack, dir } = bed();
      const prepare = async (root: string) => {
        machine.create(root);
        const layout = hostLayout(root, product);
        await fs.mkdir(layout.configDir, { recursive: true });
        await fs.writeFile(layout.envFile, settings, { mode: 0o600 });
      };
      host = await startOwnHost({ api: stack.dev.summary.api, temporal: stack.dev.summary.temporal, key: stack.key }, name, await releases.pack('f1'), { services: 'openrc', parent: join(dir, 'hosts'), prepare });
      await eventually('it is seen on its first release', async () => (await tells()) === 'f1', limitMs);
    }, limitMs);
    afterAll(async () => {
      // Whatever the host made of OpenRC is taken away by the machine's end.
      if (host) await bed().machine.rcService(names().service, 'stop');
      await releases?.end();
    }, limitMs);

    test('another release: the successor is a service of OpenRC in its place, what the old one started lives on untouched, and nobody is left who would take it back', async () => {
      const { machine, stack } = bed();
      const { body } = await stack.ask<{ runId: string }>('POST', '/api/updates/apply', { host: name, product, releaseId: 'r1', phase: 'installed', bakeSeconds: 0 });
      const run = await eventually(`run ${body.runId} has ended`, async () => (await stack.ask<RunDetail>('GET', `/api/runs/${body.runId}`)).body.report, limitMs);
      expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
      const before = { session: (await shown()).lastSession!.bootId, agent: await host.status('agent-main'), others: await others() };
      expect(before.agent).toMatchObject({ status: 'active', releaseId: 'f1' });
      // A router and two instances, each with a shell that waits and a supervisor.
      expect(before.others.length).toBeGreaterThanOrEqual(7);
      const { code, result } = await update(await releases.pack('f2'));
      expect(result).toMatchObject({ ok: true, hosts: [{ host: name, from: 'f1', to: 'f2', outcome: 'updated', verification: { releaseId: 'f2' }, recovery: null }] });
      expect(code).toBe(0);
      expect(result.hosts[0]!.verification!.bootId).not.toBe(before.session);
      expect((await host.state()).lastGoodReleaseId).toBe('f2');
      await eventually('it is seen on f2', async () => (await tells()) === 'f2', limitMs);
      const after = await host.status('agent-main');
      expect(after).toMatchObject({ status: 'active', releaseId: 'f2' });
      expect(after.pid).not.toBe(before.agent.pid);
      expect(await others()).toEqual(before.others);
      await machine.rcService(names().service, 'status');
      await supervisor();
      await eventually('the helpers are gone', async () => (await helpers()).length === 0, limitMs);
      expect(await fs.readdir(hostLayout(host.root, ownProduct).handoverDir).catch(() => [])).toEqual([]);
    }, limitMs);

    test('a release whose agent ends at its start: OpenRC starts it again and again, and the dead-man takes the host back', async () => {
      const before = await others();
      const { code, result } = await update(await releases.pack('f3', (directory) => fs.writeFile(join(directory, 'lib/agent.mjs'), "throw new Error('this agent was packed broken');\n")));
      expect(result).toMatchObject({ ok: false, hosts: [{ host: name, from: 'f2', to: 'f3', outcome: 'rolled_back', reason: { class: 'release', code: 'taken_back' }, recovery: { lastGoodReleaseId: 'f2', attemptedReleaseId: 'f3', backupPath: expect.stringContaining('/backups/') } }] });
      expect(code).not.toBe(0);
      expect(await host.state()).toMatchObject({ activeReleaseId: 'f2', lastGoodReleaseId: 'f2', failedReleaseIds: ['f3'] });
      expect(await host.status('agent-main')).toMatchObject({ status: 'active', releaseId: 'f2' });
      await bed().machine.rcService(names().service, 'status');
      await supervisor();
      expect(await others()).toEqual(before);
      await eventually('seen on f2 again', async () => (await tells()) === 'f2', limitMs);
    }, limitMs);
  });
}
