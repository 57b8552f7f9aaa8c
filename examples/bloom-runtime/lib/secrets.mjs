import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** What may be shown of a key: its ends, where it is long enough for the middle to stay secret. */
export const mask = (key) => (key.length < 16 ? '****' : `${key.slice(0, 4)}****${key.slice(-4)}`);

/** Compares two keys in a time that tells nothing of either: their digests have the same length, whatever theirs is. */
export function isSameKey(given, wanted) {
  const digest = (text) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/**
 * The variables of a file that holds keys; none where there is no such file.
 * @throws where others than its owner may read it
 */
export function readKeys(file) {
  let mode;
  try {
    mode = statSync(file).mode & 0o777;
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
  if ((mode & 0o077) !== 0) throw new Error(`${file} can be read by others (mode ${mode.toString(8).padStart(4, '0')}): chmod 600 ${file}`);
  return parseEnv(readFileSync(file, 'utf8'));
}
