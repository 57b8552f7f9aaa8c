import { readFile, statfs } from 'node:fs/promises';
import { isMissing } from '../files/durable.ts';

/** Beyond that a cgroup limit stands for none (version 1 writes the largest number that it can). */
const noLimit = 2 ** 50;

/** The memory that this process may use, in bytes: the limit of its cgroup, version 2 or 1 (cgroups(7)); null where there is none, or none that can be read. */
export async function memoryLimitBytes(root = '/sys/fs/cgroup'): Promise<number | null> {
  for (const file of ['memory.max', 'memory/memory.limit_in_bytes']) {
    const text = await readFile(`${root}/${file}`, 'utf8').catch(() => null);
    const bytes = text === null ? Number.NaN : Number(text.trim());
    if (Number.isFinite(bytes) && bytes < noLimit) return bytes;
  }
  return null;
}

/** Room in the file system of a directory, for whoever is not root; null where it is not there yet or cannot be asked. */
export async function diskOf(path: string): Promise<{ path: string; freeBytes: number; totalBytes: number } | null> {
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/')) || '/') {
    try {
      const { bavail, blocks, bsize } = await statfs(at);
      return { path: at, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch (error) {
      if (!isMissing(error) || at === '/') return null;
    }
  }
}
