import { join } from 'node:path';
import { createSyncTree } from '../../src/adapters/files/sync-tree.ts';
import { createHostFiles } from '../../src/adapters/host-files/filesystem.ts';
import { createHostStore } from '../../src/adapters/host-store/filesystem.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import type { ReleaseId, RunId } from '../../src/domain/ids.ts';
import { project } from './stack.ts';
import { startJob, type Job } from './strace.ts';
import type { Packed } from './walked-product.ts';

/** Two complete releases of which the first is active: all that the step `activate` needs. */
export async function installForSwitch(root: string, [first, second]: readonly [Packed, Packed]): Promise<void> {
  const releases = createReleaseStore({ root, syncTree: createSyncTree(createCommandRunner()) });
  const { product, releaseId } = first.artifact;
  await createHostFiles(root).prepareFolders(product);
  for (const { file, artifact } of [first, second]) await releases.extract(file, artifact, () => undefined);
  await releases.activate(product, releaseId);
  await createHostStore(root).writeState({
    schema: 1,
    product,
    phase: 'installed',
    activeReleaseId: releaseId,
    lastGoodReleaseId: releaseId,
    previousGoodReleaseId: null,
    failedReleaseIds: [] as ReleaseId[],
    instances: {},
    router: null,
    lastRunId: null as RunId | null,
    updatedAt: new Date(0).toISOString(),
  });
}

/** A process that takes the step `activate` for each release id that it is told. */
export function startSwitch(root: string): Promise<Job> {
  return startJob([join(project, 'test/support/programs/switch.ts'), root]);
}
