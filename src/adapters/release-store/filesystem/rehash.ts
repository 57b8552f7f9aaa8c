import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { type ExtractionLimits, type FileEntry, fileListName } from '../../../domain/bundle/artifact.ts';
import { parseFileList } from '../../../domain/bundle/file-list.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { HostLayout } from '../../../domain/host/layout.ts';
import type { ReleaseId } from '../../../domain/ids.ts';
import { errnoOf } from '../../files/durable.ts';
import { readFileListText, requireMark } from './complete.ts';

/** Files read at a time: enough to keep the disk busy, few enough for any limit of open files. */
const readers = 8;
const readBytes = 256 * 1024;

/**
 * Compares everything that the file list names with what lies there: type, mode, size, digest, target. Resolves to the paths that differ,
 * sorted. A list that is itself not the one that was unpacked is all that is told then: it can vouch for nothing.
 */
export async function rehashRelease(layout: HostLayout, releaseId: ReleaseId, limits: ExtractionLimits): Promise<string[]> {
  const mark = await requireMark(layout, releaseId);
  const text = await readFileListText(layout, releaseId).catch((error: unknown) => {
    if (errnoOf(error) === undefined) throw error;
    return '';
  });
  if (createHash('sha256').update(text).digest('hex') !== mark.fileListSha256) return [fileListName];
  const { list } = parseFileList(text, limits);
  const waiting = list.entries.values();
  const different: string[] = [];
  await Promise.all(
    Array.from({ length: readers }, async () => {
      for (const entry of waiting) if (!(await matches(layout.releaseDir(releaseId), entry))) different.push(entry.path);
    }),
  );
  return different.sort();
}

/** What the system says of a path that is not what was listed. Anything else (EIO, EMFILE) is a fault of the host and is thrown. */
const absent = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL'];

async function matches(releaseDir: string, entry: FileEntry): Promise<boolean> {
  const path = join(releaseDir, entry.path);
  try {
    if (entry.type === 'symlink') return (await fs.readlink(path)) === entry.target;
    const stats = await fs.lstat(path);
    if ((stats.mode & 0o7777) !== entry.mode) return false;
    if (entry.type === 'directory') return stats.isDirectory();
    return stats.isFile() && stats.size === entry.size && (await digestOf(path)) === entry.sha256;
  } catch (error) {
    if (absent.includes(errnoOf(error) ?? '')) return false;
    throw new FairleadError({ class: 'host', code: 'release_unreadable', message: `${path} could not be read.` }, { cause: error, retryable: true });
  }
}

async function digestOf(path: string): Promise<string> {
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const digest = createHash('sha256');
    const buffer = Buffer.allocUnsafe(readBytes);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, readBytes);
      if (bytesRead === 0) return digest.digest('hex');
      digest.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
