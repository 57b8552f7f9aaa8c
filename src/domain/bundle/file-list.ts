import { sha256Pattern } from '../ids.ts';
import { manifestFileName } from '../product/manifest.ts';
import { type ExtractionLimits, type FileEntry, type FileList, fileListName } from './artifact.ts';
import { checkLink } from './link.ts';
import { checkPath, clashKey, isNormalized, parentOf, reservedPaths } from './path.ts';
import { refuseBundle, shownPath } from './refusal.ts';

/** The only modes in a bundle: what a release may do is decided by who runs it, not by its bits. */
export const fileMode = 0o644;
export const executableMode = 0o755;
export const directoryMode = 0o755;

/** Bytes of the longest manifest that is read. */
export const maxManifestBytes = 1024 * 1024;

/** A file list that was checked whole, ready to be asked. */
export interface CheckedFileList {
  readonly list: FileList;
  readonly byPath: ReadonlyMap<string, FileEntry>;
  /** Clash key to path. */
  readonly byClashKey: ReadonlyMap<string, string>;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Checks the text of `fairlead.files.json` and everything that it announces, against the limits too: after this, what is in the list may
 * be written. Refuses by the codes of `BundleRefusalCode`.
 */
export function parseFileList(text: string, limits: ExtractionLimits): CheckedFileList {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuseBundle('bundle_list_invalid', `${fileListName} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!hasExactly(value, ['schema', 'entries']) || value['schema'] !== 1 || !Array.isArray(value['entries'])) {
    throw refuseBundle('bundle_list_invalid', `${fileListName} must hold {"schema":1,"entries":[…]} and nothing else.`);
  }
  const written: readonly unknown[] = value['entries'];
  if (written.length > limits.maxEntries) {
    throw refuseBundle('bundle_too_many_entries', `The bundle lists ${written.length} entries; the limit is ${limits.maxEntries}.`);
  }
  return checkEntries(written.map(toEntry), limits);
}

/** The same checks for entries that were not read from a text: what `bundle create` is about to list. */
export function checkEntries(entries: readonly FileEntry[], limits: ExtractionLimits): CheckedFileList {
  const byPath = new Map<string, FileEntry>();
  const byClashKey = new Map(reservedPaths.map((path) => [clashKey(path), path]));
  let files = 0;
  let bytes = 0;
  for (const entry of entries) {
    checkPath(entry.path, limits);
    checkClash(entry.path, byPath, byClashKey);
    checkParent(entry.path, byPath);
    if (entry.type !== 'symlink') checkMode(entry);
    if (entry.type === 'file') {
      files += 1;
      bytes += checkSize(entry.path, entry.size, limits);
      if (bytes > limits.maxTotalBytes) throw refuseBundle('bundle_too_many_bytes', `The bundle unpacks to more than ${limits.maxTotalBytes} bytes, the limit.`);
    }
    byPath.set(entry.path, entry);
    byClashKey.set(clashKey(entry.path), entry.path);
  }
  for (const entry of entries) if (entry.type === 'symlink') checkLink(entry.path, entry.target, byPath, limits);
  checkManifestEntry(entries[0]);
  return { list: { schema: 1, entries }, byPath, byClashKey, files, bytes };
}

/** Refuses a path beside one that it equals, or would equal where case or Unicode form does not count. */
export function checkClash(path: string, byPath: ReadonlyMap<string, FileEntry>, byClashKey: ReadonlyMap<string, string>): void {
  if (byPath.has(path)) throw refuseBundle('bundle_duplicate_entry', `The path ${shownPath(path)} stands in the bundle twice.`);
  const other = byClashKey.get(clashKey(path));
  if (other !== undefined && other.normalize('NFC') === path.normalize('NFC')) {
    throw refuseBundle('bundle_unicode_clash', `The paths ${shownPath(other)} and ${shownPath(path)} are the same in another Unicode form.`);
  }
  if (!isNormalized(path)) throw refuseBundle('bundle_path_not_nfc', `The path ${shownPath(path)} is not in Unicode NFC.`);
  if (other !== undefined) throw refuseBundle('bundle_case_clash', `The paths ${shownPath(other)} and ${shownPath(path)} differ only in case.`);
}

function checkParent(path: string, byPath: ReadonlyMap<string, FileEntry>): void {
  const parent = parentOf(path);
  if (parent === '') return;
  const entry = byPath.get(parent);
  if (entry?.type === 'directory') return;
  for (let above = parent; above !== ''; above = parentOf(above)) {
    if (byPath.get(above)?.type === 'symlink') throw refuseBundle('bundle_path_through_link', `The path ${shownPath(path)} goes through the link ${shownPath(above)}.`);
  }
  throw refuseBundle('bundle_parent_missing', `The path ${shownPath(path)} stands in no directory that is listed before it.`);
}

function checkMode(entry: Extract<FileEntry, { mode: number }>): void {
  const shown = `${shownPath(entry.path)} has mode ${entry.mode.toString(8)}`;
  if ((entry.mode & ~0o777) !== 0) throw refuseBundle('bundle_special_bits', `${shown}: setuid, setgid and sticky bits are not allowed.`);
  const allowed = entry.type === 'directory' ? [directoryMode] : [fileMode, executableMode];
  if (!allowed.includes(entry.mode)) throw refuseBundle('bundle_mode_not_allowed', `${shown}; allowed is ${allowed.map((mode) => mode.toString(8)).join(' or ')}.`);
}

function checkSize(path: string, size: number, limits: ExtractionLimits): number {
  if (size > limits.maxFileBytes) throw refuseBundle('bundle_file_too_big', `The file ${shownPath(path)} has ${size} bytes; the limit is ${limits.maxFileBytes}.`);
  return size;
}

function checkManifestEntry(first: FileEntry | undefined): void {
  if (first?.type !== 'file' || first.path !== manifestFileName) {
    throw refuseBundle('bundle_manifest_missing', `The first file of the bundle must be ${manifestFileName}.`, 'Build the bundle with: fairlead bundle create');
  }
  if (first.size > maxManifestBytes) throw refuseBundle('bundle_manifest_too_big', `${manifestFileName} has ${first.size} bytes; the limit is ${maxManifestBytes}.`);
}

function toEntry(value: unknown, index: number): FileEntry {
  const wrong = (): Error => refuseBundle('bundle_list_invalid', `Entry ${index} of ${fileListName} has not the fields of a file, a directory or a link.`);
  if (typeof value !== 'object' || value === null) throw wrong();
  const { path, type, mode, size, sha256, target } = value as Record<string, unknown>;
  if (typeof path !== 'string') throw wrong();
  if (type === 'symlink' && hasExactly(value, ['path', 'type', 'target']) && typeof target === 'string') return { path, type, target };
  if (!isCount(mode)) throw wrong();
  if (type === 'directory' && hasExactly(value, ['path', 'type', 'mode'])) return { path, type, mode };
  if (type !== 'file' || !hasExactly(value, ['path', 'type', 'mode', 'size', 'sha256'])) throw wrong();
  if (!isCount(size) || typeof sha256 !== 'string' || !sha256Pattern.test(sha256)) throw wrong();
  return { path, type, mode, size, sha256: sha256 as Extract<FileEntry, { type: 'file' }>['sha256'] };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function hasExactly(value: unknown, keys: readonly string[]): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));
}

/** The text of a file list: one entry a line, so that two releases can be compared by eye. */
export function renderFileList(entries: readonly FileEntry[]): string {
  return `{"schema":1,"entries":[\n${entries.map((entry) => JSON.stringify(entry)).join(',\n')}\n]}\n`;
}
