import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactRef, ExtractionLimits } from '../../../domain/bundle/artifact.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { HostLayout } from '../../../domain/host/layout.ts';
import { type ReleaseId, releaseIdPattern } from '../../../domain/ids.ts';
import type { OnProgress } from '../../../ports/release-store.ts';
import { type Extracted, extractBundle } from '../../bundle/extract.ts';
import { isMissing, syncDirectory } from '../../files/durable.ts';
import type { SyncTree } from '../../files/sync-tree.ts';
import { readMark, readReleaseManifest } from './complete.ts';
import { readCurrentLink } from './current.ts';
import { removeRelease } from './remove.ts';

export interface ExtractIntoStore {
  readonly layout: HostLayout;
  readonly limits: ExtractionLimits;
  readonly syncTree: SyncTree;
  readonly bundleFile: string;
  readonly artifact: ArtifactRef;
  readonly onProgress: OnProgress;
  readonly cancel?: AbortSignal;
}

/** Leaves a complete release of the same digest alone; removes anything else at its place, and what a crash left in staging, then unpacks. */
export async function extractIntoStore({ layout, artifact, ...rest }: ExtractIntoStore): Promise<Extracted> {
  const { releaseId } = artifact;
  if (!releaseIdPattern.test(releaseId)) throw new FairleadError({ class: 'request', code: 'release_id_invalid', message: `${JSON.stringify(releaseId)} is no release id.` });
  const mark = await readMark(layout, releaseId);
  if (mark?.sha256 === artifact.sha256) {
    // The process that wrote the mark may have died before the rename was durable.
    await syncDirectory(layout.releasesDir);
    return { files: mark.files, bytes: mark.bytes, manifest: await readReleaseManifest(layout, releaseId) };
  }
  if (mark !== null && (await readCurrentLink(layout)) === releaseId) {
    throw new FairleadError({
      class: 'release',
      code: 'release_in_use',
      message: `Release ${releaseId} is what current leads to, and was unpacked from another bundle (SHA-256 ${mark.sha256}, not ${artifact.sha256}).`,
      hint: 'A release is immutable: publish the new build under a release id of its own.',
    });
  }
  await removeRelease(layout, releaseId);
  await sweepStaging(layout, releaseId);
  return extractBundle({ artifact, stagingDir: layout.stagingDir, releaseDir: layout.releaseDir(releaseId), ...rest });
}

async function sweepStaging(layout: HostLayout, releaseId: ReleaseId): Promise<void> {
  const names = await fs.readdir(layout.stagingDir).catch((error: unknown) => (isMissing(error) ? [] : Promise.reject(error)));
  for (const name of names) {
    const own = name.startsWith(`${releaseId}-`) && /^[0-9a-f]{12}$/.test(name.slice(releaseId.length + 1));
    if (own) await fs.rm(join(layout.stagingDir, name), { recursive: true, force: true });
  }
}
