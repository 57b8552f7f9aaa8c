import { refuseBundle } from '../../domain/bundle/refusal.ts';
import { decodeUtf8 } from './tar-header.ts';

/** What a pax header may say of the entry behind it. */
export interface PaxRecords {
  readonly path?: string;
  readonly linkpath?: string;
  readonly size?: number;
}

/** More than two paths of the greatest length need. */
export const maxPaxBytes = 16 * 1024;

/**
 * Reads a pax extended header (POSIX.1-2017, pax, "pax Header Block"): records of `LENGTH KEY=VALUE\n`. Only `path`, `linkpath` and `size`
 * are read, each once; every other key is refused, because it would change what other programs make of the same archive.
 */
export function parsePax(bytes: Uint8Array): PaxRecords {
  const records: { path?: string; linkpath?: string; size?: number } = {};
  for (let offset = 0; offset < bytes.length; ) {
    const space = bytes.indexOf(0x20, offset);
    const digits = space < 0 ? '' : Buffer.from(bytes.subarray(offset, space)).toString('latin1');
    const length = /^[1-9][0-9]{0,5}$/.test(digits) ? Number(digits) : 0;
    const end = offset + length;
    const equals = bytes.indexOf(0x3d, space + 1);
    if (length === 0 || end > bytes.length || bytes[end - 1] !== 0x0a || equals < 0 || equals >= end) {
      throw refuseBundle('bundle_pax_malformed', 'A pax header of the archive has a record whose length does not fit.');
    }
    const key = decodeUtf8(bytes.subarray(space + 1, equals));
    const value = decodeUtf8(bytes.subarray(equals + 1, end - 1));
    readRecord(records, key, value);
    offset = end;
  }
  return records;
}

function readRecord(records: { path?: string; linkpath?: string; size?: number }, key: string, value: string): void {
  if (key.startsWith('GNU.sparse.')) throw refuseBundle('bundle_sparse', 'A pax header of the archive announces a sparse file.');
  if (key !== 'path' && key !== 'linkpath' && key !== 'size') throw refuseBundle('bundle_pax_key', `A pax header of the archive has the key ${JSON.stringify(key.slice(0, 80))}; path, linkpath and size are read.`);
  if (records[key] !== undefined) throw refuseBundle('bundle_pax_malformed', `A pax header of the archive says ${key} twice.`);
  if (value.includes('\0')) throw refuseBundle('bundle_path_nul', `A pax header of the archive has a NUL byte in ${key}.`);
  if (key !== 'size') {
    records[key] = value;
    return;
  }
  if (!/^(0|[1-9][0-9]*)$/.test(value)) throw refuseBundle('bundle_number_invalid', `A pax header of the archive has the size ${JSON.stringify(value.slice(0, 40))}.`);
  if (!Number.isSafeInteger(Number(value))) throw refuseBundle('bundle_size_overflow', `A pax header of the archive has the size ${value.slice(0, 40)}, more than any program counts exactly.`);
  records.size = Number(value);
}
