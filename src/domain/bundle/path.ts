import { completeMark } from '../host/layout.ts';
import { type ExtractionLimits, fileListName } from './artifact.ts';
import { refuseBundle, shownPath } from './refusal.ts';

/** Names that Fairlead itself writes into a release: a bundle that brought one could pass for complete or replace its own list. */
export const reservedPaths: readonly string[] = [fileListName, completeMark];

/** The longest name that Linux file systems take for one file, in bytes. */
const maxNameBytes = 255;

/**
 * Refuses every path that could leave the release's directory or mean different things to different programs. A path is relative, with
 * `/` between plain names, in Unicode NFC, without backslashes and control characters.
 */
export function checkPath(path: string, limits: Pick<ExtractionLimits, 'maxPathBytes' | 'maxPathDepth'>): void {
  const shown = shownPath(path);
  if (path === '') throw refuseBundle('bundle_path_empty', 'An entry of the bundle has no name.');
  if (path.includes('\0')) throw refuseBundle('bundle_path_nul', `The path ${shown} holds a NUL byte.`);
  if (!path.isWellFormed()) throw refuseBundle('bundle_path_not_utf8', `The path ${shown} is not valid Unicode.`);
  const bytes = utf8Length(path);
  if (bytes > limits.maxPathBytes) throw refuseBundle('bundle_path_too_long', `The path ${shown} has ${bytes} bytes; the limit is ${limits.maxPathBytes}.`);
  if (path.startsWith('/')) throw refuseBundle('bundle_path_absolute', `The path ${shown} is absolute.`);
  if (path.includes('\\')) throw refuseBundle('bundle_path_backslash', `The path ${shown} holds a backslash, which is a separator to some programs.`);
  if (/[\u0000-\u001f\u007f]/.test(path)) throw refuseBundle('bundle_path_control', `The path ${shown} holds a control character.`);
  const names = path.split('/');
  if (names.includes('..')) throw refuseBundle('bundle_path_traversal', `The path ${shown} climbs out of its directory.`);
  if (names.includes('') || names.includes('.')) throw refuseBundle('bundle_path_not_plain', `The path ${shown} holds an empty name or a dot.`);
  if (names.length > limits.maxPathDepth) {
    throw refuseBundle('bundle_path_too_deep', `The path ${shown} is ${names.length} levels deep; the limit is ${limits.maxPathDepth}.`);
  }
  if (bytes > maxNameBytes && names.some((name) => utf8Length(name) > maxNameBytes)) {
    throw refuseBundle('bundle_name_too_long', `The path ${shown} has a name of more than ${maxNameBytes} bytes.`);
  }
  if (reservedPaths.includes(path)) throw refuseBundle('bundle_path_reserved', `The path ${shown} is one that Fairlead writes itself.`);
}

/** Equal for two paths that a file system without case, or one that normalises Unicode, would take for the same. */
export function clashKey(path: string): string {
  // Upper case first: it unfolds what lower case alone keeps apart (ß, long s, dotless i).
  return path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

export const isNormalized = (path: string): boolean => path.normalize('NFC') === path;

export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** The domain knows no Buffer. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7ff) bytes += unit >= 0xd800 && unit <= 0xdfff ? 1 : 2;
    else if (unit > 0x7f) bytes += 1;
  }
  return bytes;
}
