import { execFile } from 'node:child_process';
import { access, copyFile, link, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import type { CommandRunner } from '../../src/ports/command-runner.ts';
import { toolsDirectory } from '../../src/runtime/toolchain.ts';
import { importImage, startDockerDaemon, type DockerDaemon } from './docker-daemon.ts';
import { eventually } from './eventually.ts';
import { givenMachine, program, root } from './requirement.ts';

const repository = join(import.meta.dirname, '../..');
const projectThere = '/opt/fairlead';
const image = 'fairlead-systemd:1';
/** Where a program that a host's people installed may lie; the container has no PATH of its own to inherit. */
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const systemdRequirements = [givenMachine, root, program('dockerd'), program('docker'), program('setpriv'), program('debootstrap')];

/** A container whose first process is systemd. Node, this repository and `directory` have the same paths in it as outside, and it shares the network. */
export interface SystemdMachine {
  readonly container: string;
  readonly docker: DockerDaemon;
  /** Roots of hosts go here: the machine sees nothing else of this one that can be written. Not below /tmp, of which units may have one of their own. */
  readonly directory: string;
  /** Node and this checkout at places that every unit sees, wherever the checkout lies: below /tmp or /var/tmp, units with a /tmp of their own see neither. */
  readonly node: string;
  readonly project: string;
  /** The machine's /etc/systemd/system. */
  readonly unitDir: string;
  /** Runs commands on the machine. They get no environment but PATH and what the options name. */
  readonly commands: CommandRunner;
  /** argv that runs `argv` on the machine from anywhere on this one, with `docker.env`. */
  wrap(argv: readonly string[], env?: Readonly<Record<string, string>>): string[];
  /** Runs a command there; its output. Fails where the command does. */
  run(...argv: string[]): Promise<string>;
  /** Ends every unit that Fairlead made there, and takes it away. */
  clear(): Promise<void>;
  /** Starts its first process again, as after a power cut: everything else is gone, and what lies on the disk is left. */
  reboot(): Promise<void>;
  end(): Promise<void>;
}

/** Boots a machine with systemd 252 of Debian 12. Needs `systemdRequirements`. The first time on a computer its image is made, in about a minute. */
export async function startSystemdMachine(): Promise<SystemdMachine> {
  const cache = dirname(toolsDirectory(process.env));
  const tar = await ensureImage(join(cache, 'images'));
  const directory = await mkdtemp(join(cache, 'machine-'));
  const docker = await startDockerDaemon();
  const end = async (): Promise<void> => {
    await docker.end();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const unitDir = join(directory, 'units');
    await mkdir(unitDir);
    const node = join(directory, 'bin/node');
    await mkdir(dirname(node));
    await link(process.execPath, node).catch(() => copyFile(process.execPath, node));
    await importImage(docker, image, tar);
    const container = (await docker.docker(...runArguments(directory, unitDir))).trim();
    const machine = describe(docker, container, directory, unitDir, node, end);
    await untilBooted(machine);
    return machine;
  } catch (error) {
    await end();
    throw error;
  }
}

function runArguments(directory: string, unitDir: string): string[] {
  const same = (source: string, mode: string) => ['-v', `${source}:${source}:${mode}`];
  return [
    ...['run', '-d', '--network', 'host', '--cap-add', 'SYS_ADMIN', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined'],
    ...['--tmpfs', '/run', '--tmpfs', '/run/lock', '--cgroupns=host', '-v', '/sys/fs/cgroup:/sys/fs/cgroup:rw'],
    ...same(repository, 'ro'),
    ...['-v', `${repository}:${projectThere}:ro`],
    // Node may be the checkout's own or the machine's.
    ...(process.execPath.startsWith(`${repository}/`) ? [] : same(dirname(dirname(process.execPath)), 'ro')),
    ...same(directory, 'rw'),
    ...['-v', `${unitDir}:/etc/systemd/system:rw`],
    ...[image, '/sbin/init'],
  ];
}

function describe(docker: DockerDaemon, container: string, directory: string, unitDir: string, node: string, end: () => Promise<void>): SystemdMachine {
  const wrap = (argv: readonly string[], env: Readonly<Record<string, string>> = {}) => [
    ...['docker', 'exec', '-i', ...Object.entries({ PATH: path, ...env }).flatMap(([name, value]) => ['-e', `${name}=${value}`]), container],
    ...argv,
  ];
  const runner = createCommandRunner();
  const commands: CommandRunner = {
    run: (argv, options) => runner.run(wrap(argv, options.env), { ...options, env: { DOCKER_HOST: docker.host }, extendEnv: true }),
  };
  const run = async (...argv: string[]): Promise<string> => {
    const [file = '', ...rest] = wrap(argv);
    return (await promisify(execFile)(file, rest, { env: docker.env, maxBuffer: 16 * 2 ** 20 })).stdout;
  };
  const machine: SystemdMachine = {
    container,
    docker,
    directory,
    node,
    project: projectThere,
    unitDir,
    commands,
    wrap,
    run,
    async clear() {
      const made = (await readdir(unitDir)).filter((name) => name.startsWith('h') || name.startsWith('shop') || name.startsWith('fairlead'));
      const units = (await run('systemctl', 'list-units', '--all', '--plain', '--no-legend', '--full')).split('\n').map((line) => line.split(' ')[0] ?? '');
      const ours = units.filter((unit) => made.some((name) => unit === name || unit.startsWith(name.split('@')[0] + '@')));
      if (ours.length > 0) await run('systemctl', 'kill', '--kill-who=all', '-s', 'SIGKILL', ...ours).catch(() => '');
      if (ours.length > 0) await run('systemctl', 'stop', ...ours).catch(() => '');
      for (const name of made) await rm(join(unitDir, name), { recursive: true, force: true });
      await rm(join(unitDir, 'multi-user.target.wants'), { recursive: true, force: true });
      await run('systemctl', 'daemon-reload');
      await run('systemctl', 'reset-failed');
    },
    async reboot() {
      await docker.docker('restart', '--time', '0', container);
      await untilBooted(machine);
    },
    end,
  };
  return machine;
}

async function untilBooted(machine: SystemdMachine): Promise<void> {
  await eventually(
    'systemd has booted',
    async () => {
      const state = await machine.run('sh', '-c', 'systemctl is-system-running || true');
      return /^(running|degraded)$/.test(state.trim());
    },
    60_000,
  );
}

/** The tar of a minimal Debian 12 with systemd, made once for this user. @returns its path */
async function ensureImage(images: string): Promise<string> {
  const tar = join(images, `${image.replace(':', '-')}.tar`);
  if (await access(tar).then(() => true, () => false)) return tar;
  await mkdir(images, { recursive: true });
  const scratch = await mkdtemp(join(images, '.making-'));
  try {
    const tree = join(scratch, 'tree');
    await promisify(execFile)('debootstrap', ['--variant=minbase', '--include=systemd,systemd-sysv,dbus', 'bookworm', tree], { maxBuffer: 64 * 2 ** 20, env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } });
    for (const name of ['usr/share/doc', 'usr/share/locale', 'usr/share/man', 'var/cache/apt', 'var/lib/apt/lists']) await rm(join(tree, name), { recursive: true, force: true });
    // Nothing of a machine's housekeeping may run: it would clean directories that are mounted from outside, or trim the computer's disks.
    await rm(join(tree, 'usr/bin/systemd-tmpfiles'));
    for (const unit of ['tmp.mount', 'fstrim.timer', 'e2scrub_all.timer', 'systemd-tmpfiles-setup.service', 'systemd-tmpfiles-setup-dev.service', 'systemd-tmpfiles-clean.timer', 'systemd-pstore.service', 'getty.target', 'systemd-udevd.service', 'systemd-modules-load.service', 'systemd-sysctl.service']) {
      await rm(join(tree, 'usr/lib/systemd/system', unit), { force: true });
      await symlink('/dev/null', join(tree, 'usr/lib/systemd/system', unit));
    }
    await promisify(execFile)('tar', ['--numeric-owner', '-C', tree, '-cf', join(scratch, 'tar'), '.']);
    await rename(join(scratch, 'tar'), tar);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return tar;
}
