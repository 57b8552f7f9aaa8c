import type { ArtifactIdentity } from '../../domain/bundle/artifact.ts';
import { type Sha256, sha256Pattern } from '../../domain/ids.ts';

/** What stands in the file that makes a release directory trusted. */
export interface CompleteMark {
  readonly schema: 1;
  /** Of the bundle that the release was unpacked from. */
  readonly sha256: Sha256;
  readonly fileListSha256: Sha256;
  readonly sizeBytes: number;
  readonly files: number;
  readonly bytes: number;
  /** When everything was written, by the host's clock: what pruning counts by. */
  readonly completedAt: string;
}

export function renderCompleteMark(mark: Pick<ArtifactIdentity, 'sha256' | 'fileListSha256' | 'sizeBytes'> & { files: number; bytes: number; completedAt: string }): string {
  const { sha256, fileListSha256, sizeBytes, files, bytes, completedAt } = mark;
  return `${JSON.stringify({ schema: 1, sha256, fileListSha256, sizeBytes, files, bytes, completedAt } satisfies CompleteMark)}\n`;
}

/** The mark, or null where the text is none: a release with an unreadable mark is not complete. */
export function parseCompleteMark(text: string): CompleteMark | null {
  try {
    const value = JSON.parse(text) as Partial<CompleteMark> | null;
    if (value?.schema !== 1 || !sha256Pattern.test(String(value.sha256)) || !sha256Pattern.test(String(value.fileListSha256)) || typeof value.completedAt !== 'string') return null;
    return [value.sizeBytes, value.files, value.bytes].every((count) => Number.isSafeInteger(count)) ? (value as CompleteMark) : null;
  } catch {
    return null;
  }
}
