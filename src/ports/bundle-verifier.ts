import type { ArtifactRef } from '../domain/bundle/artifact.ts';
import type { OnProgress } from './release-store.ts';

export interface BundleVerifier {
  /**
   * Checks size and SHA-256 of a downloaded bundle, and its publisher's signature against the keys that this host was given. Where the host
   * was given none, signatures are not demanded. Refuses with `digest_mismatch`, `size_mismatch`, `signature_missing`, `signature_invalid` or
   * `publisher_unknown`; none of them is retryable, and the file is removed so that nothing can use it.
   */
  verify(file: string, artifact: ArtifactRef, onProgress: OnProgress, cancel?: AbortSignal): Promise<{ readonly signedBy: string | null }>;
  /** Key ids that this host trusts. */
  trustedKeyIds(): Promise<string[]>;
}
