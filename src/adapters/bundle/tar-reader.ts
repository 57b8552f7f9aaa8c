import { refuseBundle, shownPath } from '../../domain/bundle/refusal.ts';
import { maxPaxBytes, parsePax, type PaxRecords } from './pax.ts';
import { blockBytes, parseTarHeader, type TarEntryType, type TarHeader } from './tar-header.ts';

/** An entry as it is meant, with its pax header applied. */
export interface TarEntry {
  readonly path: string;
  readonly type: TarEntryType;
  readonly mode: number;
  readonly size: number;
  readonly target: string;
}

/** Who is told what the archive holds. Whatever it throws ends the reading. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** The next bytes of the last entry. The view is valid during the call only. */
  data(bytes: Uint8Array): void;
  /** All bytes of the last entry were given. */
  entryEnd(): void;
}

/** What follows the two end blocks to fill tar's record of 20 blocks; more is not padding. */
const maxEndBytes = 20 * blockBytes;
const largestUstarSize = 0o77777777777;

/**
 * Reads a tar archive that is pushed in pieces of any size. Strict: whatever is not plain ustar with the pax keys path, linkpath and size
 * is refused, never skipped, because another program could read it otherwise. Holds one header or pax header at a time, nothing more.
 */
export class TarReader {
  readonly #handler: TarHandler;
  readonly #block = new Uint8Array(blockBytes);
  #filled = 0;
  #state: 'header' | 'pax' | 'data' | 'padding' | 'end' = 'header';
  #remaining = 0;
  #padding = 0;
  #pax: PaxRecords | null = null;
  #paxBytes = new Uint8Array(0);
  #zeroBlocks = 0;
  #endBytes = 0;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      switch (this.#state) {
        case 'header':
          offset += this.#pushHeader(chunk, offset);
          break;
        case 'pax':
        case 'data':
          offset += this.#pushData(chunk, offset);
          break;
        case 'padding':
          offset += this.#pushPadding(chunk, offset);
          break;
        case 'end':
          this.#pushEnd(chunk.subarray(offset));
          return;
      }
    }
  }

  /** The archive has no more bytes. Refuses one that was cut. */
  end(): void {
    if (this.#state !== 'end') throw refuseBundle('bundle_truncated', 'The archive ends before its end mark.', 'Download the bundle again; if it stays so, build it again.');
  }

  #pushHeader(chunk: Uint8Array, offset: number): number {
    const available = chunk.length - offset;
    if (this.#filled === 0 && available >= blockBytes) {
      this.#readHeader(chunk.subarray(offset, offset + blockBytes));
      return blockBytes;
    }
    const taken = Math.min(available, blockBytes - this.#filled);
    this.#block.set(chunk.subarray(offset, offset + taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === blockBytes) {
      this.#filled = 0;
      this.#readHeader(this.#block);
    }
    return taken;
  }

  #readHeader(block: Uint8Array): void {
    if (block[0] === 0 && block.every((byte) => byte === 0)) {
      if (this.#pax !== null) throw refuseBundle('bundle_pax_malformed', 'The archive ends after a pax header that belongs to no entry.');
      this.#zeroBlocks += 1;
      if (this.#zeroBlocks === 2) this.#state = 'end';
      return;
    }
    if (this.#zeroBlocks > 0) throw refuseBundle('bundle_trailing_data', 'The archive goes on after its end mark.');
    const header = parseTarHeader(block);
    if (header.type === 'pax') this.#startPax(header);
    else this.#startEntry(applyPax({ ...header, type: header.type }, this.#pax));
  }

  #startPax(header: TarHeader): void {
    if (this.#pax !== null) throw refuseBundle('bundle_pax_malformed', 'The archive has two pax headers for one entry.');
    if (header.size === 0 || header.size > maxPaxBytes) throw refuseBundle('bundle_pax_malformed', `A pax header has ${header.size} bytes; allowed are 1 to ${maxPaxBytes}.`);
    this.#paxBytes = new Uint8Array(header.size);
    this.#expect('pax', header.size);
  }

  #startEntry(entry: TarEntry): void {
    this.#pax = null;
    if (entry.type !== 'file' && entry.size !== 0) throw refuseBundle('bundle_size_unexpected', `${shownPath(entry.path)} is no file and announces ${entry.size} bytes.`);
    this.#handler.entry(entry);
    this.#expect('data', entry.size);
    if (entry.size === 0) this.#finish('data');
  }

  #expect(state: 'pax' | 'data', size: number): void {
    this.#state = state;
    this.#remaining = size;
    this.#padding = (blockBytes - (size % blockBytes)) % blockBytes;
  }

  #pushData(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(chunk.length - offset, this.#remaining);
    const bytes = chunk.subarray(offset, offset + taken);
    if (this.#state === 'pax') this.#paxBytes.set(bytes, this.#paxBytes.length - this.#remaining);
    else this.#handler.data(bytes);
    this.#remaining -= taken;
    if (this.#remaining === 0) this.#finish(this.#state === 'pax' ? 'pax' : 'data');
    return taken;
  }

  #finish(state: 'pax' | 'data'): void {
    if (state === 'pax') this.#pax = parsePax(this.#paxBytes);
    else this.#handler.entryEnd();
    this.#state = this.#padding > 0 ? 'padding' : 'header';
  }

  #pushPadding(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(chunk.length - offset, this.#padding);
    for (let index = offset; index < offset + taken; index += 1) {
      if (chunk[index] !== 0) throw refuseBundle('bundle_padding_not_zero', 'The archive hides bytes in the padding behind a file.');
    }
    this.#padding -= taken;
    if (this.#padding === 0) this.#state = 'header';
    return taken;
  }

  #pushEnd(bytes: Uint8Array): void {
    this.#endBytes += bytes.length;
    if (this.#endBytes > maxEndBytes || !bytes.every((byte) => byte === 0)) throw refuseBundle('bundle_trailing_data', 'The archive goes on after its end mark.');
  }
}

function applyPax(header: TarEntry, pax: PaxRecords | null): TarEntry {
  const size = pax?.size ?? header.size;
  // A size that two places tell differently is how one archive is made to look like two.
  if (size !== header.size && size <= largestUstarSize) {
    throw refuseBundle('bundle_pax_conflict', `The size of ${shownPath(pax?.path ?? header.path)} is ${header.size} in its header and ${size} in its pax header.`);
  }
  if (pax?.linkpath !== undefined && header.type !== 'symlink') throw refuseBundle('bundle_pax_conflict', `${shownPath(pax.path ?? header.path)} has a link target and is no link.`);
  const path = pax?.path ?? header.path;
  return {
    // Tar writes a directory with a slash at its end.
    path: header.type === 'directory' && path.endsWith('/') ? path.slice(0, -1) : path,
    type: header.type,
    mode: header.mode,
    size,
    target: pax?.linkpath ?? header.target,
  };
}
