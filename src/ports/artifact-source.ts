import type { ArtifactRef } from '../domain/bundle/artifact.ts';
import type { OnProgress } from './release-store.ts';

/** Where a host gets bundles from: control's artifact endpoint. */
export interface ArtifactSource {
  /**
   * Makes sure that the whole bundle lies at `file`: resumes what is there (HTTP Range, RFC 9110 section 14), starts over where the server's
   * copy is another one, never writes past `artifact.sizeBytes`. The digest is not checked here. Network errors and 5xx are retryable
   * failures of class `dependency`; 401, 403, 404 are not retryable.
   */
  download(artifact: ArtifactRef, file: string, onProgress: OnProgress, cancel?: AbortSignal): Promise<{ readonly bytes: number; readonly resumedFrom: number }>;
}
