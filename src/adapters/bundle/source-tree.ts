import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { defaultExtractionLimits, type FileEntry, fileListName } from '../../domain/bundle/artifact.ts';
import { checkEntries, directoryMode, executableMode, fileMode } from '../../domain/bundle/file-list.ts';
import { shownPath } from '../../domain/bundle/refusal.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { Sha256 } from '../../domain/ids.ts';
import { manifestFileName } from '../../domain/product/manifest.ts';

/** The fault of whoever builds the bundle. */
export function refuseSource(code: string, message: string, hint?: string): FairleadError {
  return new FairleadError({ class: 'request', code, message, ...(hint === undefined ? {} : { hint }) });
}

/**
 * Lists a directory as a bundle holds it: the manifest first, the rest sorted by the bytes of their paths. Modes become 0755 where the owner
 * may execute, else 0644; times and owners do not matter.
 *
 * Refuses sockets, pipes, devices (`bundle_source_unsafe`), names that are not UTF-8, and all that extraction would refuse, links that lead
 * out and names that clash among it.
 *
 * @param manifestText stands for `fairlead.yaml`, which may say something else in the directory.
 * @param only the files and directories that are wanted; null is everything. Refuses one that is not there (`bundle_files_missing`).
 */
export async function listSource(directory: string, manifestText: string, only: readonly string[] | null = null): Promise<FileEntry[]> {
  const found: FileEntry[] = [];
  await walk(directory, '', found, wanted(only));
  for (const path of only ?? []) {
    if (!found.some((entry) => entry.path === path.replace(/\/+$/, ''))) throw refuseSource('bundle_files_missing', `The manifest's list of files names ${shownPath(path)}, which the directory does not hold.`, 'Correct roles.*.files in fairlead.yaml.');
  }
  found.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const manifest = Buffer.from(manifestText);
  const entries: FileEntry[] = [
    { path: manifestFileName, type: 'file', mode: fileMode, size: manifest.length, sha256: createHash('sha256').update(manifest).digest('hex') as Sha256 },
    ...found,
  ];
  // A bundle that this machine builds must be one that every host takes.
  checkEntries(entries, defaultExtractionLimits);
  return entries;
}

/** Whether a path is in the list, below one that is, or a directory on the way to one. */
function wanted(only: readonly string[] | null): (path: string) => boolean {
  if (only === null) return () => true;
  const listed = only.map((path) => path.replace(/\/+$/, ''));
  return (path) => listed.some((one) => path === one || path.startsWith(`${one}/`) || one.startsWith(`${path}/`));
}

async function walk(root: string, below: string, found: FileEntry[], isWanted: (path: string) => boolean): Promise<void> {
  const names = await fs.readdir(join(root, below), { encoding: 'buffer' });
  for (const bytes of names) {
    const name = bytes.toString('utf8');
    if (!Buffer.from(name).equals(bytes)) throw refuseSource('bundle_path_not_utf8', `A name in ${shownPath(below || '.')} is not UTF-8: ${shownPath(bytes.toString('latin1'))}.`, 'Rename the file.');
    const path = below === '' ? name : `${below}/${name}`;
    if (path === manifestFileName || !isWanted(path)) continue;
    if (path === fileListName) throw refuseSource('bundle_path_reserved', `The directory holds ${fileListName}, which the bundle's own list is called.`, 'Remove it: it is the list of an unpacked bundle.');
    const stats = await fs.lstat(join(root, path));
    if (stats.isSymbolicLink()) {
      found.push({ path, type: 'symlink', target: await fs.readlink(join(root, path)) });
    } else if (stats.isDirectory()) {
      found.push({ path, type: 'directory', mode: directoryMode });
      await walk(root, path, found, isWanted);
    } else if (stats.isFile()) {
      found.push(await listFile(root, path));
    } else {
      throw refuseSource('bundle_source_unsafe', `${shownPath(path)} is a ${kindOf(stats)}; a bundle holds files, directories and links.`, 'Remove it from the directory.');
    }
  }
}

async function listFile(root: string, path: string): Promise<FileEntry> {
  const digest = createHash('sha256');
  const handle = await openSource(join(root, path));
  try {
    const { mode } = await handle.stat();
    let size = 0;
    for await (const chunk of handle.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 })) {
      digest.update(chunk as Buffer);
      size += (chunk as Buffer).length;
    }
    return { path, type: 'file', mode: (mode & 0o100) === 0 ? fileMode : executableMode, size, sha256: digest.digest('hex') as Sha256 };
  } finally {
    await handle.close();
  }
}

/** Never follows a link: between the listing and this the file may have become one. */
export const openSource = (file: string): Promise<fs.FileHandle> => fs.open(file, constants.O_RDONLY | constants.O_NOFOLLOW);

function kindOf(stats: Stats): string {
  if (stats.isSocket()) return 'socket';
  if (stats.isFIFO()) return 'named pipe';
  return stats.isBlockDevice() || stats.isCharacterDevice() ? 'device' : 'special file';
}
