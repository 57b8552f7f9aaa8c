import { readFileSync, readdirSync } from 'node:fs';

interface Usage {
  readonly pid: number;
  readonly parent: number;
  /** Its own, and that of children that have ended and were waited for. */
  readonly ms: number;
}

const tickMs = 10;

/** Fields 4 and 14 to 17 of proc_pid_stat(5); null where the process is gone. */
function usageOf(pid: number): Usage | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ').map(Number);
    return { pid, parent: fields[1] ?? 0, ms: [11, 12, 13, 14].reduce((sum, at) => sum + (fields[at] ?? 0), 0) * tickMs };
  } catch {
    return null;
  }
}

/**
 * Processor time of processes and everything that they have started, user and system, in milliseconds. What has ended counts with whoever waited for it, so
 * that differences of two readings are whole as long as the roots live. Something that left its parents (a daemon) is not seen.
 */
export function processorMsOfTrees(roots: readonly number[]): number {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => usageOf(Number(name)) ?? []);
  const inside = new Set(roots);
  for (let size = -1; size !== inside.size; ) {
    size = inside.size;
    for (const { pid, parent } of all) if (inside.has(parent)) inside.add(pid);
  }
  return all.reduce((sum, { pid, ms }) => sum + (inside.has(pid) ? ms : 0), 0);
}

/** The most memory that the process had at once, in MiB (`VmHWM`). */
export function peakMiB(pid: number): number {
  const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? Number.NaN) / 1024;
}
