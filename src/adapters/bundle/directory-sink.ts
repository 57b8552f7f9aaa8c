import { closeSync, constants, fchmodSync, mkdirSync, openSync, symlinkSync, unlinkSync, writeSync } from 'node:fs';
import type { BundleSink } from './sink.ts';

/** Follows no link, and takes no file that is there already. */
const createFlags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/**
 * Writes entries below `directory`, which must be new, empty, and closed to everybody else. Only takes paths that were checked. Every
 * parent was made by this sink, and links are made last, so no path can lead through one.
 *
 * @param umask of the process; modes that it would cut are set by hand.
 */
export function createDirectorySink(directory: string, umask: number): BundleSink & { finish(): void } {
  const links: { path: string; target: string }[] = [];
  let open: { path: string; descriptor: number } | null = null;

  const create = (path: string, mode: number): number => {
    const descriptor = openSync(path, createFlags, mode);
    if ((mode & umask) !== 0) fchmodSync(descriptor, mode);
    return descriptor;
  };
  return {
    directory: (path) => {
      const absolute = `${directory}/${path}`;
      mkdirSync(absolute, 0o755);
      if ((0o755 & umask) === 0) return;
      const descriptor = openSync(absolute, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      fchmodSync(descriptor, 0o755);
      closeSync(descriptor);
    },
    symlink: (path, target) => void links.push({ path, target }),
    file: (path, mode, bytes) => {
      const descriptor = create(`${directory}/${path}`, mode);
      try {
        writeAll(descriptor, bytes);
      } finally {
        closeSync(descriptor);
      }
    },
    open: (path, mode) => {
      open = { path: `${directory}/${path}`, descriptor: create(`${directory}/${path}`, mode) };
    },
    write: (bytes) => {
      if (open) writeAll(open.descriptor, bytes);
    },
    close: () => {
      if (open) closeSync(open.descriptor);
      open = null;
    },
    discard: () => {
      if (!open) return;
      const { path, descriptor } = open;
      open = null;
      closeSync(descriptor);
      unlinkSync(path);
    },
    finish: () => {
      for (const { path, target } of links) symlinkSync(target, `${directory}/${path}`);
    },
  };
}

/** write(2) may take less than it was given, on a full disk above all. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written, bytes.length - written);
}
