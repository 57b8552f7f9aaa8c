import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findByEnvironment, readCommandLine, readProcess } from '../../adapters/process/proc.ts';
import type { ProcessIdentity } from '../../adapters/process/proc.ts';
import { readIfThere } from '../../adapters/files/durable.ts';
import { endProcess } from '../processes.ts';

/**
 * Instances and routers outlive their agent, as they do on a real host until its power goes: `fairlead dev` plays that switch. Ends every
 * one of a host: those that carry its root in their environment, and nginx, which overwrites its environment, by its pid files.
 * Call it when the host's agent is gone, for that would count as one of them.
 *
 * @returns how many processes were ended
 */
export async function switchOff(root: string, limitMs: number): Promise<number> {
  const ended = new Set<number>();
  // Twice, because a process may have been between fork and exec at the first look.
  for (const _round of [1, 2]) {
    const marked = (await findByEnvironment({ FAIRLEAD_ROOT: root })).filter(({ pid }) => pid !== process.pid && pid !== process.ppid);
    // A watcher notes how its instance ended and then goes by itself.
    const first = marked.filter(({ environment }) => environment['FAIRLEAD_WATCHES'] === undefined);
    const routers = await nginxMasters(root);
    await Promise.all([...first, ...routers].map((found) => endProcess(found, 'SIGTERM', limitMs)));
    await Promise.all(marked.map((found) => endProcess(found, 'SIGTERM', 1_000)));
    for (const { pid } of [...marked, ...routers]) ended.add(pid);
    if (marked.length + routers.length === 0) break;
  }
  return ended.size;
}

async function nginxMasters(root: string): Promise<ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  for (const file of await pidFiles(join(root, 'var/lib'), 5)) {
    const pid = Number((await readIfThere(file).catch(() => null))?.trim());
    if (!Number.isInteger(pid) || pid <= 1) continue;
    // The number may have gone to somebody else since: only a master that was started with a path of this host counts.
    const commandLine = await readCommandLine(pid);
    if (!commandLine.includes('nginx') || !commandLine.includes(`${root}/`)) continue;
    const stat = await readProcess(pid);
    if (stat !== null) found.push({ pid, startTicks: stat.startTicks });
  }
  return found;
}

async function pidFiles(directory: string, depth: number): Promise<string[]> {
  if (depth === 0) return [];
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const nested = await Promise.all(entries.filter((entry) => entry.isDirectory()).map((entry) => pidFiles(join(directory, entry.name), depth - 1)));
  return [...entries.filter((entry) => entry.isFile() && entry.name.endsWith('.pid')).map((entry) => join(directory, entry.name)), ...nested.flat()];
}
