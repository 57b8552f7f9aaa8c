import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { type Artifact, type BundleFormat, type FileEntry, fileListName } from '../../domain/bundle/artifact.ts';
import { fileMode, renderFileList } from '../../domain/bundle/file-list.ts';
import { shownPath } from '../../domain/bundle/refusal.ts';
import { type ReleaseId, releaseIdPattern, type Sha256 } from '../../domain/ids.ts';
import { manifestFileName, type Role } from '../../domain/product/manifest.ts';
import { syncDirectory } from '../files/durable.ts';
import { compress } from './compress.ts';
import { readSourceManifest } from './source-manifest.ts';
import { listSource, openSource, refuseSource } from './source-tree.ts';
import { endOfArchive, paddingOf, tarHeader } from './tar-writer.ts';

export interface CreateBundleRequest {
  /** What to pack: `fairlead.yaml` at its top, and the product's files. */
  readonly directory: string;
  readonly releaseId: ReleaseId;
  /** Needed where the manifest has several `roles`. */
  readonly role?: Role;
  readonly format: BundleFormat;
  /** The file to write, outside of the directory. Replaced in one step. */
  readonly output: string;
}

/**
 * Packs a directory. The same files, names and executable bits give the same bytes, whatever their times, owners, umask and order on disk
 * (with the same Node.js, whose zlib and zstd compress).
 *
 * Refuses what `listSource` and `readSourceManifest` refuse, and a file that changed while it was packed (`bundle_source_changed`).
 */
export async function createBundle(request: CreateBundleRequest): Promise<Artifact> {
  const { directory, releaseId, role, format, output } = request;
  if (!releaseIdPattern.test(releaseId)) throw refuseSource('release_id_invalid', `${JSON.stringify(releaseId)} is no release id.`, 'Letters, digits and . _ + -, at most 128, beginning and ending with a letter or digit.');
  if (isInside(resolve(output), resolve(directory))) throw refuseSource('bundle_output_inside', `${output} lies in the directory that is packed.`, 'Write the bundle somewhere else with --output.');
  const { text: manifestText, manifest, files } = await readSourceManifest(directory, releaseId, role);
  const entries = await listSource(directory, manifestText, files);
  const include = manifest.router?.nginx.include ?? null;
  if (include !== null && !entries.some((entry) => entry.type === 'file' && entry.path === include)) {
    throw refuseSource('bundle_include_missing', `router.nginx.include is ${include}, which the directory does not hold.`);
  }
  const fileList = renderFileList(entries);
  const compressed = await writeCompressed(output, format, archive(directory, manifestText, fileList, entries));
  return {
    product: manifest.product,
    releaseId: manifest.releaseId,
    role: manifest.artifact.role,
    profile: manifest.artifact.profile,
    format,
    ...compressed,
    fileListSha256: createHash('sha256').update(fileList).digest('hex') as Sha256,
    platformVersion: manifest.platformVersion,
    signature: null,
    manifest,
  };
}

const isInside = (file: string, directory: string): boolean => !relative(directory, file).startsWith('..') && relative(directory, file) !== '';

async function* archive(directory: string, manifestText: string, fileList: string, entries: readonly FileEntry[]): AsyncGenerator<Buffer> {
  yield* textEntry(fileListName, fileList);
  for (const entry of entries) {
    if (entry.path === manifestFileName) {
      yield* textEntry(manifestFileName, manifestText);
      continue;
    }
    yield tarHeader(entry);
    if (entry.type !== 'file') continue;
    yield* contentOf(directory, entry);
    yield paddingOf(entry.size);
  }
  yield endOfArchive;
}

function* textEntry(path: string, text: string): Generator<Buffer> {
  const bytes = Buffer.from(text);
  yield tarHeader({ path, type: 'file', mode: fileMode, size: bytes.length, sha256: '' as Sha256 });
  yield bytes;
  yield paddingOf(bytes.length);
}

/** The bytes that were listed, or an error: a file that is written to meanwhile would make a bundle that no host takes. */
async function* contentOf(directory: string, entry: Extract<FileEntry, { type: 'file' }>): AsyncGenerator<Buffer> {
  const handle = await openSource(join(directory, entry.path));
  try {
    const digest = createHash('sha256');
    let size = 0;
    for await (const chunk of handle.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 })) {
      digest.update(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size <= entry.size) yield chunk as Buffer;
    }
    if (size !== entry.size || digest.digest('hex') !== entry.sha256) {
      throw refuseSource('bundle_source_changed', `${shownPath(entry.path)} changed while the bundle was made.`, 'Let nothing write to the directory and try again.');
    }
  } finally {
    await handle.close();
  }
}

/** Streams into a temporary file beside `output`, and puts it in place in one durable step. */
async function writeCompressed(output: string, format: BundleFormat, source: AsyncIterable<Buffer>): Promise<{ sizeBytes: number; sha256: Sha256 }> {
  const temporary = join(dirname(output), `.${basename(output)}.${randomBytes(6).toString('hex')}.tmp`);
  const handle = await fs.open(temporary, 'wx', 0o644);
  try {
    const digest = createHash('sha256');
    let sizeBytes = 0;
    for await (const chunk of compress(format, source)) {
      sizeBytes += chunk.length;
      digest.update(chunk);
      for (let written = 0; written < chunk.length; ) written += (await handle.write(chunk, written)).bytesWritten;
    }
    await handle.sync();
    await handle.close();
    await fs.rename(temporary, output);
    await syncDirectory(dirname(output));
    return { sizeBytes, sha256: digest.digest('hex') as Sha256 };
  } catch (error) {
    await handle.close().catch(() => {});
    await fs.rm(temporary, { force: true });
    throw error;
  }
}
