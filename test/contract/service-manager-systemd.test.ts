import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { exists } from '../../src/adapters/files/durable.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { findByEnvironment, parseEnvironment, readCommandLine, readProcess, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import { parseConf } from '../../src/adapters/service-manager/conf-file.ts';
import { instancePath } from '../../src/adapters/service-manager/program.ts';
import { instanceEnvironment } from '../../src/adapters/service-manager/systemd/commands.ts';
import { createSystemdServiceManager } from '../../src/adapters/service-manager/systemd/index.ts';
import { invocationFile, renderDropIn, renderTarget, renderTemplate, unitFiles, unitNames } from '../../src/adapters/service-manager/systemd/units.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import type { CommandRunner } from '../../src/ports/command-runner.ts';
import { commonConf } from '../support/conf-samples.ts';
import { eventually } from '../support/eventually.ts';
import { createHostRoot } from '../support/host-root.ts';
import { describeWith } from '../support/requirement.ts';
import { createServiceManagerBench, describeServiceManager, product, ref, type ManagedMachine, type ServiceManagerBench } from '../support/service-manager-suite.ts';
import { startSystemdMachine, systemdRequirements, type SystemdMachine } from '../support/systemd-machine.ts';

const repository = join(import.meta.dirname, '../..');

/**
 * Processes on the machine whose environment names the host and the instance. What notes a start is systemd's, not the instance's: the shell and its mv(1)
 * both name the file of the note, `$3`, on their command lines; one that has none has ended since.
 */
const membersScript = `
for file in $(grep -lzxF -e "FAIRLEAD_ROOT=$1" /proc/[0-9]*/environ 2>/dev/null); do
  pid=\${file#/proc/}; pid=\${pid%/environ}
  grep -qzxF -e "FAIRLEAD_INSTANCE=$2" "$file" 2>/dev/null || continue
  grep -qz . "/proc/$pid/cmdline" 2>/dev/null || continue
  grep -qzxF -e "$3" "/proc/$pid/cmdline" 2>/dev/null && continue
  echo "$pid"
done`;

const noteOf = (root: string, instance: InstanceName): string => invocationFile(root, { product, instance });

function managed(machine: SystemdMachine): ManagedMachine {
  return {
    directory: machine.directory,
    node: machine.node,
    create: (root) => createSystemdServiceManager({ root, unitDir: machine.unitDir, commands: machine.commands }),
    isAlive: async (pid) => (await machine.run('sh', '-c', `grep -q '^State:.[^ZX]' /proc/${pid}/status 2>/dev/null && echo yes || true`)) === 'yes\n',
    kill: async (pid, signal) => void (await machine.run('sh', '-c', `kill -s ${signal.slice(3)} ${pid}`)),
    members: async (root, name: InstanceName) => (await machine.run('sh', '-c', membersScript, 'sh', root, `${product}/${name}`, noteOf(root, name))).split('\n').filter(Boolean).map(Number),
    async shell(script) {
      const [file = '', ...rest] = machine.wrap(['/bin/sh', '-c', script], { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
      return (await promisify(execFile)(file, rest, { env: machine.docker.env })).stdout;
    },
    startElsewhere: (root, spec) =>
      spawn(process.execPath, [join(import.meta.dirname, '../bin/start-systemd-instance.ts'), JSON.stringify({ root, spec, unitDir: machine.unitDir, wrap: machine.wrap([]) })], { env: machine.docker.env, stdio: 'ignore' }),
  };
}

/** This machine, with a stand-in for systemd: shows that the adapter keeps the contract where there is neither root nor a container. */
async function standIn(directory: string): Promise<ManagedMachine> {
  const unitDir = join(directory, 'units');
  await mkdir(unitDir, { recursive: true });
  const program = join(import.meta.dirname, '../bin/systemctl');
  const env = { SYSTEMCTL_STANDIN: directory };
  const runner = createCommandRunner();
  const wrap = [process.execPath, program];
  const commands: CommandRunner = { run: ([, ...argv], options) => runner.run([...wrap, ...argv], { ...options, env: { ...options.env, ...env } }) };
  return {
    create: (root) => createSystemdServiceManager({ root, unitDir, commands }),
    isAlive: async (pid) => (await readProcess(pid)) !== null,
    kill: async (pid, signal) => void process.kill(pid, signal),
    members: async (root, name) => {
      const found = await findByEnvironment({ FAIRLEAD_INSTANCE: `${product}/${name}`, FAIRLEAD_ROOT: root });
      const titles = await Promise.all(found.map(({ pid }) => readCommandLine(pid)));
      return found.filter((_, at) => titles[at] && !titles[at].includes(noteOf(root, name))).map(({ pid }) => pid);
    },
    async shell(script) {
      // sh finds it as a program of that name, which looks for a Node.
      const path = `${dirname(program)}:${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;
      return (await promisify(execFile)('/bin/sh', ['-c', script], { env: { PATH: path, ...env } })).stdout;
    },
    startElsewhere: (root, spec) =>
      spawn(process.execPath, [join(import.meta.dirname, '../bin/start-systemd-instance.ts'), JSON.stringify({ root, spec, unitDir, wrap: [process.execPath, program], drop: 1 })], { env: { ...process.env, ...env }, stdio: 'ignore' }),
  };
}

describe('with a stand-in for systemd', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fairlead-systemctl-'));
  });
  const end = async (): Promise<void> => {
    // The processes behind the units first: they would start the instances anew.
    const left = await findByEnvironment({ SYSTEMCTL_STANDIN: directory });
    for (const each of left) await signalProcess(each, 'SIGKILL');
    for (const each of left) await waitForEnd(each, 5_000);
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
    await mkdir(join(directory, 'units'));
  };
  afterEach(end);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  describeServiceManager('systemd, played', () => standIn(directory));
});

describeWith(systemdRequirements, 'with systemd as the first process', () => {
  let machine: SystemdMachine;
  beforeAll(async () => {
    machine = await startSystemdMachine();
  }, 300_000);
  afterEach(() => machine.clear(), 60_000);
  afterAll(() => machine?.end(), 60_000);

  describeServiceManager('systemd', () => managed(machine));

  test("fairlead host install: systemd has nothing to say about Fairlead's own units, and asked twice nothing changes", async () => {
    const fairlead = (...argv: string[]) => machine.run(join(repository, 'bin/fairlead'), 'host', 'install', '--manager', 'systemd', ...argv);
    const node = ['--host-id', 'web-1', '--api-url', 'http://127.0.0.1:1'];
    const controller = ['--role', 'controller', '--database-url', 'postgres://127.0.0.1:1/fairlead'];
    for (const [unit, argv] of [['fairlead-agent', node], ['fairlead-control', controller]] as const) {
      expect((await fairlead(...argv)).match(/^done/gm)).toHaveLength(3);
      expect((await fairlead(...argv)).match(/^unchanged/gm)).toHaveLength(3);
      expect(await machine.run('sh', '-c', `systemd-analyze verify --recursive-errors=no ${unit}.service 2>&1`)).toBe('');
      expect(await machine.run('systemctl', 'is-enabled', `${unit}.service`)).toBe('enabled\n');
    }
    for (const [file, role] of [['config', 'node'], ['control', 'controller']] as const) {
      expect(await machine.run('sh', '-c', `stat -c %a /etc/fairlead/${file}.yaml; grep ^role: /etc/fairlead/${file}.yaml`)).toBe(`600\nrole: ${role}\n`);
    }
    // It starts, and comes back when it is killed. There is no controller: it waits for one.
    await machine.run('sh', '-c', 'umask 077; echo key >/etc/fairlead/agent.key');
    await machine.run('systemctl', 'start', 'fairlead-agent');
    const pidOf = async () => Number((await machine.run('systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead-agent')).trim());
    const first = await pidOf();
    expect(first).toBeGreaterThan(0);
    await machine.run('sh', '-c', `kill -s KILL ${first}`);
    await eventually('systemd has started the agent anew', async () => ![0, first].includes(await pidOf()));
  });

  describe('service manager: systemd, what only it does', () => {
    let host: Awaited<ReturnType<typeof createHostRoot>>;
    let bench: ServiceManagerBench;
    const names = () => unitNames(host.root, ref);
    const files = () => unitFiles(machine.unitDir, names());
    const answering = (what: string, wanted: (answer: Awaited<ReturnType<ServiceManagerBench['ask']>>) => boolean = () => true) =>
      eventually(what, async () => {
        const answer = await bench.ask();
        return wanted(answer) && answer;
      });

    beforeEach(async () => {
      host = await createHostRoot(machine.directory);
      bench = await createServiceManagerBench(host.root, managed(machine).create(host.root), undefined, machine.node);
    });
    afterEach(() => host.end());

    test('systemd-analyze verify finds nothing to say about the units, here and on a real host', async () => {
      await bench.services.start(bench.spec('r1', { AWKWARD: `it's "quoted" 100% $HOME \\ a\nb` }));
      expect(await machine.run('sh', '-c', 'systemd-analyze verify --recursive-errors=no "$@" 2>&1', 'sh', names().unit, names().target)).toBe('');
      // The names of a real host, from a directory of their own.
      const directory = join(machine.directory, 'verified');
      const real = unitFiles(directory, unitNames('/', ref));
      await mkdir(real.dropInDir, { recursive: true });
      await writeFile(real.target, renderTarget('/', ref));
      await writeFile(real.template, renderTemplate('/', ref, unitNames('/', ref)));
      await writeFile(real.dropIn, renderDropIn('/', bench.spec('r1'), ['/bin/sh', '-c', 'echo "$HOME" 100%'], { A: '1' }));
      expect(await machine.run('sh', '-c', `SYSTEMD_UNIT_PATH=${directory}: systemd-analyze verify --recursive-errors=no shop-api@a.service shop.target 2>&1`)).toBe('');
    });

    test('systemd reads a conf file as it is parsed here', async () => {
      const file = join(host.root, 'common.conf');
      await writeFile(file, commonConf);
      const printed = await machine.run('systemd-run', '--quiet', '--wait', '--pipe', `--property=EnvironmentFile=${file}`, 'env', '-0');
      const bySystemd = parseEnvironment(printed);
      const wanted = parseConf(commonConf, file);
      expect(Object.fromEntries(Object.keys(wanted).map((name) => [name, bySystemd[name]]))).toEqual(wanted);
    });

    test('words of the command and values of the environment reach the instance as they are', async () => {
      const words = ["it's", '$HOME', '${HOME}', 'a  b', '', '*', '100%', '%i', ';', '"', '\\', 'a\nb', 'Grüße'];
      const env = { AWKWARD: `it's "quoted" 100% %i $HOME \\ a\nb` };
      const script = 'require("fs").writeFileSync(process.env.OUT, JSON.stringify([process.argv.slice(1), process.env.AWKWARD])); setInterval(() => {}, 1000)';
      await bench.services.start({ ...bench.spec('r1', { ...env, OUT: join(host.root, 'out') }), command: [machine.node, '-e', script, ...words] });
      const [argv, value] = await eventually('it has written', async () => JSON.parse(await readFile(join(host.root, 'out'), 'utf8')));
      expect(argv).toEqual(words);
      expect(value).toBe(env.AWKWARD);
    });

    test('the machine starts anew: systemd brings the instance up on its release, and no agent was needed', async () => {
      await bench.services.start(bench.spec('r1'));
      await answering('the instance answers');
      await machine.reboot();
      const { env } = await answering('it answers again');
      expect(env['FAIRLEAD_RELEASE_ID']).toBe('r1');
      expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1' });
      expect(await bench.starts()).toHaveLength(2);
    });

    test('a crashed instance is started anew by systemd, on the same release', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await answering('the instance answers');
      await managed(machine).kill(pid, 'SIGKILL');
      const after = await answering('it answers again', (answer) => answer.pid !== pid);
      expect(await bench.services.status(ref)).toEqual({ status: 'active', releaseId: 'r1', pid: after.pid, lastExit: null });
      const { logFile } = bench.spec('r1');
      expect((await readFile(logFile, 'utf8')).match(/listening/g)).toHaveLength(2);
      // Its log is not for everybody.
      expect((await stat(logFile)).mode & 0o777).toBe(0o640);
    });

    test('crashed too often: failed for good, and the next release starts all the same', async () => {
      await bench.services.start({ ...bench.spec('r1', { MISBEHAVE: 'exit-7' }), command: ['/bin/false'] });
      await eventually('systemd has given up', async () => (await machine.run('systemctl', 'show', '-p', 'SubState', '--value', names().unit)).trim() === 'failed', 40_000);
      expect(await bench.services.status(ref)).toMatchObject({ status: 'failed', lastExit: 'exit 1' });
      expect(await bench.services.start(bench.spec('r2'))).toBe('started');
      expect((await answering('the instance answers')).env['FAIRLEAD_RELEASE_ID']).toBe('r2');
    });

    test('a release that crashes again and again gives way to the next one while systemd waits to start it anew', async () => {
      await bench.services.start({ ...bench.spec('r1'), command: ['/bin/false'] });
      await eventually('it waits', async () => (await machine.run('systemctl', 'show', '-p', 'SubState', '--value', names().unit)).trim() === 'auto-restart');
      expect(await bench.services.start(bench.spec('r2'))).toBe('started');
      const { pid, env } = await answering('the instance answers');
      expect(env['FAIRLEAD_RELEASE_ID']).toBe('r2');
      expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r2', pid });
    });

    test('agent killed after it wrote the units of another release: status tells the release of the process, and the next start obeys', async () => {
      await bench.services.start(bench.spec('r1'));
      await answering('the instance answers');
      await writeFile(files().dropIn, renderDropIn(host.root, bench.spec('r2'), [machine.node, 'instance.mjs'], bench.spec('r2').env));
      for (const reload of [false, true]) {
        if (reload) await machine.run('systemctl', 'daemon-reload');
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1' });
        expect(await bench.services.start(bench.spec('r1'))).toBe('already_running');
      }
      await bench.services.stop(bench.spec('r1'));
      expect(await bench.services.start(bench.spec('r1'))).toBe('started');
      expect((await answering('it answers')).env['FAIRLEAD_RELEASE_ID']).toBe('r1');
    });

    test('agent killed between the units and systemd reading them: the next start does not run what systemd still remembers', async () => {
      // Else systemd may start r1 anew before the start of r2.
      await mkdir(files().dropInDir, { recursive: true });
      await writeFile(join(files().dropInDir, '60-mine.conf'), '[Service]\nRestartSec=60s\n');
      await bench.services.start(bench.spec('r1'));
      await answering('the instance answers');
      await machine.run('systemctl', 'kill', '--signal=SIGKILL', names().unit);
      await eventually('it waits', async () => (await bench.services.status(ref)).status === 'failed');
      const next = bench.spec('r2');
      await writeFile(files().dropIn, renderDropIn(host.root, next, next.command, instanceEnvironment(host.root, next, instancePath)));
      expect(await bench.services.start(next)).toBe('started');
      expect((await answering('it answers', ({ cwd }) => cwd.endsWith('r2'))).env['FAIRLEAD_RELEASE_ID']).toBe('r2');
    });

    test('a process that hides its environment: its release is known all the same', async () => {
      const { command } = bench.spec('r1');
      await bench.services.start({ ...bench.spec('r1'), command: ['/bin/sh', '-c', `exec env -i PORT="$PORT" STARTS_FILE="$STARTS_FILE" ${command.join(' ')}`] });
      await answering('the instance answers', ({ env }) => env['FAIRLEAD_RELEASE_ID'] === undefined);
      expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1' });
    });

    test('what a person does with systemctl is seen, and a start has the last word', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await answering('the instance answers');
      await machine.run('systemctl', 'restart', names().unit);
      const restarted = await answering('it answers again', (answer) => answer.pid !== pid);
      expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1', pid: restarted.pid });
      await machine.run('systemctl', 'disable', '--now', names().unit);
      expect((await bench.services.status(ref)).status).toBe('inactive');
      expect(await bench.services.start(bench.spec('r1'))).toBe('started');
      expect((await machine.run('systemctl', 'is-enabled', names().unit)).trim()).toBe('enabled');
    });

    test('the target of the product stops and starts its instances', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await answering('the instance answers');
      expect((await machine.run('systemctl', 'is-active', names().target)).trim()).toBe('active');
      await machine.run('systemctl', 'stop', names().target);
      // The target is ordered behind what it wants, and stops before it: systemctl does not wait for the instance.
      const stopped = await eventually('it has ended', async () => {
        const now = await bench.services.status(ref);
        return now.status === 'inactive' && now;
      });
      expect(stopped).toMatchObject({ status: 'inactive', pid: null });
      await machine.run('systemctl', 'start', names().target);
      await answering('it answers again', (answer) => answer.pid !== pid);
    });

    test('two instances: the template goes with the last one, and nothing is left but what a person wrote', async () => {
      const other = { ...ref, instance: 'api-b' as InstanceName };
      const layout = hostLayout(host.root, product);
      await bench.services.start(bench.spec('r1'));
      await bench.services.start({ ...bench.spec('r1', { PORT: '0' }), ...other, configFile: layout.configFile(other.instance), logFile: layout.logFile(other.instance) });
      await writeFile(join(files().dropInDir, '60-mine.conf'), '[Service]\nNice=5\n');
      await bench.services.stop(bench.spec('r1'));
      await bench.services.forget(ref);
      expect(await exists(files().template)).toBe(true);
      expect((await bench.services.status(other)).status).toBe('active');
      await bench.services.stop({ ...bench.spec('r1'), ...other });
      await bench.services.forget(other);
      expect(await listing(machine.unitDir)).toEqual([`${names().unit}.d/60-mine.conf`]);
      expect(await machine.run('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'h*-shop*')).toBe('');
    });

    test('a unit of somebody else with the same name: refused, left alone, nothing runs', async () => {
      await writeFile(files().template, '[Service]\nExecStart=/bin/sleep 1\n');
      await expect(bench.services.start(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'unit_name_taken', message: expect.stringContaining(names().template) } });
      expect(await readFile(files().template, 'utf8')).toBe('[Service]\nExecStart=/bin/sleep 1\n');
      expect((await bench.services.status(ref)).status).toBe('inactive');
    });

    test('the instance cannot change its release nor the system, and can write to its state', async () => {
      const layout = hostLayout(host.root, product);
      await mkdir(layout.stateRoot, { recursive: true });
      const attempt = (path: string) => `if echo x >"${path}"; then echo "wrote ${path}"; else echo "kept from ${path}"; fi`;
      const places = [`${layout.releaseDir('r1' as ReleaseId)}/x`, '/usr/x', '/etc/x', `${layout.stateRoot}/x`, '/tmp/x'];
      await bench.services.start({ ...bench.spec('r1'), command: ['/bin/sh', '-c', places.map(attempt).join('\n')] });
      const log = await eventually('it has tried', async () => {
        const found = (await bench.services.evidence(ref, 20)).find((fact) => fact.kind === 'log')?.lines.filter((line) => /^(wrote|kept)/.test(line));
        return found?.length === places.length && found;
      });
      expect(log).toEqual([`kept from ${places[0]}`, 'kept from /usr/x', 'kept from /etc/x', `wrote ${places[3]}`, 'wrote /tmp/x']);
      // It was a /tmp of its own.
      expect(await machine.run('sh', '-c', 'ls /tmp/x 2>&1 || true')).toContain('No such file');
    });

    test('a conf file that says which release this is: refused', async () => {
      await writeFile(bench.spec('r1').configFile, 'FAIRLEAD_RELEASE_ID=r9\n');
      await expect(bench.services.start(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'conf_file_invalid', message: expect.stringContaining('FAIRLEAD_RELEASE_ID') } });
    });

    test('systemd does not answer: unknown, never inactive; it answers again: active', async () => {
      await bench.services.start(bench.spec('r1'));
      await answering('the instance answers');
      const hasty: CommandRunner = { run: (argv, options) => machine.commands.run(argv, { ...options, timeoutMs: 1_500 }) };
      const services = createSystemdServiceManager({ root: host.root, unitDir: machine.unitDir, commands: hasty });
      const init = Number((await machine.docker.docker('inspect', '--format', '{{.State.Pid}}', machine.container)).trim());
      process.kill(init, 'SIGSTOP');
      try {
        expect(await services.status(ref)).toEqual({ status: 'unknown', releaseId: null, pid: null, lastExit: null });
        expect(await services.evidence(ref, 5)).toContainEqual(expect.objectContaining({ kind: 'unit', status: 'unknown' }));
        await expect(services.start(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'service_manager_unreachable' }, retryable: true });
        await expect(services.stop(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'service_manager_unreachable' }, retryable: true });
      } finally {
        process.kill(init, 'SIGCONT');
      }
      expect((await eventually('systemd answers', async () => (await bench.services.status(ref)).status === 'active'))).toBe(true);
      expect(await bench.starts()).toHaveLength(1);
    });

    test('a release that is told to take longer for its end than the one that runs: it gets that time', async () => {
      const spec = { ...bench.spec('r1', { MISBEHAVE: 'slow-stop' }), stopSeconds: 0.2 };
      await bench.services.start(spec);
      await answering('the instance answers');
      expect(await bench.services.stop({ ...spec, stopSeconds: 20 })).toBe('stopped');
    });
  });
});

/** Paths of files below a directory. */
async function listing(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => relative(directory, join(entry.parentPath, entry.name))).sort();
}
