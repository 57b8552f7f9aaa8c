import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { BundleFormat } from '../../domain/bundle/artifact.ts';
import { refuseBundle } from '../../domain/bundle/refusal.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { Sha256 } from '../../domain/ids.ts';
import { errnoOf } from '../files/durable.ts';

const readBytes = 1024 * 1024;
/** Small enough to stay in a processor's cache between inflating and copying. */
const inflatedChunkBytes = 256 * 1024;
/** A small bundle of like files can shrink more than any large one, and so few bytes harm no host: up to here the ratio is not asked. */
export const ratioFloorBytes = 16 * 2 ** 20;

export interface Inflated {
  readonly format: BundleFormat;
  readonly sizeBytes: number;
  readonly sha256: Sha256;
}

export interface InflateOptions {
  readonly maxRatio: number;
  /** Compressed bytes read so far, and of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly cancel?: AbortSignal;
}

/**
 * Reads a compressed file once: hashes it as it lies there, and hands its inflated bytes to `take`, which may make it wait. The format is
 * told by the first bytes (RFC 1952, RFC 8878), not by the name. Refuses a file that inflates beyond the ratio, at the chunk that goes
 * beyond it, and one with anything behind its compressed data.
 */
export async function inflateFile(file: string, options: InflateOptions, take: (chunk: Buffer) => void | Promise<void>): Promise<Inflated> {
  const { cancel, maxRatio } = options;
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = await handle.stat();
    const format = await sniff(handle, file);
    // The read-ahead lets the inflating thread go on while a chunk is taken; the types do not know that both kinds are Transform streams.
    const settings = { chunkSize: inflatedChunkBytes, readableHighWaterMark: 16 * inflatedChunkBytes };
    const inflate = format === 'gz' ? createGunzip(settings) : createZstdDecompress(settings);
    const mostBytes = Math.max(ratioFloorBytes, size * maxRatio);
    let inflated = 0;
    const feeding = feed(handle, size, inflate, options);
    feeding.catch((error: unknown) => inflate.destroy(error as Error));
    try {
      for await (const chunk of inflate as AsyncIterable<Buffer>) {
        if (cancel?.aborted) throw cancelled();
        inflated += chunk.length;
        if (inflated > mostBytes) throw refuseBundle('bundle_ratio_exceeded', `The bundle inflates to more than ${maxRatio} times its size.`);
        await take(chunk);
      }
      // Asked first: a decompressor that saw its end never answers a write of more.
      if (inflate.bytesWritten !== size) throw refuseBundle('bundle_trailing_data', `${size - inflate.bytesWritten} bytes stand behind the compressed data of the bundle.`);
      return { format, sizeBytes: size, sha256: await feeding };
    } catch (error) {
      inflate.destroy();
      await feeding.catch(() => {});
      throw explain(error);
    }
  } finally {
    await handle.close();
  }
}

/** Reads, hashes and passes on the compressed file; the next piece is read while the last one is inflated. Resolves to its digest. */
async function feed(handle: FileHandle, size: number, inflate: Writable, { onProgress, cancel }: InflateOptions): Promise<Sha256> {
  const digest = createHash('sha256');
  let current = Buffer.allocUnsafe(readBytes);
  let other = Buffer.allocUnsafe(readBytes);
  let position = 0;
  let reading = handle.read(current, 0, readBytes, 0);
  for (;;) {
    const { bytesRead } = await reading;
    if (cancel?.aborted) throw cancelled();
    if (bytesRead === 0) break;
    const piece = current.subarray(0, bytesRead);
    [current, other] = [other, current];
    position += bytesRead;
    reading = handle.read(current, 0, readBytes, position);
    digest.update(piece);
    onProgress?.(position, size);
    try {
      await write(inflate, piece);
    } catch (error) {
      await reading;
      throw error;
    }
  }
  inflate.end();
  return digest.digest('hex') as Sha256;
}

/** Resolves once the piece was inflated, so that its buffer can be used again; also where the stream stopped wanting any. */
function write(stream: Writable, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = (): void => reject(stream.errored ?? new Error('The stream was closed.'));
    if (stream.destroyed) return closed();
    stream.once('close', closed);
    stream.write(piece, (error) => {
      stream.removeListener('close', closed);
      if (error) reject(error);
      else resolve();
    });
  });
}

/** The caller gave up; nobody is to blame. */
export function cancelled(cause?: unknown): FairleadError {
  return new FairleadError({ class: 'request', code: 'cancelled', message: 'Reading the bundle was cancelled.' }, { cause });
}

async function sniff(handle: FileHandle, file: string): Promise<BundleFormat> {
  const first = Buffer.alloc(4);
  await handle.read(first, 0, 4, 0);
  if (first[0] === 0x1f && first[1] === 0x8b) return 'gz';
  if (first.readUInt32LE(0) === 0xfd2fb528) return 'zst';
  throw refuseBundle('bundle_format_unknown', `${file} is neither gzip nor zstd.`, 'A bundle is a .tar.gz or .tar.zst that `fairlead bundle create` made.');
}

function explain(error: unknown): unknown {
  const code = errnoOf(error);
  if (error instanceof FairleadError || code === undefined) return error;
  const message = String((error as { message?: unknown }).message);
  if (code === 'Z_BUF_ERROR') return refuseBundle('bundle_truncated', 'The compressed data of the bundle ends too early.', 'Download the bundle again; if it stays so, build it again.');
  // The first header was looked at before, so a wrong one stands behind the data.
  if (message === 'incorrect header check') return refuseBundle('bundle_trailing_data', 'Bytes that are not gzip stand behind the compressed data of the bundle.');
  if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code)) return refuseBundle('bundle_compression_invalid', `The compressed data of the bundle is damaged: ${message}.`, 'Download the bundle again; if it stays so, build it again.');
  return error;
}
