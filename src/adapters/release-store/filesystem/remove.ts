import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { completeMark, type HostLayout } from '../../../domain/host/layout.ts';
import type { ReleaseId } from '../../../domain/ids.ts';
import { exists, removeFileDurably, syncDirectory } from '../../files/durable.ts';

/** Removes whatever lies at the release's place. The mark goes first and durably: a crash on the way leaves nothing that looks whole. */
export async function removeRelease(layout: HostLayout, releaseId: ReleaseId): Promise<'removed' | 'not_there'> {
  const directory = layout.releaseDir(releaseId);
  if (!(await exists(directory))) return 'not_there';
  if ((await fs.lstat(directory)).isDirectory()) await removeFileDurably(join(directory, completeMark));
  await fs.rm(directory, { recursive: true, force: true });
  await syncDirectory(layout.releasesDir);
  return 'removed';
}
