import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/adapters/ports/free-port.ts';
import { findByEnvironment, findByWorkingDirectory, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';

/** A directory that plays a host, in `parent`. `end` kills whatever still runs from it, each by its pid, and removes it. */
export async function createHostRoot(parent = tmpdir()): Promise<{ root: string; end(): Promise<void> }> {
  const root = await mkdtemp(join(parent, 'fairlead-host-'));
  return {
    root,
    async end() {
      // nginx overwrites its environment, but its working directory names the host.
      const nginxDirectories = await listNginxDirectories(root);
      const left = [...(await findByEnvironment({ FAIRLEAD_ROOT: root })), ...(await Promise.all(nginxDirectories.map(findByWorkingDirectory))).flat()];
      for (const process of left) await signalProcess(process, 'SIGKILL');
      for (const process of left) await waitForEnd(process, 5_000);
      // A service manager may start an instance anew at this very moment.
      await rm(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function listNginxDirectories(root: string): Promise<string[]> {
  const { readdir } = await import('node:fs/promises');
  const products = await readdir(join(root, 'var/lib')).catch(() => []);
  return products.map((product) => join(root, 'var/lib', product, 'fairlead/router/nginx'));
}

export { freePort };

/** So many ports as `freePort` gives them, each another one. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) found.add(await freePort(found));
  return [...found];
}
