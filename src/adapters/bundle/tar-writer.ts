import type { FileEntry } from '../../domain/bundle/artifact.ts';
import { blockBytes } from './tar-header.ts';

/** What ends an archive. */
export const endOfArchive = Buffer.alloc(2 * blockBytes);

/** Zeros that fill the last block of `size` bytes. */
export const paddingOf = (size: number): Buffer => Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);

/**
 * The header blocks of one entry in ustar format, with a pax header in front where a name is too long or not ASCII. The same entry gives the
 * same bytes: no time, no owner, no name of a user.
 */
export function tarHeader(entry: FileEntry): Buffer {
  const path = entry.type === 'directory' ? `${entry.path}/` : entry.path;
  const target = entry.type === 'symlink' ? entry.target : '';
  const split = splitPath(path);
  const records = [...(split === null ? [paxRecord('path', path)] : []), ...(fits(target, 100) ? [] : [paxRecord('linkpath', target)])];
  const size = entry.type === 'file' ? entry.size : 0;
  const mode = entry.type === 'symlink' ? 0o777 : entry.mode;
  const flag = { file: '0', symlink: '2', directory: '5' }[entry.type];
  // Where the pax header tells the name, this one is for programs that do not read it.
  const shown = split ?? { prefix: '', name: Buffer.from(path).subarray(0, 100).toString('latin1').replaceAll(/[^\x21-\x7e]/g, '_') };
  const header = ustarBlock({ ...shown, mode, size, flag, target: fits(target, 100) ? target : '' });
  if (records.length === 0) return header;
  const pax = Buffer.concat(records);
  return Buffer.concat([ustarBlock({ name: 'fairlead.pax', prefix: '', mode: 0o644, size: pax.length, flag: 'x', target: '' }), pax, paddingOf(pax.length), header]);
}

function ustarBlock({ name, prefix, mode, size, flag, target }: { name: string; prefix: string; mode: number; size: number; flag: string; target: string }): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100, 'latin1');
  block.write(octal(mode, 8), 100, 'latin1');
  block.write(octal(0, 8), 108, 'latin1');
  block.write(octal(0, 8), 116, 'latin1');
  block.write(octal(size, 12), 124, 'latin1');
  block.write(octal(0, 12), 136, 'latin1');
  block.fill(0x20, 148, 156);
  block.write(flag, 156, 'latin1');
  block.write(target, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345, 155, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
const fits = (text: string, bytes: number): boolean => text.length <= bytes && /^[\x20-\x7e]*$/.test(text);

/** The path in the two fields of ustar, cut at a slash; null where it does not fit. */
function splitPath(path: string): { prefix: string; name: string } | null {
  if (fits(path, 100)) return { prefix: '', name: path };
  if (!fits(path, 256)) return null;
  for (let cut = path.indexOf('/', path.length - 101); cut > 0 && cut < path.length - 1; cut = path.indexOf('/', cut + 1)) {
    if (cut <= 155 && path.length - cut - 1 <= 100) return { prefix: path.slice(0, cut), name: path.slice(cut + 1) };
  }
  return null;
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}
