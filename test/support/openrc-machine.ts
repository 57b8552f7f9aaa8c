import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exists } from '../../src/adapters/files/durable.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { findByEnvironment, readProcess, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import { openRcNames } from '../../src/adapters/service-manager/openrc/init-script.ts';
import { createOpenRcServiceManager } from '../../src/adapters/service-manager/openrc/index.ts';
import type { InstanceName, ProductName } from '../../src/domain/ids.ts';
import type { CommandRunner } from '../../src/ports/command-runner.ts';
import { givenMachine, program, root as rootUser } from './requirement.ts';
import { product, type ManagedMachine } from './service-manager-suite.ts';

const repository = join(import.meta.dirname, '../..');
const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';

export const openRcRequirements = [givenMachine, rootUser, program('rc-service'), program('supervise-daemon')];

/** This machine with its own OpenRC, or with the stand-ins of test/bin and directories of their own. */
export interface OpenRcMachine extends ManagedMachine {
  readonly initDir: string;
  readonly confDir: string;
  readonly stateDir: string;
  /** The runlevel in which what starts with the machine is linked. */
  readonly runlevelDir: string;
  readonly commands: CommandRunner;
  /** The machine's `rc-service`, as a person calls it. Fails where the command does. */
  rcService(...argv: string[]): Promise<string>;
  /** Ends and takes away every service of the roots that `create` was asked for. */
  clear(): Promise<void>;
  end(): Promise<void>;
}

/** The machine's own OpenRC. It did not boot the machine, and nothing here provides the network to it: both are made up for the test, and taken away. */
export async function useRealOpenRc(): Promise<OpenRcMachine> {
  const [initDir, confDir, stateDir] = ['/etc/init.d', '/etc/conf.d', '/run/openrc'];
  const providerOf = (pid: number | string) => `fairlead-test-net-${pid}`;
  const provider = join(initDir, providerOf(process.pid));
  await sweepProviders(initDir, providerOf(''));
  await mkdir(stateDir, { recursive: true });
  const madeConfDir = (await mkdir(confDir, { recursive: true })) !== undefined;
  await writeFile(provider, '#!/sbin/openrc-run\ndepend() { provide net; }\nstart() { return 0; }\nstop() { return 0; }\n');
  await chmod(provider, 0o755);
  const softlevel = join(stateDir, 'softlevel');
  if (!(await exists(softlevel))) await writeFile(softlevel, madeUp);
  const machine = describeMachine({ initDir, confDir, stateDir, runlevelDir: '/etc/runlevels/default' }, {}, systemPath);
  await machine.rcService(providerOf(process.pid), 'start');
  return {
    ...machine,
    async end() {
      await machine.clear();
      // Without dependencies: OpenRC would stop whatever needs the network, also what another suite runs at the same time.
      await machine.rcService('--nodeps', providerOf(process.pid), 'stop');
      await rm(provider, { force: true });
      await sweepProviders(initDir, providerOf(''));
      // Not where somebody else has put a file into it by now.
      if (madeConfDir) await rmdir(confDir).catch(() => undefined);
      const others = (await readdir(initDir)).some((name) => name.startsWith(providerOf('')));
      // The last of those who use the machine at the same time, and only where OpenRC has not booted it.
      if (!others && (await readFile(softlevel, 'utf8').catch(() => '')) === madeUp) await rm(softlevel, { force: true });
    },
  };
}

/** What a machine that OpenRC has not booted is told. */
const madeUp = 'fairlead-test\n';

/** What a suite that was killed left behind. */
async function sweepProviders(initDir: string, prefix: string): Promise<void> {
  for (const name of await readdir(initDir)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : 0;
    if (pid > 0 && (await readProcess(pid)) === null) await rm(join(initDir, name), { force: true });
  }
}

/** The stand-ins `rc-service` and `rc-update` of test/bin. */
export async function useOpenRcStandIn(): Promise<OpenRcMachine> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-openrc-'));
  const directories = { initDir: join(directory, 'init.d'), confDir: join(directory, 'conf.d'), stateDir: join(directory, 'run'), runlevelDir: join(directory, 'runlevels/default') };
  for (const made of Object.values(directories)) await mkdir(made, { recursive: true });
  await writeFile(join(directories.stateDir, 'softlevel'), '');
  const machine = describeMachine(directories, { OPENRC_STAND_IN: directory }, `${join(repository, 'test/bin')}:${systemPath}`);
  return {
    ...machine,
    async end() {
      await machine.clear();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

type Directories = Pick<OpenRcMachine, 'initDir' | 'confDir' | 'stateDir' | 'runlevelDir'>;

function describeMachine(directories: Directories, more: Readonly<Record<string, string>>, path: string): OpenRcMachine {
  const { initDir, confDir, stateDir, runlevelDir } = directories;
  const env = { ...more, PATH: path };
  const runner = createCommandRunner();
  const commands: CommandRunner = { run: (argv, options) => runner.run(argv, { ...options, env: { ...options.env, ...env } }) };
  const rcService = async (...argv: string[]): Promise<string> => (await promisify(execFile)('rc-service', argv, { env })).stdout;
  const roots = new Set<string>();
  const clear = async (): Promise<void> => {
    for (const root of roots) {
      const prefix = openRcNames(root, initDir, { product: '' as ProductName, instance: '' as InstanceName }).service.slice(0, -1);
      for (const service of (await readdir(initDir)).filter((name) => name.startsWith(prefix))) {
        await rcService(service, 'stop').catch(() => '');
        await rcService(service, 'zap').catch(() => '');
        for (const file of [join(initDir, service), join(runlevelDir, service), join(confDir, service), join(stateDir, 'failed', service), join(stateDir, 'options', service)]) await rm(file, { recursive: true, force: true });
      }
      for (const left of await findByEnvironment({ FAIRLEAD_ROOT: root })) {
        await signalProcess(left, 'SIGKILL');
        await waitForEnd(left, 5_000);
      }
    }
    roots.clear();
  };
  return {
    ...directories,
    commands,
    rcService,
    clear,
    end: clear,
    create(root) {
      roots.add(root);
      return createOpenRcServiceManager({ root, commands, initDir, stateDir });
    },
    isAlive: async (pid) => (await readProcess(pid)) !== null,
    kill: async (pid, signal) => void process.kill(pid, signal),
    members: async (root, name) => (await findByEnvironment({ FAIRLEAD_INSTANCE: `${product}/${name}`, FAIRLEAD_ROOT: root })).map(({ pid }) => pid),
    shell: async (script) => (await promisify(execFile)('/bin/sh', ['-c', script], { env })).stdout,
    startElsewhere: (root, spec) => spawn(process.execPath, [join(repository, 'test/bin/start-openrc-instance.ts'), JSON.stringify({ root, spec, initDir, stateDir })], { env: { ...process.env, ...env }, stdio: 'ignore' }),
  };
}
