import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { ExtractionLimits } from '../../src/domain/bundle/artifact.ts';

/**
 * Bundles that must be refused, built byte by byte and without the code under test: a writer that shared its reader's mistakes would hide
 * them.
 */
export interface HostileArchive {
  readonly name: string;
  readonly code: string;
  /** The compressed file. */
  readonly file: Buffer;
  readonly fileListSha256: string;
  /** What is announced of the file and differs from it. */
  readonly announced?: { readonly sizeBytes?: number; readonly sha256?: string; readonly format?: 'gz' | 'zst'; readonly releaseId?: string };
  readonly limits?: Partial<ExtractionLimits>;
  /** Content bytes that may have reached the disk before the refusal; 0 where not given. */
  readonly mayWrite?: number;
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

export const manifestText = `schema: 1
product: demo
releaseId: r1
services:
  api: {command: [node, api.mjs], instances: {installed: [a]}, ports: {a: 4100}, probes: {ready: ready}}
probes:
  ready: {service: api}
`;

interface RawHeader {
  readonly name: string | Buffer;
  readonly type?: string;
  readonly mode?: number;
  readonly size?: number;
  /** The twelve bytes of the size field as they are. */
  readonly sizeField?: Buffer;
  readonly link?: string;
  readonly prefix?: string;
  readonly magic?: string;
  readonly checksumOffset?: number;
}

/** A header block; every field can be made wrong. */
export function header({ name, type = '0', mode = 0o644, size = 0, sizeField, link = '', prefix = '', magic = 'ustar\x0000', checksumOffset = 0 }: RawHeader): Buffer {
  const block = Buffer.alloc(512);
  Buffer.from(name).copy(block, 0, 0, 100);
  block.write(`${mode.toString(8).padStart(7, '0')}\0`, 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  (sizeField ?? Buffer.from(`${size.toString(8).padStart(11, '0')}\0`, 'latin1')).copy(block, 124, 0, 12);
  block.write('00000000000\0', 136, 'latin1');
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(link, 157, 100);
  block.write(magic, 257, 'latin1');
  block.write(prefix, 345, 155);
  let sum = checksumOffset;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

export const padded = (bytes: Buffer | string, filler = 0): Buffer => {
  const content = Buffer.from(bytes);
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512, filler)]);
};
export const file = (name: string | Buffer, content: Buffer | string = '', more: Partial<RawHeader> = {}): Buffer =>
  Buffer.concat([header({ name, size: Buffer.byteLength(content), ...more }), padded(content)]);
const directory = (name: string, more: Partial<RawHeader> = {}): Buffer => header({ name: `${name}/`, type: '5', mode: 0o755, ...more });
const symlink = (name: string, link: string): Buffer => header({ name, type: '2', mode: 0o777, link });
const record = (key: string, value: string): string => {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length += 1;
  return `${length} ${key}=${value}\n`;
};
const pax = (records: string, type = 'x'): Buffer => file('pax', records, { type });
export const end = Buffer.alloc(1024);

type Listed = Record<string, unknown>;
const listedFile = (path: string, content: Buffer | string = '', more: Listed = {}): Listed => ({ path, type: 'file', mode: 0o644, size: Buffer.byteLength(content), sha256: sha256(content), ...more });
const listedDirectory = (path: string): Listed => ({ path, type: 'directory', mode: 0o755 });
const listedLink = (path: string, target: string): Listed => ({ path, type: 'symlink', target });
const listedManifest = listedFile('fairlead.yaml', manifestText);
const manifest = file('fairlead.yaml', manifestText);

const listText = (entries: readonly Listed[]): string => JSON.stringify({ schema: 1, entries });
const list = (text: string): Buffer => file('fairlead.files.json', text);

interface Shape {
  readonly name: string;
  readonly code: string;
  /** Entries of the file list behind the manifest, or the list's whole text. */
  readonly listed?: readonly Listed[] | string;
  /** What stands in the archive behind list and manifest. */
  readonly parts?: readonly Buffer[];
  /** The whole archive, where it does not begin as it should. */
  readonly tar?: (listBlock: Buffer) => Buffer;
  readonly compress?: (tar: Buffer) => Buffer;
  readonly listDigest?: string;
  readonly announced?: HostileArchive['announced'];
  readonly limits?: Partial<ExtractionLimits>;
  readonly mayWrite?: number;
}

function build({ listed = [], parts = [], tar, compress = (bytes) => gzipSync(bytes), listDigest, ...rest }: Shape): HostileArchive {
  const text = typeof listed === 'string' ? listed : listText([listedManifest, ...listed]);
  const archive = tar ? tar(list(text)) : Buffer.concat([list(text), manifest, ...parts, end]);
  return { ...rest, file: compress(archive), fileListSha256: listDigest ?? sha256(text) };
}

/** A bundle that is taken, for tests that change something about it. */
export function goodBundle(content = 'hello\n', compress: (tar: Buffer) => Buffer = (tar) => gzipSync(tar)): { file: Buffer; fileListSha256: string } {
  const text = listText([listedManifest, listedDirectory('bin'), listedFile('bin/run', content, { mode: 0o755 }), listedLink('run', 'bin/run')]);
  return { file: compress(Buffer.concat([list(text), manifest, directory('bin'), file('bin/run', content, { mode: 0o755 }), symlink('run', 'bin/run'), end])), fileListSha256: sha256(text) };
}

/** A name that would do harm, in the list as well as in the archive. */
const badName = (name: string, code: string, path: string, more: Partial<Shape> = {}): Shape => ({ name, code, listed: [listedFile(path, 'x')], parts: [file(path, 'x')], ...more });
/** The same with an innocent list: the archive alone says it. */
const hiddenName = (name: string, code: string, path: string | Buffer): Shape => ({ name, code, listed: [listedFile('innocent', 'x')], parts: [file(path, 'x')] });
const badHeader = (name: string, code: string, more: Partial<RawHeader>): Shape => ({ name, code, listed: [listedFile('a', 'x')], parts: [file('a', 'x', more)] });
const badPax = (name: string, code: string, records: string, more: Partial<Shape> = {}): Shape => ({ name, code, listed: [listedFile('a', 'x')], parts: [pax(records), file('a', 'x')], ...more });

const large = Buffer.alloc(3_000_000, 'large');
const zeros = Buffer.alloc(40 * 2 ** 20);
const sizeField = (first: number, fill: number): Buffer => Buffer.from([first, ...Array.from({ length: 11 }, () => fill)]);

export const hostileArchives: readonly HostileArchive[] = (
  [
    // Paths.
    badName('absolute path', 'bundle_path_absolute', '/etc/passwd'),
    hiddenName('absolute path that the list does not name', 'bundle_path_absolute', '/etc/passwd'),
    badName('path with ..', 'bundle_path_traversal', '../evil'),
    hiddenName('path with .. that the list does not name', 'bundle_path_traversal', 'a/../../evil'),
    badName('path with a dot', 'bundle_path_not_plain', './a'),
    badName('path with an empty name', 'bundle_path_not_plain', 'a//b'),
    hiddenName('empty path', 'bundle_path_empty', ''),
    badName('path with a backslash', 'bundle_path_backslash', '..\\evil'),
    badName('path with a line feed', 'bundle_path_control', 'a\nb'),
    hiddenName('path with a NUL byte', 'bundle_path_nul', Buffer.from('a\0/etc/passwd')),
    hiddenName('path that is not UTF-8', 'bundle_path_not_utf8', Buffer.from([0x61, 0xff, 0xfe])),
    badName('path with half a surrogate in the list', 'bundle_path_not_utf8', 'a', { listed: listText([listedManifest, listedFile('a', 'x')]).replace('"path":"a"', '"path":"\\ud800"') }),
    badName('path in decomposed Unicode', 'bundle_path_not_nfc', 'cafe\u0301'),
    badName('path beyond the limit of bytes', 'bundle_path_too_long', `${'a/'.repeat(20)}b`, { limits: { maxPathBytes: 40 } }),
    badName('path beyond the limit of depth', 'bundle_path_too_deep', 'a/b/c/d', { limits: { maxPathDepth: 3 } }),
    badName('name longer than file systems take', 'bundle_name_too_long', 'n'.repeat(256)),
    badName('a COMPLETE mark of its own', 'bundle_path_reserved', '.fairlead-complete.json'),
    badName('a second file list', 'bundle_path_reserved', 'fairlead.files.json'),
    badName('a file in a directory that is not there', 'bundle_parent_missing', 'nowhere/a'),

    // Links.
    { name: 'link out of the release', code: 'bundle_link_escapes', listed: [listedLink('out', '../../outside')], parts: [symlink('out', '../../outside')] },
    { name: 'link out, then a file written through it', code: 'bundle_path_through_link', listed: [listedLink('out', '../../outside'), listedFile('out/evil', 'x')], parts: [symlink('out', '../../outside'), file('out/evil', 'x')] },
    { name: 'file through a link that only the archive has', code: 'bundle_path_through_link', listed: [listedLink('bin', '.')], parts: [symlink('bin', '.'), file('bin/evil', 'x')] },
    { name: 'absolute link', code: 'bundle_link_absolute', listed: [listedLink('etc', '/etc')], parts: [symlink('etc', '/etc')] },
    { name: 'link out by way of another link', code: 'bundle_link_escapes', listed: [listedDirectory('a'), listedDirectory('a/b'), listedLink('a/b/up', '../..'), listedLink('out', 'a/b/up/../x')], parts: [] },
    { name: 'links in a loop', code: 'bundle_link_loop', listed: [listedLink('a', 'b'), listedLink('b', 'a')], parts: [symlink('a', 'b'), symlink('b', 'a')] },
    { name: 'link without a target', code: 'bundle_link_malformed', listed: [listedLink('a', '')], parts: [symlink('a', '')] },
    { name: 'link to another target than listed', code: 'bundle_target_differs', listed: [listedLink('a', 'b')], parts: [symlink('a', '../../etc')] },
    { name: 'hard link out', code: 'bundle_hard_link', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', type: '1', link: '/etc/passwd' })] },

    // Types and modes.
    { name: 'character device', code: 'bundle_device', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', type: '3' })] },
    { name: 'block device', code: 'bundle_device', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', type: '4' })] },
    { name: 'named pipe', code: 'bundle_fifo', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', type: '6' })] },
    badHeader('contiguous file', 'bundle_entry_type_unknown', { type: '7' }),
    badHeader("GNU tar's long name", 'bundle_entry_type_unknown', { type: 'L' }),
    badHeader('sparse file', 'bundle_sparse', { type: 'S' }),
    badHeader('setuid in the archive', 'bundle_special_bits', { mode: 0o4755 }),
    badHeader('setgid in the archive', 'bundle_special_bits', { mode: 0o2755 }),
    badHeader('sticky bit in the archive', 'bundle_special_bits', { mode: 0o1644 }),
    { name: 'setuid in the list', code: 'bundle_special_bits', listed: [listedFile('a', 'x', { mode: 0o4755 })], parts: [file('a', 'x', { mode: 0o4755 })] },
    { name: 'writable by everybody', code: 'bundle_mode_not_allowed', listed: [listedFile('a', 'x', { mode: 0o666 })], parts: [file('a', 'x', { mode: 0o666 })] },

    // Two of a kind.
    { name: 'entry twice in the archive', code: 'bundle_duplicate_entry', listed: [listedFile('a', 'x'), listedFile('b', 'y')], parts: [file('a', 'x'), file('a', 'x')], mayWrite: 1 },
    { name: 'entry twice in the list', code: 'bundle_duplicate_entry', listed: [listedFile('a', 'x'), listedFile('a', 'x')], parts: [file('a', 'x'), file('a', 'x')] },
    { name: 'names that differ only in case', code: 'bundle_case_clash', listed: [listedFile('README', 'x'), listedFile('readme', 'y')], parts: [file('README', 'x'), file('readme', 'y')] },
    { name: 'names that differ only in case, the second not listed', code: 'bundle_case_clash', listed: [listedFile('README', 'x')], parts: [file('README', 'x'), file('readme', 'y')], mayWrite: 1 },
    { name: "a case variant of Fairlead's own mark", code: 'bundle_case_clash', listed: [listedFile('.FAIRLEAD-complete.json', 'x')], parts: [] },
    { name: 'names that differ only in Unicode form', code: 'bundle_unicode_clash', listed: [listedFile('caf\u00e9', 'x'), listedFile('cafe\u0301', 'y')], parts: [] },

    // Cut and continued.
    { name: 'gzip cut short', code: 'bundle_truncated', listed: [listedFile('a', large)], parts: [file('a', large)], compress: (tar) => gzipSync(tar).subarray(0, -40), mayWrite: large.length },
    { name: 'zstd cut short', code: 'bundle_truncated', listed: [listedFile('a', large)], parts: [file('a', large)], compress: (tar) => zstdCompressSync(tar).subarray(0, -40), mayWrite: large.length },
    { name: 'archive cut inside a file', code: 'bundle_truncated', listed: [listedFile('a', large)], parts: [file('a', large)], compress: (tar) => gzipSync(tar.subarray(0, 2_000_000)), mayWrite: large.length },
    { name: 'archive cut before its end mark', code: 'bundle_truncated', listed: [], compress: (tar) => gzipSync(tar.subarray(0, -1024)) },
    { name: 'empty archive', code: 'bundle_truncated', listed: [], compress: () => gzipSync(Buffer.alloc(0)) },
    { name: 'junk behind gzip', code: 'bundle_trailing_data', listed: [], compress: (tar) => Buffer.concat([gzipSync(tar), Buffer.from('junk junk junk')]) },
    { name: 'zeros behind gzip', code: 'bundle_trailing_data', listed: [], compress: (tar) => Buffer.concat([gzipSync(tar), Buffer.alloc(64)]) },
    { name: 'junk behind zstd', code: 'bundle_trailing_data', listed: [], compress: (tar) => Buffer.concat([zstdCompressSync(tar), Buffer.from('junk junk junk')]) },
    { name: 'a second zstd frame', code: 'bundle_trailing_data', listed: [], compress: (tar) => Buffer.concat([zstdCompressSync(tar), zstdCompressSync(file('evil', 'x'))]) },
    { name: 'a second gzip member with another file', code: 'bundle_trailing_data', listed: [], compress: (tar) => Buffer.concat([gzipSync(tar), gzipSync(file('evil', 'x'))]) },
    { name: 'an entry behind the end mark', code: 'bundle_trailing_data', listed: [], parts: [end, file('evil', 'x')] },
    { name: 'an entry behind half an end mark', code: 'bundle_trailing_data', listed: [], parts: [Buffer.alloc(512), file('evil', 'x')] },
    { name: 'more zeros than a record holds', code: 'bundle_trailing_data', listed: [], parts: [Buffer.alloc(20 * 1024)] },
    { name: 'neither gzip nor zstd', code: 'bundle_format_unknown', listed: [], compress: (tar) => tar },
    { name: 'damaged gzip', code: 'bundle_compression_invalid', listed: [], compress: (tar) => damage(gzipSync(tar)) },
    { name: 'damaged zstd', code: 'bundle_compression_invalid', listed: [], compress: (tar) => damage(zstdCompressSync(tar)) },

    // Bombs.
    { name: 'bomb by ratio', code: 'bundle_ratio_exceeded', listed: [listedFile('a', zeros)], parts: [file('a', zeros)], compress: (tar) => zstdCompressSync(tar), mayWrite: 16 * 2 ** 20 },
    { name: 'bomb by bytes in total', code: 'bundle_too_many_bytes', listed: [listedFile('a', large), listedFile('b', large)], parts: [file('a', large), file('b', large)], limits: { maxTotalBytes: 5_000_000 } },
    { name: 'bomb by one file', code: 'bundle_file_too_big', listed: [listedFile('a', large)], parts: [file('a', large)], limits: { maxFileBytes: 2_999_999 } },
    { name: 'bomb by entries', code: 'bundle_too_many_entries', listed: Array.from({ length: 100 }, (_, index) => listedFile(`f${index}`)), parts: Array.from({ length: 100 }, (_, index) => file(`f${index}`)), limits: { maxEntries: 100 } },
    { name: 'bomb by entries that are not listed', code: 'bundle_entry_not_listed', listed: [], parts: Array.from({ length: 1000 }, (_, index) => file(`f${index}`)) },
    { name: 'file list beyond every limit', code: 'bundle_list_too_big', listed: [], limits: { maxTotalBytes: 100 } },
    { name: 'announces 64 GiB in base 256', code: 'bundle_number_base256', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', sizeField: sizeField(0x80, 0x10) })] },
    { name: 'announces a negative size in base 256', code: 'bundle_number_base256', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', sizeField: sizeField(0xff, 0xff) })] },
    { name: 'announces a negative size in digits', code: 'bundle_number_invalid', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', sizeField: Buffer.from('-0000000001\0') })] },
    { name: 'announces no size', code: 'bundle_number_invalid', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', sizeField: Buffer.alloc(12) })] },
    { name: 'announces almost 8 GiB', code: 'bundle_size_differs', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', sizeField: Buffer.from('77777777777\0') })] },
    badPax('announces 2^63 bytes in a pax header', 'bundle_size_overflow', record('size', '9223372036854775808')),

    // pax.
    badPax('pax header that turns an innocent name into ..', 'bundle_path_traversal', record('path', '../../evil')),
    badPax('pax header that turns an innocent name into an absolute one', 'bundle_path_absolute', record('path', '/etc/cron.d/evil')),
    badPax('pax header with a NUL byte in the path', 'bundle_path_nul', record('path', 'a\0b')),
    badPax('pax header with another size than the header behind it', 'bundle_pax_conflict', record('size', '0')),
    badPax('pax header that gives a file a link target', 'bundle_pax_conflict', record('linkpath', '/etc/passwd')),
    badPax('pax header that sends a link elsewhere', 'bundle_target_differs', record('linkpath', '/etc/passwd'), { listed: [listedLink('a', 'b')], parts: [pax(record('linkpath', '/etc/passwd')), symlink('a', 'b')] }),
    badPax('pax header with a key that is not read', 'bundle_pax_key', record('SCHILY.xattr.security.capability', 'x')),
    badPax('pax header of a sparse file', 'bundle_sparse', record('GNU.sparse.realsize', '1000000000000')),
    badPax('pax record that is longer than its header', 'bundle_pax_malformed', '99 path=a\n'),
    badPax('pax record without a length', 'bundle_pax_malformed', 'path=a\n'),
    badPax('pax key twice', 'bundle_pax_malformed', record('path', 'a') + record('path', 'b')),
    badPax('two pax headers in a row', 'bundle_pax_malformed', '', { parts: [pax(record('path', 'a')), pax(record('path', 'b')), file('a', 'x')] }),
    badPax('pax header of no entry', 'bundle_pax_malformed', '', { parts: [pax(record('path', 'a'))] }),
    badPax('global pax header', 'bundle_pax_global', '', { parts: [pax(record('path', '../evil'), 'g'), file('a', 'x')] }),

    // The format.
    badHeader('header with a wrong checksum', 'bundle_header_checksum', { checksumOffset: 1 }),
    badHeader("header in GNU tar's own format", 'bundle_not_ustar', { magic: 'ustar  \0' }),
    { name: 'bytes hidden in the padding', code: 'bundle_padding_not_zero', listed: [listedFile('a', 'x')], parts: [header({ name: 'a', size: 1 }), padded('x', 0x41)], mayWrite: 1 },
    { name: 'directory with content', code: 'bundle_size_unexpected', listed: [listedDirectory('d')], parts: [directory('d', { size: 512 }), Buffer.alloc(512)] },

    // The archive against its list.
    { name: 'file with other bytes than listed', code: 'bundle_digest_differs', listed: [listedFile('a', 'x')], parts: [file('a', 'y')] },
    { name: 'large file with other bytes than listed', code: 'bundle_digest_differs', listed: [listedFile('a', large)], parts: [file('a', Buffer.alloc(large.length, 'LARGE'))], mayWrite: large.length },
    { name: 'empty file that is not listed as empty', code: 'bundle_digest_differs', listed: [listedFile('a', '', { sha256: sha256('x') })], parts: [file('a')] },
    { name: 'file of another size than listed', code: 'bundle_size_differs', listed: [listedFile('a', 'x')], parts: [file('a', 'xx')] },
    { name: 'file of another mode than listed', code: 'bundle_mode_differs', listed: [listedFile('a', 'x')], parts: [file('a', 'x', { mode: 0o755 })] },
    { name: 'link where a file is listed', code: 'bundle_type_differs', listed: [listedFile('a', 'x')], parts: [symlink('a', 'b')] },
    { name: 'directory where a file is listed', code: 'bundle_type_differs', listed: [listedFile('a', '')], parts: [directory('a')] },
    { name: 'file that is not listed', code: 'bundle_entry_not_listed', listed: [], parts: [file('evil', 'x')] },
    { name: 'listed file that is missing at the end', code: 'bundle_entry_missing', listed: [listedFile('a', 'x'), listedFile('b', 'y')], parts: [file('a', 'x')], mayWrite: 1 },
    { name: 'listed file that is missing in the middle', code: 'bundle_entry_missing', listed: [listedFile('a', 'x'), listedFile('b', 'y')], parts: [file('b', 'y')] },

    // The list and the manifest.
    { name: 'file list not first', code: 'bundle_list_missing', listed: [], tar: (block) => Buffer.concat([manifest, block, end]) },
    { name: 'no file list', code: 'bundle_list_missing', listed: [], tar: () => Buffer.concat([manifest, end]) },
    { name: 'only an end mark', code: 'bundle_list_missing', listed: [], tar: () => end },
    { name: 'file list that is a link', code: 'bundle_list_missing', listed: [], tar: () => Buffer.concat([symlink('fairlead.files.json', '/etc/passwd'), end]) },
    { name: 'file list that is not JSON', code: 'bundle_list_invalid', listed: '{"schema":1,"entries":[' },
    { name: 'file list of another schema', code: 'bundle_list_invalid', listed: '{"schema":2,"entries":[]}' },
    { name: 'file list with a field that is not known', code: 'bundle_list_invalid', listed: [listedFile('a', 'x', { owner: 'root' })] },
    { name: 'file list with a negative size', code: 'bundle_list_invalid', listed: [listedFile('a', 'x', { size: -1 })] },
    { name: 'file list with half a digest', code: 'bundle_list_invalid', listed: [listedFile('a', 'x', { sha256: 'abcd' })] },
    { name: 'file list with a device', code: 'bundle_list_invalid', listed: [{ path: 'a', type: 'device', mode: 0o644 }] },
    { name: 'file list that the publisher did not sign', code: 'bundle_list_digest_differs', listed: [listedFile('a', 'x')], parts: [file('a', 'x')], listDigest: sha256('another list') },
    { name: 'manifest missing', code: 'bundle_manifest_missing', listed: listText([listedFile('a', 'x')]), tar: (block) => Buffer.concat([block, file('a', 'x'), end]) },
    { name: 'manifest not first', code: 'bundle_manifest_missing', listed: listText([listedFile('a', 'x'), listedManifest]), tar: (block) => Buffer.concat([block, file('a', 'x'), manifest, end]) },
    { name: 'manifest of 2 MiB', code: 'bundle_manifest_too_big', listed: listText([listedFile('fairlead.yaml', '#'.repeat(2 ** 21))]), tar: (block) => Buffer.concat([block, file('fairlead.yaml', '#'.repeat(2 ** 21)), end]) },
    { name: 'manifest that is none', code: 'manifest_invalid', listed: listText([listedFile('fairlead.yaml', 'schema: 1\n')]), tar: (block) => Buffer.concat([block, file('fairlead.yaml', 'schema: 1\n'), end]), mayWrite: 10 },
    { name: 'manifest of another release', code: 'bundle_manifest_mismatch', listed: [], announced: { releaseId: 'r2' } },
    { name: 'file of another size than announced', code: 'artifact_size_differs', listed: [], announced: { sizeBytes: 1 } },
    { name: 'file of another digest than announced', code: 'artifact_digest_differs', listed: [], announced: { sha256: sha256('another file') } },
    { name: 'file of another format than announced', code: 'artifact_format_differs', listed: [], announced: { format: 'zst' } },
  ] satisfies Shape[] as Shape[]
).map(build);

/** Flips bits in the middle, behind the header. */
function damage(bytes: Buffer): Buffer {
  const damaged = Buffer.from(bytes);
  for (let index = 20; index < 28; index += 1) damaged[index] = (damaged[index] ?? 0) ^ 0xff;
  return damaged;
}
