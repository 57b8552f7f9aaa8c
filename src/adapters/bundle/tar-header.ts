import { refuseBundle, shownPath } from '../../domain/bundle/refusal.ts';

/** Everything in a tar archive comes in blocks of this many bytes. */
export const blockBytes = 512;

export type TarEntryType = 'file' | 'directory' | 'symlink';

/** One header block, before a pax header in front of it had its say. */
export interface TarHeader {
  readonly path: string;
  readonly type: TarEntryType | 'pax';
  readonly mode: number;
  readonly size: number;
  readonly target: string;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads a header block of the ustar format (POSIX.1-2017, pax, "ustar Interchange Format"). Only files, directories, symbolic links and
 * pax headers of one entry are read; every other type is refused by a code of its own. Owner, group and times are not looked at: a
 * release belongs to whoever unpacks it.
 */
export function parseTarHeader(block: Uint8Array): TarHeader {
  checkSum(block);
  const magic = ascii(block, 257, 8);
  if (magic !== 'ustar\x0000') throw refuseBundle('bundle_not_ustar', 'A header of the archive is not in ustar format (POSIX.1-2001).', 'Build the bundle with: fairlead bundle create');
  const name = decodeName(block, 0, 100);
  const prefix = decodeName(block, 345, 155);
  const path = prefix === '' ? name : `${prefix}/${name}`;
  const type = typeOf(block[156] ?? 0, path);
  const mode = octal(block, 100, 8, 'mode', path);
  if ((mode & ~0o777) !== 0) throw refuseBundle('bundle_special_bits', `${shownPath(path)} has mode ${mode.toString(8)}: setuid, setgid and sticky bits are not allowed.`);
  return { path, type, mode, size: octal(block, 124, 12, 'size', path), target: type === 'symlink' ? decodeName(block, 157, 100) : '' };
}

function typeOf(flag: number, path: string): TarHeader['type'] {
  const shown = shownPath(path);
  const known: Partial<Record<string, TarHeader['type']>> = { '0': 'file', '2': 'symlink', '5': 'directory', x: 'pax' };
  const letter = String.fromCharCode(flag);
  const type = known[letter];
  if (type !== undefined) return type;
  if (letter === '1') throw refuseBundle('bundle_hard_link', `${shown} is a hard link, which could reach a file outside the release.`);
  if (letter === '3' || letter === '4') throw refuseBundle('bundle_device', `${shown} is a device, which no release may hold.`);
  if (letter === '6') throw refuseBundle('bundle_fifo', `${shown} is a named pipe, which no release may hold.`);
  if (letter === 'S') throw refuseBundle('bundle_sparse', `${shown} is a sparse file, which programs unpack differently.`);
  if (letter === 'g') throw refuseBundle('bundle_pax_global', 'The archive has a global pax header, which would change every entry behind it.');
  throw refuseBundle('bundle_entry_type_unknown', `${shown} has the unknown type ${JSON.stringify(letter)}.`);
}

function checkSum(block: Uint8Array): void {
  let sum = 8 * 0x20;
  for (let index = 0; index < blockBytes; index += 1) sum += block[index] ?? 0;
  for (let index = 148; index < 156; index += 1) sum -= block[index] ?? 0;
  if (sum !== octal(block, 148, 8, 'checksum', '')) throw refuseBundle('bundle_header_checksum', 'A header of the archive does not match its checksum.');
}

/** Digits, then NUL or spaces. Signs, other bases and fields without digits are refused: programs disagree on what they mean. */
function octal(block: Uint8Array, offset: number, length: number, field: string, path: string): number {
  const where = path === '' ? `The ${field} of a header` : `The ${field} of ${shownPath(path)}`;
  if (((block[offset] ?? 0) & 0x80) !== 0) throw refuseBundle('bundle_number_base256', `${where} is written in base 256, which only sizes beyond every limit need.`);
  const text = ascii(block, offset, length);
  if (!/^[0-7]+[\0 ]*$/.test(text)) throw refuseBundle('bundle_number_invalid', `${where} is not an octal number: ${JSON.stringify(text)}.`);
  return Number.parseInt(text, 8);
}

function decodeName(block: Uint8Array, offset: number, length: number): string {
  let end = 0;
  while (end < length && block[offset + end] !== 0) end += 1;
  for (let index = end; index < length; index += 1) {
    if (block[offset + index] !== 0) throw refuseBundle('bundle_path_nul', `The path ${shownPath(ascii(block, offset, length))} holds a NUL byte.`);
  }
  return decodeUtf8(block.subarray(offset, offset + end));
}

/** UTF-8 without replacement characters: a name that cannot be read exactly is refused. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw refuseBundle('bundle_path_not_utf8', `A name in the archive is not UTF-8: ${JSON.stringify(Buffer.from(bytes).toString('latin1').slice(0, 200))}.`);
  }
}

const ascii = (block: Uint8Array, offset: number, length: number): string => {
  let text = '';
  for (let index = offset; index < offset + length; index += 1) text += String.fromCharCode(block[index] ?? 0);
  return text;
};
