import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { fileListName } from '../../../domain/bundle/artifact.ts';
import { FairleadError } from '../../../domain/failure.ts';
import { completeMark, type HostLayout } from '../../../domain/host/layout.ts';
import { type ReleaseId, releaseIdPattern } from '../../../domain/ids.ts';
import { manifestFileName, type ProductManifest } from '../../../domain/product/manifest.ts';
import { type CompleteMark, parseCompleteMark } from '../../bundle/complete-mark.ts';
import { readBundledManifest } from '../../bundle/contents.ts';
import { isMissing, readIfThere } from '../../files/durable.ts';

/** The COMPLETE mark of a release, or null where it is not complete or not there. */
export async function readMark(layout: HostLayout, releaseId: ReleaseId): Promise<CompleteMark | null> {
  const text = await readIfThere(join(layout.releaseDir(releaseId), completeMark));
  return text === null ? null : parseCompleteMark(text);
}

/** Throws `release_incomplete` unless the release's mark stands. */
export async function requireMark(layout: HostLayout, releaseId: ReleaseId): Promise<CompleteMark> {
  const mark = await readMark(layout, releaseId);
  if (mark !== null) return mark;
  throw new FairleadError({
    class: 'host',
    code: 'release_incomplete',
    message: `Release ${releaseId} in ${layout.releasesDir} is not there, or not complete.`,
    hint: 'Extract its bundle again; what is there is removed first.',
  });
}

/** Releases whose mark stands, the one completed first in front. */
export async function listMarked(layout: HostLayout): Promise<ReleaseId[]> {
  const names = await fs.readdir(layout.releasesDir).catch((error: unknown) => (isMissing(error) ? [] : Promise.reject(error)));
  const releases = names.filter((name) => releaseIdPattern.test(name)).sort() as ReleaseId[];
  const marked = await Promise.all(releases.map(async (releaseId) => ({ releaseId, completedAt: (await readMark(layout, releaseId))?.completedAt ?? null })));
  return marked
    .filter(({ completedAt }) => completedAt !== null)
    .sort((a, b) => Date.parse(a.completedAt ?? '') - Date.parse(b.completedAt ?? ''))
    .map(({ releaseId }) => releaseId);
}

export async function readReleaseManifest(layout: HostLayout, releaseId: ReleaseId): Promise<ProductManifest> {
  await requireMark(layout, releaseId);
  return readBundledManifest(await fs.readFile(join(layout.releaseDir(releaseId), manifestFileName), 'utf8'));
}

export async function readFileListText(layout: HostLayout, releaseId: ReleaseId): Promise<string> {
  return fs.readFile(join(layout.releaseDir(releaseId), fileListName), 'utf8');
}
