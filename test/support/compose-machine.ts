import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { findByEnvironment, readCommandLine, readProcess } from '../../src/adapters/process/proc.ts';
import { createComposeServiceManager, type ComposeOptions } from '../../src/adapters/service-manager/compose/index.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { CommandRunner } from '../../src/ports/command-runner.ts';
import { importImage, type DockerDaemon } from './docker-daemon.ts';
import { product, type ManagedMachine } from './service-manager-suite.ts';

const repository = join(import.meta.dirname, '../..');

/**
 * Makes an image with the programs that test instances use, each at its own path and with the libraries that it needs: this very Node, `sh`, `cat`
 * and `cp`. There is no registry to pull from.
 */
export async function makeNodeImage(docker: DockerDaemon, name: string): Promise<void> {
  const tree = await mkdtemp(join(tmpdir(), 'fairlead-image-'));
  try {
    for (const program of [process.execPath, '/bin/sh', '/bin/cat', '/bin/cp']) {
      const { stdout } = await promisify(execFile)('ldd', [program]);
      const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file ?? '');
      for (const file of [program, ...libraries]) {
        await mkdir(join(tree, dirname(file)), { recursive: true });
        await cp(file, join(tree, file), { dereference: true });
      }
    }
    for (const directory of ['tmp', 'proc', 'sys', 'dev', 'etc']) await mkdir(join(tree, directory), { recursive: true });
    // `node` is looked up on the image's PATH, wherever it lies on this machine.
    await importImage(docker, name, tree, [`ENV PATH=/usr/local/bin:/usr/bin:/bin:${dirname(process.execPath)}`]);
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

/** The stand-ins of test/bin instead of Docker; `directory` plays the daemon. */
export async function standInMachine(directory: string, compose: 'docker compose' | 'docker-compose'): Promise<ManagedMachine> {
  const bin = join(repository, 'test/bin');
  const host = `unix://${directory}/docker.sock`;
  const PATH = `${bin}:${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;
  if (compose === 'docker compose') await writeFile(join(directory, 'plugin'), '');
  const { run } = createCommandRunner();
  const commands: CommandRunner = { run: (argv, options) => run(argv, { ...options, env: { ...options.env, PATH } }) };
  const machine = composeMachine({ host }, 'stand-in:1', { commands });
  return {
    ...machine,
    shell: async (script) => (await promisify(execFile)('/bin/sh', ['-c', script], { env: { PATH } })).stdout,
    startElsewhere: (root, spec) =>
      spawn(process.execPath, [join(bin, 'start-compose-instance.ts'), JSON.stringify({ root, spec, image: 'stand-in:1', dockerHost: host })], { stdio: 'ignore', env: { ...process.env, PATH } }),
  };
}

/** This machine, with instances in containers of `daemon`. */
export function composeMachine(daemon: Pick<DockerDaemon, 'host'>, image: string, more: Partial<ComposeOptions> = {}): ManagedMachine {
  const options = { image, dockerHost: daemon.host };
  const members = async (root: string, name: InstanceName): Promise<number[]> => {
    const found = await findByEnvironment({ FAIRLEAD_INSTANCE: `${product}/${name}`, FAIRLEAD_ROOT: root });
    const named = await Promise.all(found.map(async ({ pid }) => ({ pid, line: await readCommandLine(pid) })));
    // docker-init, and the copy of it that is about to become the instance.
    return named.filter(({ line }) => line !== '' && !line.includes('docker-init')).map(({ pid }) => pid);
  };
  return {
    create: (root) => createComposeServiceManager({ root, commands: createCommandRunner(), ...options, ...more }),
    isAlive: async (pid) => (await readProcess(pid)) !== null,
    kill: async (pid, signal) => void process.kill(pid, signal),
    members,
    shell: async (script) => (await promisify(execFile)('/bin/sh', ['-c', script], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })).stdout,
    startElsewhere: (root, spec) => spawn(process.execPath, [join(repository, 'test/bin/start-compose-instance.ts'), JSON.stringify({ root, spec, ...options })], { stdio: 'ignore' }),
    async outsidePid(root, pid) {
      // The last number is the id in the innermost name space (proc_pid_status(5)).
      for (const { pid: outside, environment } of await findByEnvironment({ FAIRLEAD_ROOT: root })) {
        const status = await readFile(`/proc/${outside}/status`, 'utf8').catch(() => '');
        if (environment['FAIRLEAD_INSTANCE'] !== undefined && Number(/^NSpid:.*\t(\d+)$/m.exec(status)?.[1]) === pid) return outside;
      }
      return null;
    },
  };
}
