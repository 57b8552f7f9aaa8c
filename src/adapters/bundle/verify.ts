import { type Artifact, type ArtifactIdentity, defaultExtractionLimits, type ExtractionLimits, type FileList } from '../../domain/bundle/artifact.ts';
import { BundleReader } from './bundle-reader.ts';
import { checkFile, checkManifest, readBundledManifest } from './contents.ts';
import { inflateFile } from './inflate.ts';
import { noSink } from './sink.ts';

/**
 * Checks a bundle whole, as extraction would, and writes nothing: compression, archive, file list, every digest, the manifest, and what of
 * `expected` is given. Memory is bounded by the file list.
 *
 * @returns what the bundle is, without a signature: that does not stand in the file.
 */
export async function verifyBundle(
  file: string,
  expected: Partial<ArtifactIdentity> = {},
  options: { limits?: ExtractionLimits; cancel?: AbortSignal } = {},
): Promise<{ artifact: Artifact; fileList: FileList }> {
  const limits = options.limits ?? defaultExtractionLimits;
  const reader = new BundleReader(noSink, limits, expected.fileListSha256 ?? null);
  const inflated = await inflateFile(file, { maxRatio: limits.maxRatio, ...(options.cancel ? { cancel: options.cancel } : {}) }, (chunk) => reader.push(chunk));
  const contents = reader.end();
  checkFile(inflated, expected);
  const manifest = readBundledManifest(contents.manifestText);
  checkManifest(manifest, expected);
  return {
    artifact: {
      product: manifest.product,
      releaseId: manifest.releaseId,
      role: manifest.artifact.role,
      profile: manifest.artifact.profile,
      format: inflated.format,
      sizeBytes: inflated.sizeBytes,
      sha256: inflated.sha256,
      fileListSha256: contents.fileListSha256,
      platformVersion: manifest.platformVersion,
      signature: null,
      manifest,
    },
    fileList: contents.fileList.list,
  };
}
