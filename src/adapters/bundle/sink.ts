import type { FileEntry } from '../../domain/bundle/artifact.ts';

export type ListedFile = Extract<FileEntry, { type: 'file' }>;

/** Where the entries of a bundle go once they were checked. Synchronous: it works in a thread of its own, or writes nothing. */
export interface BundleSink {
  directory(path: string): void;
  symlink(path: string, target: string): void;
  /** A whole file at once. */
  file(path: string, mode: number, bytes: Uint8Array): void;
  /** A file that comes in pieces; its digest is only known at the end. */
  open(path: string, mode: number): void;
  write(bytes: Uint8Array): void;
  close(): void;
  /** The file that is open proved to be wrong: nothing of it may stay. */
  discard(): void;
}

const nothing = (): void => {};

/** For checking a bundle without unpacking it. */
export const noSink: BundleSink = { directory: nothing, symlink: nothing, file: nothing, open: nothing, write: nothing, close: nothing, discard: nothing };
