import * as fs from 'node:fs/promises';
import { findByWorkingDirectory, type ProcessStat } from '../../process/proc.ts';
import { askUnixSocket } from '../unix-socket.ts';
import type { NginxFiles } from './layout.ts';
import { parseStatus, parseTitle } from './parse.ts';

/** How long a change of generations may take. */
export const reloadLimitMs = 10_000;

export type NginxProcess = ProcessStat & { readonly title: 'master' | 'worker' | 'leaving' };

/** Masters and workers of this host, found by their working directory: a pid file can be lost or be left behind by a kill. */
export async function findNginx(directory: string): Promise<NginxProcess[]> {
  return (await findByWorkingDirectory(directory)).flatMap((found) => {
    const title = parseTitle(found.commandLine);
    return title === null ? [] : [{ ...found, title }];
  });
}

export const workerOf = ({ pid, startTicks, title }: NginxProcess) => ({ pid, startTicks, accepting: title === 'worker' });

export async function isServed(files: NginxFiles, generation: string): Promise<boolean> {
  const answer = await askUnixSocket(files.statusSocket, { path: '/', timeoutMs: 2_000 }).catch(() => null);
  return answer?.status === 200 && parseStatus(answer.body)?.generation === generation;
}

/**
 * Whether the generation serves, and alone: each of the `old` workers has gone or is shutting down. nginx gives itself that title just before it
 * closes its listening sockets. Gives up early where the log, from `logged` on, says that the reload failed.
 */
export async function untilServed(files: NginxFiles, generation: string, old: readonly NginxProcess[], logged?: number): Promise<boolean> {
  const deadline = performance.now() + reloadLimitMs;
  for (;;) {
    const now = await findNginx(files.directory);
    const accepting = old.filter((worker) => now.some((found) => found.pid === worker.pid && found.startTicks === worker.startTicks && found.title === 'worker'));
    if (accepting.length === 0 && now.some((found) => found.title === 'worker') && (await isServed(files, generation))) return true;
    if (performance.now() > deadline) return false;
    if (logged !== undefined && /\[emerg\]/.test(await readFrom(files.errorLog, logged))) return false;
    await pause(15);
  }
}

export async function untilNoneAccepts(directory: string, orphans: readonly NginxProcess[]): Promise<void> {
  const deadline = performance.now() + reloadLimitMs;
  while (orphans.length > 0 && performance.now() < deadline) {
    if (!(await findNginx(directory)).some((found) => found.title === 'worker' || found.title === 'master')) return;
    await pause(15);
  }
}

export async function sizeOf(path: string): Promise<number> {
  return fs.stat(path).then((stat) => stat.size, () => 0);
}

export async function readFrom(path: string, offset: number): Promise<string> {
  const text = await fs.readFile(path).catch(() => Buffer.alloc(0));
  return text.subarray(offset).toString('utf8');
}

export const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
