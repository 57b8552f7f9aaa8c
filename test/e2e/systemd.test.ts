import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unitNames } from '../../src/adapters/service-manager/systemd/units.ts';
import type { RolloutResult } from '../../src/cli/rollout/answer.ts';
import type { HostDetail } from '../../src/contract/index.ts';
import { agentLayout, hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import { ownProduct, type InstanceName, type ServiceName } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { eventually } from '../support/eventually.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { deadManSlackSeconds, ownReleases, type OwnReleases } from '../support/own-hosts.ts';
import { describeWith } from '../support/requirement.ts';
import { project, shortStart, startStack, type Stack } from '../support/stack.ts';
import { startSystemdMachine, systemdRequirements, type SystemdMachine } from '../support/systemd-machine.ts';

const [host, product] = ['web-1', 'powernode'];
const instances = ['backend@api2', 'backend@default', 'frontend@default', 'frontend@second', 'worker@default', 'worker-web@default'];
/** The load itself: nothing is waited for but that clients go on for a while. */
const asking = () => new Promise((resolve) => setTimeout(resolve, 700));

/** A machine with systemd, on which Fairlead was installed as its operators would, and the product that is made for it. */
describeWith(systemdRequirements, 'powernode on a host with systemd', () => {
  let machine: SystemdMachine;
  let stack: Stack;

  const show = async (property: string, unit: string) => (await machine.run('systemctl', 'show', `--property=${property}`, '--value', unit)).trim();
  const unitOf = (instance: string) => `powernode-${instance}.service`;
  const pids = async () => Object.fromEntries(await Promise.all(instances.map(async (instance) => [instance, Number(await show('MainPID', unitOf(instance)))])));
  /** The release of each unit that runs, as its process was told. */
  const releases = async () => (await Promise.all(instances.map(async (instance) => /FAIRLEAD_RELEASE_ID=(\S+)/.exec((await machine.run('cat', `/proc/${await show('MainPID', unitOf(instance))}/environ`)).replaceAll('\0', '\n'))?.[1])));
  const stateOf = async () => JSON.parse(await machine.run('cat', '/var/lib/powernode/fairlead/state.json')) as HostState;
  const address = async () => `http://127.0.0.1:${(await stateOf()).router?.port}`;

  async function start(releaseId: string): Promise<string> {
    const { status, body } = await stack.ask<{ runId: string }>('POST', '/api/updates/apply', { host, product, releaseId, phase: 'installed', bakeSeconds: 0 });
    if (status !== 202) throw new Error(`applying ${releaseId} was answered with ${status}: ${JSON.stringify(body)}`);
    return body.runId;
  }
  async function report(runId: string): Promise<RunReport> {
    return eventually(`run ${runId} has ended`, async () => (await stack.ask<{ report: RunReport | null }>('GET', `/api/runs/${runId}`)).body.report, 150_000);
  }
  const apply = async (releaseId: string) => report(await start(releaseId));

  async function underLoad<Value>(work: () => Promise<Value>): Promise<{ value: Value; load: LoadResult }> {
    const at = await address();
    const clients = startLoad({ urls: ['/api/health', '/', '/api/slow?ms=300'].map((path) => at + path), requestsPerSecond: 100, connections: 40 });
    try {
      await asking();
      const value = await work();
      await asking();
      const load = await clients.stop();
      expect(load.sent).toBeGreaterThan(100);
      return { value, load };
    } catch (error) {
      await clients.stop();
      throw error;
    }
  }

  beforeAll(async () => {
    [machine, stack] = await Promise.all([startSystemdMachine(), startStack({ example: join(project, 'examples/powernode') })]);
    await stack.publish('r1');
    await stack.publish('r2');
    await stack.publish('r3', { edit: shortStart, faults: { notReady: true, only: 'backend-api2' } });
    await stack.publish('r4', { edit: shortStart, faults: { crashAtStart: true, only: 'worker' } });
    await stack.publish('r5');
    const { stdout: key } = await stack.fairlead('keys', 'create', host, '--role', 'agent');
    const settings = ['--host-id', host, '--api-url', stack.dev.summary.api, '--host-temporal', 'direct', '--temporal-address', stack.dev.summary.temporal, '--ports', 'free', '--router', 'embedded', '--health-listen', '127.0.0.1:0'];
    await machine.run(join(machine.project, 'bin/fairlead'), 'host', 'install', ...settings);
    await machine.run('sh', '-c', `umask 077; echo ${key.trim()} >/etc/fairlead/agent.key`);
    await machine.run('systemctl', 'start', 'fairlead-agent');
    await eventually('the host has said hello', async () => (await stack.ask('GET', `/api/hosts/${host}`)).status === 200, 60_000);
  }, 300_000);
  afterAll(async () => {
    await stack?.end();
    await machine?.end();
  }, 120_000);

  test('install: every instance is a unit with the name that operators know, below one target, and the host says what runs it', async () => {
    const run = await apply('r1');
    expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
    for (const instance of instances) expect([instance, await show('ActiveState', unitOf(instance)), await show('UnitFileState', unitOf(instance))]).toEqual([instance, 'active', 'enabled']);
    expect(await releases()).toEqual(instances.map(() => 'r1'));
    expect(await show('ActiveState', 'powernode.target')).toBe('active');
    expect((await stateOf()).manager).toBe('systemd');
    expect(await machine.run('sh', '-c', "systemd-analyze verify --recursive-errors=no powernode.target 'powernode-backend@default.service' 2>&1")).toBe('');
  }, 180_000);

  /** Guarantee 12. */
  test('an update under constant load: no request fails, both releases answer, every process is a new one', async () => {
    const before = await pids();
    const { value: run, load } = await underLoad(() => apply('r2'));
    expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
    expect(load.failed).toEqual([]);
    expect(load.succeeded).toBe(load.sent);
    expect(Object.keys(load.byReleaseId).sort()).toEqual(['r1', 'r2']);
    expect(await releases()).toEqual(instances.map(() => 'r2'));
    const after = await pids();
    expect(instances.filter((instance) => before[instance] === after[instance])).toEqual([]);
  }, 180_000);

  test('a reload under load: the process stays, reads its settings again, and no request fails', async () => {
    const before = await pids();
    await machine.run('sh', '-c', `echo '{"banner":"new"}' >/var/lib/powernode/settings.json`);
    const { load } = await underLoad(async () => {
      for (const instance of ['backend@default', 'backend@api2']) await machine.run('systemctl', 'kill', '--kill-who=main', '-s', 'SIGUSR2', unitOf(instance));
      const { instances: known } = await stateOf();
      for (const { port } of Object.values(known).filter(({ service }) => service === 'backend')) {
        await eventually(`the one at ${port} has reloaded`, async () => {
          const answer = (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as { generation: number; settings: { banner?: string } };
          return answer.generation === 1 && answer.settings.banner === 'new';
        });
      }
    });
    expect(load.failed).toEqual([]);
    expect(await pids()).toEqual(before);
  }, 120_000);

  test('a release that never gets healthy is rolled back, with its unit and log as evidence, and no client has noticed', async () => {
    const { value: run, load } = await underLoad(() => apply('r3'));
    expect([run.outcome, run.reason?.class, run.reason?.code]).toEqual(['rolled_back', 'release', 'probe_failed']);
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'unit', instance: 'backend-api2', status: 'active' }));
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'log', instance: 'backend-api2', lines: expect.arrayContaining([expect.stringContaining('release r3 listens')]) }));
    expect(load.failed).toEqual([]);
    expect(await releases()).toEqual(instances.map(() => 'r2'));
  }, 180_000);

  test('a release whose worker crashes at its start is rolled back, and systemd does not go on starting it', async () => {
    const run = await apply('r4');
    expect([run.outcome, run.reason?.code]).toEqual(['rolled_back', 'instance_exited']);
    expect(run.evidence).toContainEqual(expect.objectContaining({ kind: 'unit', instance: 'worker-default', status: 'failed', exit: 'exit 1' }));
    expect(await releases()).toEqual(instances.map(() => 'r2'));
    expect([await show('ActiveState', unitOf('worker@default')), await show('NRestarts', unitOf('worker@default'))]).toEqual(['active', '0']);
  }, 180_000);

  test('the agent is killed: instances and router go on, systemd brings it back, and it touches none of them', async () => {
    const before = await pids();
    const agent = await show('MainPID', 'fairlead-agent');
    const { load } = await underLoad(async () => {
      await machine.run('sh', '-c', `kill -s KILL ${agent}`);
      await eventually('the agent is back', async () => !['0', agent].includes(await show('MainPID', 'fairlead-agent')), 30_000);
      // An update needs it: it is at work once more.
      expect((await apply('r2')).outcome).toBe('unchanged');
    });
    expect(load.failed).toEqual([]);
    expect(await pids()).toEqual(before);
  }, 120_000);

  /** Guarantees 3 and 9. */
  test('the agent is killed in the middle of an update: the run goes on where it was, each unit is started once, no request fails', async () => {
    const { value: run, load } = await underLoad(async () => {
      const runId = await start('r5');
      await eventually('the first instance is on the new release', async () => (await releases()).includes('r5'), 60_000);
      await machine.run('sh', '-c', `kill -s KILL ${await show('MainPID', 'fairlead-agent')}`);
      return report(runId);
    });
    expect([run.reason, run.outcome]).toEqual([null, 'succeeded']);
    expect(load.failed).toEqual([]);
    expect(await releases()).toEqual(instances.map(() => 'r5'));
    const starts = (await machine.run('sh', '-c', "grep -c 'release r5 listens' /var/log/powernode/*.log")).trim().split('\n').map((line) => line.split(':')[1]);
    expect(starts).toEqual(instances.map(() => '1'));
  }, 180_000);

  test('the machine starts anew: everything is back on its release', async () => {
    const before = await readFileOf('/etc/powernode/backend-default.conf');
    await machine.reboot();
    await eventually('the product answers', async () => (await fetch(`${await address()}/api/health`)).ok, 60_000);
    expect(await readFileOf('/etc/powernode/backend-default.conf')).toBe(before);
    await eventually('all units run', async () => (await Promise.all(instances.map((instance) => show('ActiveState', unitOf(instance))))).every((state) => state === 'active'), 60_000);
    expect(await releases()).toEqual(instances.map(() => 'r5'));
  }, 180_000);

  const readFileOf = (path: string) => machine.run('cat', path);

  /** A second host on the same machine, whose agent is a unit that runs from a release of Fairlead. */
  describe('an agent that replaces itself', () => {
    const own = 'own-1';
    let releases: OwnReleases;
    let root: string;
    let unit: string;
    const layout = () => hostLayout(root, ownProduct);
    /** Bundles go where the machine sees them. */
    async function packed(releaseId: string, edit?: (directory: string) => Promise<void>): Promise<string> {
      const file = join(machine.directory, `${releaseId}.tar.gz`);
      await fs.copyFile(await releases.pack(releaseId, edit), file);
      return file;
    }
    async function update(bundle: string): Promise<{ code: number | null; result: RolloutResult }> {
      const { exitCode, stdout, stderr } = await stack.fairlead('nodes', 'update', own, bundle, '--decision-seconds', '0', '--json', '--no-sign');
      if (stdout === '') throw new Error(`nothing was printed (${exitCode}): ${stderr}`);
      return { code: exitCode, result: JSON.parse(stdout) as RolloutResult };
    }
    const ownState = async () => JSON.parse(await fs.readFile(layout().stateFile, 'utf8')) as HostState;
    const tells = async () => (await stack.ask<HostDetail>('GET', `/api/hosts/${own}`)).body.session?.releases.find(({ product: told }) => told === ownProduct)?.releaseId;
    const helpers = async () => (await machine.run('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'run-*.service')).trim();

    beforeAll(async () => {
      releases = await ownReleases();
      root = join(machine.directory, own);
      unit = unitNames(root, { product: ownProduct, service: 'agent' as ServiceName, instance: 'agent-main' as InstanceName }).unit;
      const { configDir, agentKeyFile } = agentLayout(root);
      await fs.mkdir(configDir, { recursive: true });
      const { stdout: key } = await stack.fairlead('keys', 'create', own, '--role', 'agent');
      await fs.writeFile(agentKeyFile, key, { mode: 0o600 });
      const settings = { FAIRLEAD_HOST_ID: own, FAIRLEAD_API_URL: stack.dev.summary.api, FAIRLEAD_HOST_TEMPORAL: 'direct', FAIRLEAD_TEMPORAL_ADDRESS: stack.dev.summary.temporal, FAIRLEAD_PORTS: 'free', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_SERVICES: 'systemd', FAIRLEAD_HEAL: 'report', FAIRLEAD_DEAD_MAN_SLACK_SECONDS: deadManSlackSeconds };
      await fs.writeFile(join(configDir, 'agent.env'), Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join(''), { mode: 0o600 });
      await fs.writeFile(layout().configFile('agent-main' as InstanceName), `PATH=${dirname(machine.node)}:/usr/bin:/bin\n`, { mode: 0o600 });
      await machine.run(join(machine.project, 'bin/fairlead'), 'host', 'adopt', await packed('f1'), '--root', root);
      await eventually('it is seen on its first release', async () => (await tells()) === 'f1', 60_000);
    }, 180_000);
    afterAll(() => releases?.end());

    test('another release: a transient unit puts the successor in its place, what it started lives on, and nobody is left who would take it back', async () => {
      const before = await show('MainPID', unit);
      // Whatever else the agent started, such as a router, is in its control group.
      const joined = `path=$(sed -n 's/^\\(0:\\|[0-9]*:name=systemd\\)://p' /proc/$1/cgroup | head -n 1)
for at in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
  [ -e "$at$path/cgroup.procs" ] || continue
  sleep 600 >/dev/null 2>&1 &
  echo $! | tee "$at$path/cgroup.procs"
  exit
done`;
      const child = (await machine.run('sh', '-c', joined, 'sh', before)).trim();
      expect(child).toMatch(/^\d+$/);
      const { code, result } = await update(await packed('f2'));
      expect(result).toMatchObject({ ok: true, hosts: [{ host: own, from: 'f1', to: 'f2', outcome: 'updated', recovery: null }] });
      expect(code).toBe(0);
      expect((await ownState()).lastGoodReleaseId).toBe('f2');
      await eventually('it is seen on f2', async () => (await tells()) === 'f2', 60_000);
      const after = await show('MainPID', unit);
      expect([after !== before, await show('ActiveState', unit), await show('NRestarts', unit)]).toEqual([true, 'active', '0']);
      expect((await machine.run('cat', `/proc/${after}/environ`)).split('\0')).toContain('FAIRLEAD_RELEASE_ID=f2');
      await machine.run('sh', '-c', `kill ${child}`);
      await eventually('the helpers are gone', async () => (await helpers()) === '', 60_000);
    }, 240_000);

    test('a release whose agent ends at its start: systemd starts it again and again, and the dead-man takes the host back', async () => {
      const { code, result } = await update(await packed('f3', (directory) => fs.writeFile(join(directory, 'lib/agent.mjs'), "throw new Error('this agent was packed broken');\n")));
      expect(result).toMatchObject({ ok: false, hosts: [{ host: own, from: 'f2', to: 'f3', outcome: 'rolled_back', reason: { class: 'release', code: 'taken_back' }, recovery: { lastGoodReleaseId: 'f2', backupPath: expect.stringContaining('/backups/') } }] });
      expect(code).not.toBe(0);
      expect(await ownState()).toMatchObject({ activeReleaseId: 'f2', lastGoodReleaseId: 'f2', failedReleaseIds: ['f3'] });
      expect([await show('ActiveState', unit), (await machine.run('cat', `/proc/${await show('MainPID', unit)}/environ`)).includes('FAIRLEAD_RELEASE_ID=f2')]).toEqual(['active', true]);
      await eventually('seen on f2 again', async () => (await tells()) === 'f2', 60_000);
    }, 300_000);
  });
});
