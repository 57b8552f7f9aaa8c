import type { ExtractionLimits } from '../../domain/bundle/artifact.ts';
import type { Reason } from '../../domain/failure.ts';
import type { Sha256 } from '../../domain/ids.ts';

/** What the extraction's thread is started with. */
export interface ExtractWorkerData {
  readonly fairlead: 'extract';
  /** An empty directory that only this extraction writes to. */
  readonly directory: string;
  readonly limits: ExtractionLimits;
  readonly fileListSha256: Sha256;
  readonly umask: number;
}

export type ToExtractWorker =
  /** The first `length` bytes of `buffer` are the next ones of the tar stream. The buffer moves to the thread and comes back as `buffer`. */
  { readonly kind: 'chunk'; readonly buffer: ArrayBuffer; readonly length: number } | { readonly kind: 'end' };

export type FromExtractWorker =
  | { readonly kind: 'buffer'; readonly buffer: ArrayBuffer }
  | { readonly kind: 'done'; readonly files: number; readonly bytes: number; readonly fileListText: string; readonly manifestText: string }
  | { readonly kind: 'refused'; readonly reason: Reason }
  | { readonly kind: 'failed'; readonly message: string; readonly errno: string | null };
