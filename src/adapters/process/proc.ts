import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { errnoOf } from '../files/durable.ts';

/**
 * What the kernel says of processes and connections (proc(5)). A pid alone names nothing for long: it is given to another process once
 * its owner is gone. Whoever keeps a pid keeps its start time with it, and the boot in which that time was counted.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTicks: string;
}

export interface ProcessStat extends ProcessIdentity {
  readonly parentPid: number;
  readonly sessionId: number;
  /** One letter of proc(5); `Z` has ended and waits for its parent. */
  readonly state: string;
}

/** A process as found by a scan, with the environment that it was started with. */
export interface ScannedProcess extends ProcessStat {
  readonly environment: Readonly<Record<string, string>>;
}

/** Changes with every boot of the machine: start times of another boot mean nothing. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

/** Pure: reads the text of `/proc/<pid>/stat`. The name in it may hold blanks and brackets, so that fields are counted from its last bracket. */
export function parseStat(text: string): ProcessStat | null {
  const pid = Number.parseInt(text, 10);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parentPid, , sessionId] = fields;
  const startTicks = fields[19];
  if (!Number.isInteger(pid) || state === undefined || startTicks === undefined) return null;
  return { pid, state, parentPid: Number(parentPid), sessionId: Number(sessionId), startTicks };
}

/** Pure: reads `NAME=value` pairs that are ended by NUL. */
export function parseEnvironment(text: string): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const pair of text.split('\0')) {
    const equals = pair.indexOf('=');
    if (equals > 0) environment[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  return environment;
}

/** The process as it is now; null where there is none of that pid, or only its zombie. */
export async function readProcess(pid: number): Promise<ProcessStat | null> {
  try {
    const stat = parseStat(await fs.readFile(`/proc/${pid}/stat`, 'utf8'));
    return stat === null || stat.state === 'Z' || stat.state === 'X' ? null : stat;
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** Whether exactly this process still runs: not another one that was given its pid. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await readProcess(identity.pid))?.startTicks === identity.startTicks;
}

/** Sends a signal to exactly this process. False where it is gone. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isAlive(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Polls until the process is gone. @returns whether it was gone within `limitMs`. @throws the signal's reason when cancelled. */
export async function waitForEnd(identity: ProcessIdentity, limitMs: number, cancel?: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    if (!(await isAlive(identity))) return true;
    cancel?.throwIfAborted();
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return false;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, leftMs)));
  }
}

/**
 * Living processes whose first environment holds every pair of `wanted`. It is what execve(2) passed, so that it also names processes
 * which nobody recorded; children inherit it. Processes of other users cannot be read and are left out.
 * @throws where `/proc` itself cannot be read: then nothing is known, which is not the same as nothing running.
 */
export async function findByEnvironment(wanted: Readonly<Record<string, string>>): Promise<ScannedProcess[]> {
  const pairs = Object.entries(wanted).map(([name, value]) => `\0${name}=${value}\0`);
  const found: ScannedProcess[] = [];
  for (const pid of await listPids()) {
    try {
      const text = `\0${await fs.readFile(`/proc/${pid}/environ`, 'latin1')}`;
      if (!pairs.every((pair) => text.includes(pair))) continue;
      const stat = await readProcess(pid);
      if (stat !== null) found.push({ ...stat, environment: parseEnvironment(text) });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return found;
}

/** Living processes whose working directory is `directory`: names also those that overwrote their environment to show a title, as nginx does. */
export async function findByWorkingDirectory(directory: string): Promise<(ProcessStat & { readonly commandLine: string })[]> {
  const real = await fs.realpath(directory).catch(() => directory);
  const found: (ProcessStat & { commandLine: string })[] = [];
  for (const pid of await listPids()) {
    try {
      if ((await fs.readlink(`/proc/${pid}/cwd`)) !== real) continue;
      const stat = await readProcess(pid);
      if (stat !== null) found.push({ ...stat, commandLine: await readCommandLine(pid) });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return found;
}

/** The command line, or the title that the process gave itself; empty where it is gone. */
export async function readCommandLine(pid: number): Promise<string> {
  try {
    return (await fs.readFile(`/proc/${pid}/cmdline`, 'latin1')).replaceAll('\0', ' ').trim();
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

export interface TcpConnection {
  readonly localPort: number;
  readonly remotePort: number;
  /** Names the socket in `/proc/<pid>/fd`. */
  readonly inode: string;
}

/** Pure: the established connections in the text of `/proc/net/tcp` or `tcp6`. */
export function parseTcp(text: string): TcpConnection[] {
  const established = '01';
  return text.split('\n').slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local, remote, state] = fields;
    if (state !== established || local === undefined || remote === undefined) return [];
    const portOf = (address: string) => Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16);
    return [{ localPort: portOf(local), remotePort: portOf(remote), inode: fields[9] ?? '' }];
  });
}

/** Established TCP connections whose far end is `port`, IPv4 and IPv6: on loopback, the sockets of those who connected to it. */
export async function connectionsTo(port: number): Promise<TcpConnection[]> {
  return (await readTcp()).filter((connection) => connection.remotePort === port);
}

/** Pure: how many connections each named Unix socket has, accepted or waiting to be, in the text of `/proc/net/unix`; the names are as they were bound. */
export function parseUnix(text: string): Map<string, number> {
  const connections = new Map<string, number>();
  const [listening, connecting, connected] = [0x10000, '02', '03'];
  for (const line of text.split('\n').slice(1)) {
    const match = /^\S+ \S+ \S+ (\S+) \S+ (\S+) +\d+ (.+)$/.exec(line);
    if (match === null) continue;
    const [, flags = '0', state, name = ''] = match;
    if ((Number.parseInt(flags, 16) & listening) !== 0 || (state !== connecting && state !== connected)) continue;
    connections.set(name, (connections.get(name) ?? 0) + 1);
  }
  return connections;
}

/** Connections to each named Unix socket of the machine. */
export async function unixConnections(): Promise<Map<string, number>> {
  return parseUnix(await fs.readFile('/proc/net/unix', 'utf8'));
}

/** Established TCP connections whose near end is `port`: the sockets of whoever listens there. */
export async function connectionsAt(port: number): Promise<TcpConnection[]> {
  return (await readTcp()).filter((connection) => connection.localPort === port);
}

/** Inodes of the sockets that a process holds; none where it is gone. */
export async function socketInodes(pid: number): Promise<Set<string>> {
  const inodes = new Set<string>();
  try {
    for (const name of await fs.readdir(`/proc/${pid}/fd`)) {
      const target = await fs.readlink(`/proc/${pid}/fd/${name}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return inodes;
}

async function readTcp(): Promise<TcpConnection[]> {
  // tcp6 is missing where the kernel has no IPv6.
  const texts = await Promise.all([fs.readFile('/proc/net/tcp', 'utf8'), fs.readFile('/proc/net/tcp6', 'utf8').catch(() => '')]);
  return texts.flatMap(parseTcp);
}

async function listPids(): Promise<number[]> {
  return (await fs.readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** ESRCH: ended while it was read. EACCES and EPERM: belongs to another user, so it is none of ours. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
}
