import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ArtifactRef, defaultExtractionLimits, type ExtractionLimits, fileListName } from '../../domain/bundle/artifact.ts';
import { completeMark } from '../../domain/host/layout.ts';
import type { ProductManifest } from '../../domain/product/manifest.ts';
import { ensureDirectory, syncDirectory, writeFileDurably } from '../files/durable.ts';
import { checkFile, checkManifest, readBundledManifest } from './contents.ts';
import { ExtractThread } from './extract-thread.ts';
import { cancelled, inflateFile } from './inflate.ts';
import { renderCompleteMark } from './complete-mark.ts';

export interface ExtractRequest {
  readonly bundleFile: string;
  readonly artifact: ArtifactRef;
  /** 0700, on the file system of `releaseDir`. Made where it is missing. */
  readonly stagingDir: string;
  /** Where the release will lie; must not exist. */
  readonly releaseDir: string;
  readonly limits?: ExtractionLimits;
  /** Makes everything below a directory durable. */
  readonly syncTree: (directory: string) => Promise<void>;
  /** Compressed bytes read, and of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly cancel?: AbortSignal;
}

export interface Extracted {
  readonly files: number;
  readonly bytes: number;
  readonly manifest: ProductManifest;
}

/**
 * Unpacks a bundle in one pass: this thread hashes the compressed file and inflates it, another one parses, checks every entry against the
 * file list, hashes it and writes it. All happens in a directory of its own, which is renamed to its place once everything was checked and
 * is durable; the COMPLETE mark comes last. On every failure, and on cancel, nothing is left behind.
 *
 * Refuses by the codes of `BundleRefusalCode`, before the bytes concerned reach the disk. Faults of the disk are class `host`: `disk_full`,
 * `extract_failed`.
 */
export async function extractBundle(request: ExtractRequest): Promise<Extracted> {
  const { artifact, stagingDir, releaseDir, syncTree } = request;
  await ensureDirectory(dirname(stagingDir));
  await ensureDirectory(stagingDir, 0o700);
  const staging = join(stagingDir, `${artifact.releaseId}-${randomBytes(6).toString('hex')}`);
  await fs.mkdir(staging, { mode: 0o700 });
  let renamed = false;
  try {
    const extracted = await unpackInto(staging, request);
    await syncTree(staging);
    if (request.cancel?.aborted) throw cancelled();
    await ensureDirectory(dirname(releaseDir));
    // Only now: whoever runs the release has to read it, and nobody may look into a half of it.
    await fs.chmod(staging, 0o755);
    await fs.rename(staging, releaseDir);
    renamed = true;
    await syncDirectory(dirname(releaseDir));
    await syncDirectory(stagingDir);
    await writeFileDurably(join(releaseDir, completeMark), renderCompleteMark({ ...artifact, files: extracted.files, bytes: extracted.bytes, completedAt: new Date().toISOString() }), 0o644);
    return extracted;
  } catch (error) {
    await fs.rm(renamed ? releaseDir : staging, { recursive: true, force: true });
    throw error;
  }
}

/** Unpacks and checks everything into `staging`, not yet durable. @internal Also what the benchmark measures. */
export async function unpackInto(staging: string, request: Pick<ExtractRequest, 'bundleFile' | 'artifact' | 'limits' | 'onProgress' | 'cancel'>): Promise<Extracted> {
  const { bundleFile, artifact, onProgress, cancel } = request;
  const limits = request.limits ?? defaultExtractionLimits;
  const thread = new ExtractThread({ fairlead: 'extract', directory: staging, limits, fileListSha256: artifact.fileListSha256, umask: process.umask() });
  try {
    const inflated = await inflateFile(bundleFile, { maxRatio: limits.maxRatio, ...(onProgress ? { onProgress } : {}), ...(cancel ? { cancel } : {}) }, (chunk) => thread.push(chunk));
    const unpacked = await thread.end();
    checkFile(inflated, artifact);
    const manifest = readBundledManifest(unpacked.manifestText);
    checkManifest(manifest, artifact);
    await fs.writeFile(join(staging, fileListName), unpacked.fileListText, { flag: 'wx' });
    await fs.chmod(join(staging, fileListName), 0o644);
    return { files: unpacked.files, bytes: unpacked.bytes, manifest };
  } finally {
    await thread.stop();
  }
}
