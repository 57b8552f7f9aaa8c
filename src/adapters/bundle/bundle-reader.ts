import { createHash, hash, type Hash } from 'node:crypto';
import { type ExtractionLimits, type FileEntry, fileListName } from '../../domain/bundle/artifact.ts';
import { type CheckedFileList, checkClash, parseFileList } from '../../domain/bundle/file-list.ts';
import { checkPath, parentOf } from '../../domain/bundle/path.ts';
import { type BundleRefusalCode, refuseBundle, shownPath } from '../../domain/bundle/refusal.ts';
import type { Sha256 } from '../../domain/ids.ts';
import { manifestFileName } from '../../domain/product/manifest.ts';
import type { BundleSink, ListedFile } from './sink.ts';
import { type TarEntry, type TarHandler, TarReader } from './tar-reader.ts';

/** No list of a reasonable bundle comes near; it bounds what is held in memory. */
const maxListBytes = 64 * 2 ** 20;

/** What a bundle said about itself, after all of it was checked. */
export interface BundleContents {
  readonly fileList: CheckedFileList;
  readonly fileListText: string;
  readonly fileListSha256: Sha256;
  readonly manifestText: string;
}

/**
 * Checks an unpacked tar stream against the file list that it begins with. Nothing goes to the sink before its path, type, mode and size were found
 * in the list, and the list itself was checked against every limit; a file that comes in one piece goes there only with the right digest.
 *
 * @param expectedListSha256 where it is known beforehand: then a list that the publisher did not sign is refused before anything else is read.
 */
export class BundleReader {
  readonly #limits: ExtractionLimits;
  readonly #sink: BundleSink;
  readonly #expectedListSha256: Sha256 | null;
  readonly #tar: TarReader;
  #listChunks: Uint8Array[] = [];
  #listText = '';
  #listSha256 = '' as Sha256;
  #list: CheckedFileList | null = null;
  #manifestChunks: Uint8Array[] = [];
  #next = 0;
  #current: ListedFile | typeof fileListName | null = null;
  #partial: Hash | null = null;

  constructor(sink: BundleSink, limits: ExtractionLimits, expectedListSha256: Sha256 | null = null) {
    this.#sink = sink;
    this.#limits = limits;
    this.#expectedListSha256 = expectedListSha256;
    const handler: TarHandler = {
      entry: (entry) => this.#entry(entry),
      data: (bytes) => this.#data(bytes),
      entryEnd: () => this.#entryEnd(),
    };
    this.#tar = new TarReader(handler);
  }

  push(chunk: Uint8Array): void {
    this.#tar.push(chunk);
  }

  /** The stream has ended. Refuses a bundle that lacks something. */
  end(): BundleContents {
    this.#tar.end();
    if (this.#list === null) throw refuseBundle('bundle_list_missing', `The bundle is empty; it must begin with ${fileListName}.`);
    const missing = this.#list.list.entries[this.#next];
    if (missing !== undefined) throw refuseBundle('bundle_entry_missing', `The file list names ${shownPath(missing.path)}, which the bundle does not hold.`);
    return { fileList: this.#list, fileListText: this.#listText, fileListSha256: this.#listSha256, manifestText: decode(this.#manifestChunks, manifestFileName, 'manifest_invalid') };
  }

  #entry(entry: TarEntry): void {
    if (this.#list === null) {
      this.#startList(entry);
      return;
    }
    const listed = this.#matchEntry(entry, this.#list);
    this.#next += 1;
    if (listed.type === 'directory') this.#sink.directory(listed.path);
    else if (listed.type === 'symlink') this.#sink.symlink(listed.path, listed.target);
    else this.#current = listed;
  }

  #startList(entry: TarEntry): void {
    if (entry.path !== fileListName) {
      checkPath(entry.path, this.#limits);
      throw refuseBundle('bundle_list_missing', `The bundle begins with ${shownPath(entry.path)}; it must begin with ${fileListName}.`, 'Build the bundle with: fairlead bundle create');
    }
    if (entry.type !== 'file') throw refuseBundle('bundle_list_missing', `${fileListName} is no file.`);
    const limit = Math.min(maxListBytes, this.#limits.maxTotalBytes);
    if (entry.size > limit) throw refuseBundle('bundle_list_too_big', `${fileListName} has ${entry.size} bytes; the limit is ${limit}.`);
    this.#current = fileListName;
  }

  /** The entry must be the very next one of the list; a path that is not is refused by what is wrong with it. */
  #matchEntry(entry: TarEntry, { list, byPath, byClashKey }: CheckedFileList): FileEntry {
    const shown = shownPath(entry.path);
    const listed = list.entries[this.#next];
    if (listed?.path !== entry.path) {
      checkPath(entry.path, this.#limits);
      const elsewhere = byPath.get(entry.path);
      if (elsewhere === undefined) {
        checkClash(entry.path, byPath, byClashKey);
        for (let above = parentOf(entry.path); above !== ''; above = parentOf(above)) {
          if (byPath.get(above)?.type === 'symlink') throw refuseBundle('bundle_path_through_link', `The path ${shown} goes through the link ${shownPath(above)}.`);
        }
        throw refuseBundle('bundle_entry_not_listed', `The bundle holds ${shown}, which its file list does not name.`);
      }
      if (list.entries.indexOf(elsewhere) < this.#next) throw refuseBundle('bundle_duplicate_entry', `The path ${shown} stands in the bundle twice.`);
      throw refuseBundle('bundle_entry_missing', `The bundle holds ${shown} where its file list names ${shownPath(listed?.path ?? '')}.`);
    }
    if (listed.type !== entry.type) throw refuseBundle('bundle_type_differs', `${shown} is a ${entry.type}; its file list says ${listed.type}.`);
    if (listed.type === 'symlink') {
      if (listed.target !== entry.target) throw refuseBundle('bundle_target_differs', `The link ${shown} leads to ${shownPath(entry.target)}; its file list says ${shownPath(listed.target)}.`);
      return listed;
    }
    if (listed.mode !== entry.mode) throw refuseBundle('bundle_mode_differs', `${shown} has mode ${entry.mode.toString(8)}; its file list says ${listed.mode.toString(8)}.`);
    if (listed.type === 'file' && listed.size !== entry.size) throw refuseBundle('bundle_size_differs', `${shown} has ${entry.size} bytes; its file list says ${listed.size}.`);
    return listed;
  }

  #data(bytes: Uint8Array): void {
    const current = this.#current;
    if (current === null) return;
    if (current === fileListName) {
      this.#listChunks.push(bytes.slice());
      return;
    }
    if (current.path === manifestFileName) this.#manifestChunks.push(bytes.slice());
    if (this.#partial === null && bytes.length === current.size) {
      checkDigest(current, hash('sha256', bytes, 'hex'));
      this.#sink.file(current.path, current.mode, bytes);
      this.#current = null;
      return;
    }
    if (this.#partial === null) {
      this.#partial = createHash('sha256');
      this.#sink.open(current.path, current.mode);
    }
    this.#partial.update(bytes);
    this.#sink.write(bytes);
  }

  #entryEnd(): void {
    const current = this.#current;
    this.#current = null;
    if (current === null) return;
    if (current === fileListName) {
      this.#finishList();
    } else if (this.#partial === null) {
      // Only an empty file comes here without a byte.
      checkDigest(current, hash('sha256', '', 'hex'));
      this.#sink.file(current.path, current.mode, new Uint8Array(0));
    } else {
      const digest = this.#partial.digest('hex');
      this.#partial = null;
      if (digest !== current.sha256) this.#sink.discard();
      checkDigest(current, digest);
      this.#sink.close();
    }
  }

  #finishList(): void {
    const bytes = Buffer.concat(this.#listChunks);
    this.#listSha256 = hash('sha256', bytes, 'hex') as Sha256;
    if (this.#expectedListSha256 !== null && this.#expectedListSha256 !== this.#listSha256) {
      throw refuseBundle('bundle_list_digest_differs', `${fileListName} has SHA-256 ${this.#listSha256}; ${this.#expectedListSha256} was announced.`);
    }
    this.#listText = decode(this.#listChunks, fileListName, 'bundle_list_invalid');
    this.#listChunks = [];
    this.#list = parseFileList(this.#listText, this.#limits);
  }
}

function checkDigest(file: ListedFile, digest: string): void {
  if (digest !== file.sha256) throw refuseBundle('bundle_digest_differs', `${shownPath(file.path)} has SHA-256 ${digest}; its file list says ${file.sha256}.`);
}

function decode(chunks: readonly Uint8Array[], name: string, code: BundleRefusalCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw refuseBundle(code, `${name} is not UTF-8.`);
  }
}
