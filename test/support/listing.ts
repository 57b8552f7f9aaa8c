import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join, relative } from 'node:path';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { ProductName } from '../../src/domain/ids.ts';

/**
 * Everything of a product on a host, path by path with a digest, for telling whether a run has left something behind. Left out is what is meant
 * to stay: backups, logs, the fence, what instances write, process records (new pids), and in the state which run was last.
 */
export async function listingOf(root: string, product: ProductName): Promise<Record<string, string>> {
  const layout = hostLayout(root, product);
  const listing: Record<string, string> = {};
  for (const top of [layout.productDir, layout.configDir, layout.fairleadDir]) {
    for (const entry of await fs.readdir(top, { recursive: true, withFileTypes: true }).catch(() => [])) {
      const path = join(entry.parentPath, entry.name);
      if ([layout.backupsDir, layout.runtimeDir, layout.fenceFile, layout.routerDir].some((kept) => path === kept || path.startsWith(`${kept}/`))) continue;
      listing[relative(root, path)] = await describe(path, layout.stateFile);
    }
  }
  return listing;
}

async function describe(path: string, stateFile: string): Promise<string> {
  const stat = await fs.lstat(path);
  if (stat.isSymbolicLink()) return `-> ${await fs.readlink(path)}`;
  if (!stat.isFile()) return 'directory';
  let text = await fs.readFile(path);
  if (path === stateFile) {
    const { lastRunId: _run, updatedAt: _at, instances, failedReleaseIds: _failed, ...rest } = JSON.parse(text.toString()) as HostState;
    const stripped = Object.fromEntries(Object.entries(instances).map(([name, { startedBy: _by, ...instance }]) => [name, instance]));
    text = Buffer.from(JSON.stringify({ ...rest, instances: stripped }));
  }
  return `${(stat.mode & 0o7777).toString(8)} ${createHash('sha256').update(text).digest('hex')}`;
}
