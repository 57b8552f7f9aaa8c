import type { ProductName, ReleaseId, Sha256 } from '../domain/ids.ts';
import type { ArtifactRef, FileList } from '../domain/bundle/artifact.ts';
import type { ProductManifest } from '../domain/product/manifest.ts';

/** Progress that a long operation tells as it goes: bytes or entries, and of how many. */
export type OnProgress = (done: number, total: number) => void;

/** The releases of one host, in `/opt/<product>/releases`, and `current`. */
export interface ReleaseStore {
  /** The directory of a release, whether it exists or not. */
  directory(product: ProductName, releaseId: ReleaseId): string;
  /** Releases whose COMPLETE mark stands, the one completed first in front. */
  listComplete(product: ProductName): Promise<ReleaseId[]>;
  /** With `sha256`, only where the mark names a bundle of that digest. */
  isComplete(product: ProductName, releaseId: ReleaseId, sha256?: Sha256): Promise<boolean>;
  readManifest(product: ProductName, releaseId: ReleaseId): Promise<ProductManifest>;
  /**
   * Unpacks a verified bundle: everything is checked against its file list before it is written, re-read never, and made durable before
   * COMPLETE is written. Idempotent: a complete release of the same digest is left alone, anything else at its place is removed first.
   */
  extract(bundleFile: string, artifact: ArtifactRef, onProgress: OnProgress, cancel?: AbortSignal): Promise<{ readonly files: number; readonly bytes: number; readonly manifest: ProductManifest }>;
  /** Reads every file again and compares it with the file list. Resolves to the paths that differ; empty means whole. */
  rehash(product: ProductName, releaseId: ReleaseId): Promise<string[]>;
  readFileList(product: ProductName, releaseId: ReleaseId): Promise<FileList>;
  /** What `current` resolves to; null where there is none. */
  current(product: ProductName): Promise<ReleaseId | null>;
  /** Points `current` at a complete release: a new symlink renamed over the old one, directory fsynced. Refuses an incomplete one. Idempotent. */
  activate(product: ProductName, releaseId: ReleaseId): Promise<'activated' | 'already_active'>;
  /** Removes `current`: the way back of a first install. Idempotent. */
  deactivate(product: ProductName): Promise<void>;
  /** Removes a release: its COMPLETE mark first. Refuses the one that `current` names. Idempotent. */
  remove(product: ProductName, releaseId: ReleaseId): Promise<'removed' | 'not_there'>;
}
