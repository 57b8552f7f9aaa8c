import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Files that survive a power cut. Every change is: a temporary file, fsync, rename(2), fsync of the directory. The last one matters
 * most: without it an acknowledged change can be taken back by a power cut on every file system that we tried.
 */

/** Makes the directory's entries durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory with its parents, each durable. Existing ones are left alone. @param mode of those that are made. */
export async function ensureDirectory(directory: string, mode = 0o755): Promise<void> {
  const first = await fs.mkdir(directory, { recursive: true, mode });
  if (first === undefined) return;
  for (let made = directory; ; made = dirname(made)) {
    await syncDirectory(dirname(made));
    if (made === first || dirname(made) === made) return;
  }
}

/** Replaces `path` in one step: readers see the old text or the new one, also after a power cut. @param mode of the new file. */
export async function writeFileDurably(path: string, text: string | Uint8Array, mode = 0o600): Promise<void> {
  await throughTemporary(path, async (temporary) => {
    const handle = await fs.open(temporary, 'wx', mode);
    try {
      await handle.chmod(mode); // The umask must not decide who may read a secret.
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Removes a file; one that is not there is fine. Durable. */
export async function removeFileDurably(path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Points `link` at `target` in one step: a new symlink is renamed over the old one, so that `link` always resolves. */
export async function replaceSymlinkDurably(target: string, link: string): Promise<void> {
  await throughTemporary(link, (temporary) => fs.symlink(target, temporary));
}

/** Has `make` make something beside `path`, and puts it in its place. Where that fails, nothing is left beside it. */
async function throughTemporary(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await make(temporary);
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** The file's text, or null where there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await fs.readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await fs.lstat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT';
}

/** `ENOSPC`, `EACCES` and the like; undefined for everything that the system did not say. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Leftovers of a crash start with a dot and end in `.tmp`: whoever lists the directory skips them, and `sweepTemporaryFiles` removes them. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
}

/** Removes what a crash between write and rename left behind in `directory`. */
export async function sweepTemporaryFiles(directory: string): Promise<void> {
  const names = await fs.readdir(directory).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
  for (const name of names) if (/^\.[0-9a-f]{12}\.tmp$/.test(name)) await fs.rm(join(directory, name), { force: true });
}

/**
 * For who starts after a crash: removes what it left half-written in `directory`, and makes durable what it had renamed and not yet synced. A
 * step that is asked for again finds that change made and leaves it alone; were it not durable, a power cut would take back what the step says
 * is done. A directory that is not there is fine.
 */
export async function settleDirectory(directory: string): Promise<void> {
  await sweepTemporaryFiles(directory);
  await syncDirectory(directory).catch((error) => (isMissing(error) ? undefined : Promise.reject(error)));
}
