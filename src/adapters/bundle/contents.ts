import type { ArtifactIdentity } from '../../domain/bundle/artifact.ts';
import { refuseBundle } from '../../domain/bundle/refusal.ts';
import { manifestFileName, type ProductManifest } from '../../domain/product/manifest.ts';
import { manifestError, parseManifest } from '../manifest/parse.ts';
import type { Inflated } from './inflate.ts';

/** The manifest that a bundle holds. Refuses with `manifest_invalid`, which names every problem. */
export function readBundledManifest(text: string): ProductManifest {
  const parsed = parseManifest(text, manifestFileName);
  if (!parsed.ok) throw manifestError(parsed.problems, manifestFileName);
  return parsed.manifest;
}

/** Refuses a compressed file that is not the one that was announced, by size, digest or format. */
export function checkFile(file: Inflated, expected: Partial<ArtifactIdentity>): void {
  if (expected.sizeBytes !== undefined && expected.sizeBytes !== file.sizeBytes) {
    throw refuseBundle('artifact_size_differs', `The bundle has ${file.sizeBytes} bytes; ${expected.sizeBytes} were announced.`, 'Remove the download and fetch it again.');
  }
  if (expected.sha256 !== undefined && expected.sha256 !== file.sha256) {
    throw refuseBundle('artifact_digest_differs', `The bundle has SHA-256 ${file.sha256}; ${expected.sha256} was announced.`, 'Remove the download and fetch it again.');
  }
  if (expected.format !== undefined && expected.format !== file.format) throw refuseBundle('artifact_format_differs', `The bundle is ${file.format}; ${expected.format} was announced.`);
}

/** Refuses a bundle whose manifest is that of another artifact than was announced. */
export function checkManifest(manifest: ProductManifest, expected: Partial<ArtifactIdentity>): void {
  const found = { product: manifest.product, releaseId: manifest.releaseId, role: manifest.artifact.role, profile: manifest.artifact.profile };
  for (const field of ['product', 'releaseId', 'role', 'profile'] as const) {
    if (expected[field] !== undefined && expected[field] !== found[field]) {
      throw refuseBundle('bundle_manifest_mismatch', `${manifestFileName} says ${field} ${found[field]}; ${expected[field]} was announced.`);
    }
  }
}
