import { defaultExtractionLimits, type ExtractionLimits } from '../../../domain/bundle/artifact.ts';
import { parseFileList } from '../../../domain/bundle/file-list.ts';
import { FairleadError } from '../../../domain/failure.ts';
import { type HostLayout, hostLayout } from '../../../domain/host/layout.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { ReleaseStore } from '../../../ports/release-store.ts';
import { removeFileDurably, replaceSymlinkDurably, sweepTemporaryFiles, syncDirectory } from '../../files/durable.ts';
import type { SyncTree } from '../../files/sync-tree.ts';
import { listMarked, readFileListText, readMark, readReleaseManifest, requireMark } from './complete.ts';
import { readCurrent, readCurrentLink } from './current.ts';
import { extractIntoStore } from './extract.ts';
import { rehashRelease } from './rehash.ts';
import { removeRelease } from './remove.ts';

export interface FilesystemReleaseStoreOptions {
  /** `/` on a real host. */
  readonly root: string;
  readonly limits?: ExtractionLimits;
  readonly syncTree: SyncTree;
}

/**
 * Releases as directories, `current` as a symbolic link. A release is trusted for its COMPLETE mark alone, which is written last and
 * removed first.
 *
 * Errors: `release_incomplete`, `release_in_use`, `current_invalid`, `release_unreadable`, and those of extraction.
 */
export function createReleaseStore({ root, limits = defaultExtractionLimits, syncTree }: FilesystemReleaseStoreOptions): ReleaseStore {
  const layoutOf = (product: ProductName): HostLayout => hostLayout(root, product);
  return {
    directory: (product, releaseId) => layoutOf(product).releaseDir(releaseId),
    listComplete: (product) => listMarked(layoutOf(product)),
    isComplete: async (product, releaseId, sha256) => {
      const mark = await readMark(layoutOf(product), releaseId);
      return mark !== null && (sha256 === undefined || mark.sha256 === sha256);
    },
    readManifest: (product, releaseId) => readReleaseManifest(layoutOf(product), releaseId),
    extract: (bundleFile, artifact, onProgress, cancel) =>
      extractIntoStore({ layout: layoutOf(artifact.product), limits, syncTree, bundleFile, artifact, onProgress, ...(cancel ? { cancel } : {}) }),
    rehash: (product, releaseId) => rehashRelease(layoutOf(product), releaseId, limits),
    readFileList: async (product, releaseId) => {
      await requireMark(layoutOf(product), releaseId);
      return parseFileList(await readFileListText(layoutOf(product), releaseId), limits).list;
    },
    current: (product) => readCurrent(layoutOf(product)),
    activate: async (product, releaseId) => {
      const layout = layoutOf(product);
      await requireMark(layout, releaseId);
      await sweepTemporaryFiles(layout.productDir);
      if ((await readCurrentLink(layout)) === releaseId) {
        // Whoever made the link may have died before it was durable.
        await syncDirectory(layout.productDir);
        return 'already_active';
      }
      await replaceSymlinkDurably(`releases/${releaseId}`, layout.currentLink);
      return 'activated';
    },
    deactivate: async (product) => {
      const layout = layoutOf(product);
      if ((await readCurrentLink(layout)) !== null) await removeFileDurably(layout.currentLink);
    },
    remove: async (product, releaseId) => {
      const layout = layoutOf(product);
      if ((await readCurrentLink(layout)) === releaseId) {
        throw new FairleadError({
          class: 'host',
          code: 'release_in_use',
          message: `Release ${releaseId} is what ${layout.currentLink} leads to; it is not removed.`,
          hint: 'Activate another release first.',
        });
      }
      return removeRelease(layout, releaseId);
    },
  };
}
