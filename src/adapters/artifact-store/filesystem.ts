import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import { sha256Pattern } from '../../domain/ids.ts';
import type { Sha256 } from '../../domain/ids.ts';
import type { ArtifactStore } from '../../ports/control-stores.ts';
import { ensureDirectory, errnoOf, exists, isMissing, syncDirectory } from '../files/durable.ts';

/** An upload that died leaves its temporary file; one that is older than this belongs to nobody. */
const abandonedMs = 24 * 3600 * 1000;

/**
 * Bundles in one directory, each in a file named by its digest: `<directory>/<first two digits>/<digest>`. A file of that name is whole,
 * because it got its name after its last byte was checked and made durable; one that was damaged since is replaced when the same bundle comes again. Several processes may share the directory.
 *
 * @param directory absolute; made where it is not there.
 */
export function createFilesystemArtifactStore(directory: string): ArtifactStore {
  const folderOf = (sha256: Sha256): string => join(directory, sha256.slice(0, 2));
  const fileOf = (sha256: Sha256): string => {
    // The digest becomes a path: whatever it is, it must not lead out of the directory.
    if (!sha256Pattern.test(sha256)) throw invalidDigest(sha256);
    return join(folderOf(sha256), sha256);
  };

  return {
    async put(sha256, sizeBytes, body) {
      const file = fileOf(sha256);
      // Read again, so that publishing the same bundle mends one that was damaged in the store.
      if ((await exists(file)) && (await digestOf(file)) === sha256) {
        await endOf(body);
        return 'already_stored';
      }
      await ensureDirectory(folderOf(sha256), 0o750);
      await sweep(folderOf(sha256));
      const temporary = join(folderOf(sha256), `.${randomBytes(8).toString('hex')}.part`);
      try {
        await writeChecked(temporary, sha256, sizeBytes, body);
        await fs.rename(temporary, file);
      } catch (error) {
        await fs.rm(temporary, { force: true });
        throw storageError(error, directory);
      }
      await syncDirectory(folderOf(sha256));
      return 'stored';
    },

    async path(sha256) {
      const file = fileOf(sha256);
      return (await exists(file)) ? file : null;
    },
  };
}

async function writeChecked(file: string, sha256: Sha256, sizeBytes: number, body: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await fs.open(file, 'wx', 0o640);
  try {
    const hash = createHash('sha256');
    let written = 0;
    for await (const chunk of body) {
      written += chunk.byteLength;
      if (written > sizeBytes) throw sizeMismatch(sha256, sizeBytes, `more than that came`);
      hash.update(chunk);
      await writeAll(handle, chunk);
    }
    if (written !== sizeBytes) throw sizeMismatch(sha256, sizeBytes, `${written} came`);
    const digest = hash.digest('hex');
    if (digest !== sha256) throw digestMismatch(sha256, digest);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** write(2) may take less than it was given. */
async function writeAll(handle: fs.FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.byteLength; ) offset += (await handle.write(chunk, offset)).bytesWritten;
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/** Lets go of a body that nobody reads, so that its file or socket is closed. */
async function endOf(body: AsyncIterable<Uint8Array>): Promise<void> {
  await body[Symbol.asyncIterator]().return?.();
}

async function sweep(folder: string): Promise<void> {
  for (const name of await fs.readdir(folder)) {
    if (!name.endsWith('.part')) continue;
    const path = join(folder, name);
    const stat = await fs.stat(path).catch((error) => (isMissing(error) ? null : Promise.reject(error)));
    if (stat !== null && Date.now() - stat.mtimeMs > abandonedMs) await fs.rm(path, { force: true });
  }
}

const invalidDigest = (digest: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'invalid_digest', message: `"${digest.slice(0, 80)}" is no SHA-256 digest`, hint: 'A digest is 64 lower-case hexadecimal digits.' });

const sizeMismatch = (sha256: string, sizeBytes: number, got: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'artifact_size_mismatch', message: `Artifact ${sha256} must have ${sizeBytes} bytes; ${got}`, hint: 'Send the bundle again; if it stays so, build it again.' });

const digestMismatch = (sha256: string, digest: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'artifact_digest_mismatch', message: `Artifact ${sha256} arrived with digest ${digest}`, hint: 'Send the bundle again; if it stays so, it was changed after it was built.' });

function storageError(error: unknown, directory: string): unknown {
  if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) return error;
  return new FairleadError(
    { class: 'dependency', code: 'artifact_store_full', message: `No room for the artifact in ${directory}`, hint: `Make room in the file system of ${directory} and publish again.` },
    { retryable: true, cause: error },
  );
}
