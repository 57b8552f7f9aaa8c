import { execFile, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { readProcess, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';

export interface DockerDaemon {
  /** `unix://…`: what a client takes as DOCKER_HOST. */
  readonly host: string;
  /** The environment of every command that asks this daemon: the caller's, with DOCKER_HOST. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs `docker` with these arguments; its output. */
  docker(...args: string[]): Promise<string>;
  /** Ends the daemon and starts it again over what it kept, as a reboot or an upgrade of Docker does; null for a daemon that was not started here. */
  readonly restart: (() => Promise<void>) | null;
  /** Ends the daemon with all its containers, if it was started here, and removes what it kept. One that was there before is left alone. */
  end(): Promise<void>;
}

const startLimitMs = 60_000;
const endLimitMs = 30_000;

/**
 * A Docker daemon: the one that already answers at DOCKER_HOST or at the usual socket, else one started with everything that it keeps below
 * a temporary directory. Each caller that has to start one gets its own, since that takes half a second: nothing is shared, so no test file
 * waits for another, and none can end what another still uses. A daemon started here has no bridge and leaves the machine's packet filter
 * alone: its containers use `--network host`, none, or networks that the test makes. Needs root, `dockerd` and `setpriv`.
 *
 * @param options.own a daemon of the caller's own in any case: for whoever makes images under names that others use
 */
export async function startDockerDaemon({ own = false }: { readonly own?: boolean } = {}): Promise<DockerDaemon> {
  for (const host of own ? [] : [process.env['DOCKER_HOST'], 'unix:///var/run/docker.sock']) {
    if (host === undefined || host === '') continue;
    const there = client(host, async () => undefined);
    if (await answers(there)) return there;
  }
  // A short path: the address of a Unix socket has at most 108 bytes, and containerd puts some of its sockets below the exec root.
  const directory = await mkdtemp(join(tmpdir(), 'fl-docker-'));
  const host = `unix://${directory}/docker.sock`;
  let pid = await launch(directory, host);
  const restart = async (): Promise<void> => {
    await endProcess(pid);
    pid = await launch(directory, host);
  };
  return client(host, () => endDaemon(directory, host, pid), restart);
}

/** Resolves to the daemon's process id once it answers. */
async function launch(directory: string, host: string): Promise<number | undefined> {
  const log = await open(join(directory, 'log'), 'a');
  const argv = ['--data-root', `${directory}/data`, '--exec-root', `${directory}/exec`, '--pidfile', `${directory}/pid`, '--host', host];
  argv.push('--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false');
  // A test process that is killed takes its daemon with it, and the daemon its containers.
  const daemon = spawn('setpriv', ['--pdeathsig', 'TERM', 'dockerd', ...argv], {
    stdio: ['ignore', log.fd, log.fd],
    // An own group, so that a Ctrl-C meant for the tests does not reach it before they have ended their containers.
    detached: true,
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, DOCKER_HOST: '' },
  });
  let spawnError: Error | null = null;
  daemon.once('error', (error) => (spawnError = error));
  await log.close();
  const deadline = performance.now() + startLimitMs;
  while (!(await answers(client(host, async () => undefined)))) {
    if (spawnError === null && daemon.exitCode === null && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    const words = (await readFile(join(directory, 'log'), 'utf8')).trim().split('\n').slice(-5).join('\n');
    await endDaemon(directory, host, daemon.pid);
    throw new Error(`dockerd did not answer; it ended with ${daemon.exitCode ?? 'nothing yet'} and said last:\n${words}`, { cause: spawnError });
  }
  return daemon.pid;
}

/**
 * Makes an image of a directory tree or of a tar file, for there is no registry to pull from.
 * @param changes instructions of a Dockerfile for its configuration, such as `ENV PATH=/bin`
 */
export async function importImage(docker: DockerDaemon, name: string, tarOrDirectory: string, changes: readonly string[] = []): Promise<void> {
  const importing = spawn('docker', ['import', ...changes.flatMap((change) => ['--change', change]), '-', name], { env: docker.env, stdio: ['pipe', 'ignore', 'pipe'] });
  const words: Buffer[] = [];
  importing.stderr.on('data', (chunk: Buffer) => words.push(chunk));
  const ended = new Promise<number | null>((resolve, reject) => importing.once('error', reject).once('close', resolve));
  const packing = (await stat(tarOrDirectory)).isDirectory() ? spawn('tar', ['--numeric-owner', '-C', tarOrDirectory, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] }) : null;
  const packed = packing === null ? Promise.resolve(0) : new Promise<number | null>((resolve, reject) => packing.once('error', reject).once('close', resolve));
  const piped = await pipeline(packing?.stdout ?? createReadStream(tarOrDirectory), importing.stdin).catch((error: Error) => error);
  const codes = [await packed, await ended];
  if (codes[0] !== 0) throw new Error(`tar of ${tarOrDirectory} ended with ${codes[0]}`);
  if (codes[1] !== 0 || piped instanceof Error) throw new Error(`docker import of ${name} ended with ${codes[1]}: ${Buffer.concat(words).toString('utf8').trim()}`, { cause: piped });
}

function client(host: string, end: () => Promise<void>, restart: DockerDaemon['restart'] = null): DockerDaemon {
  const env = { ...process.env, DOCKER_HOST: host };
  return { host, env, end, restart, docker: async (...args) => (await promisify(execFile)('docker', args, { env, maxBuffer: 64 * 2 ** 20 })).stdout };
}

async function answers({ env }: DockerDaemon): Promise<boolean> {
  try {
    await promisify(execFile)('docker', ['version', '--format', '{{.Server.Version}}'], { env, timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

async function endDaemon(directory: string, host: string, pid: number | undefined): Promise<void> {
  // All containers of this daemon are of the tests. Removing them first spares the ten seconds that the daemon grants each at its own end.
  const { docker } = client(host, async () => undefined);
  const containers = (await docker('ps', '--all', '--quiet').catch(() => '')).split('\n').filter((id) => id !== '');
  if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers).catch(() => undefined);
  // A network is a device of the machine, which outlives the daemon.
  const networks = (await docker('network', 'ls', '--quiet', '--filter', 'type=custom').catch(() => '')).split('\n').filter((id) => id !== '');
  if (networks.length > 0) await docker('network', 'rm', ...networks).catch(() => undefined);
  // containerd is a child of dockerd, which ends it; where dockerd had to be killed, it is ended here.
  const containerd = Number(await readFile(join(directory, 'exec/containerd/containerd.pid'), 'utf8').catch(() => '0'));
  for (const id of [pid, containerd]) await endProcess(id);
  // Mounts that outlive a killed daemon would keep its directory.
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').flatMap((line) => line.split(' ')[1] ?? []);
  for (const mount of mounts.filter((path) => path.startsWith(`${directory}/`)).reverse()) await promisify(execFile)('umount', ['--lazy', mount]).catch(() => undefined);
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}

async function endProcess(pid: number | undefined): Promise<void> {
  const found = pid === undefined || pid === 0 ? null : await readProcess(pid);
  if (found === null) return;
  await signalProcess(found, 'SIGTERM');
  if (await waitForEnd(found, endLimitMs)) return;
  await signalProcess(found, 'SIGKILL');
  await waitForEnd(found, endLimitMs);
}
