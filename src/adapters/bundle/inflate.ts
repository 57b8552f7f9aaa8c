import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { BundleFormat } from '../../domain/bundle/artifact.ts';
import { refuseBundle } from '../../domain/bundle/refusal.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { Sha256 } from '../../domain/ids.ts';
import { errnoOf } from '../files/durable.ts';

const readBytes = 256 * 1024;
const inflatedChunkBytes = 512 * 1024;
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
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = await handle.stat();
    const format = await sniff(handle, file);
    const inflate = format === 'gz' ? createGunzip({ chunkSize: inflatedChunkBytes }) : createZstdDecompress({ chunkSize: inflatedChunkBytes });
    const digest = createHash('sha256');
    const mostBytes = Math.max(ratioFloorBytes, size * options.maxRatio);
    let read = 0;
    let inflated = 0;
    const compressed = handle.createReadStream({ start: 0, highWaterMark: readBytes, autoClose: false });
    // What `take` refuses is the cause; the streams that it tears down only tell of the consequences.
    let refusal: unknown;
    try {
      await pipeline(
        compressed,
        async function* hashCompressed(source: AsyncIterable<Buffer>) {
          for await (const chunk of source) {
            digest.update(chunk);
            read += chunk.length;
            yield chunk;
            options.onProgress?.(read, size);
          }
        },
        inflate,
        async (source: AsyncIterable<Buffer>) => {
          try {
            for await (const chunk of source) {
              inflated += chunk.length;
              if (inflated > mostBytes) throw refuseBundle('bundle_ratio_exceeded', `The bundle inflates to more than ${options.maxRatio} times its size.`);
              await take(chunk);
            }
          } catch (error) {
            refusal ??= error;
            throw error;
          }
        },
        ...(options.cancel ? [{ signal: options.cancel }] : []),
      );
    } catch (error) {
      if (options.cancel?.aborted) throw cancelled(error);
      throw explain(refusal instanceof FairleadError ? refusal : error, inflated);
    }
    if (inflate.bytesWritten !== size) throw refuseBundle('bundle_trailing_data', `${size - inflate.bytesWritten} bytes stand behind the compressed data of the bundle.`);
    return { format, sizeBytes: size, sha256: digest.digest('hex') as Sha256 };
  } finally {
    await handle.close();
  }
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

function explain(error: unknown, inflated: number): unknown {
  const code = errnoOf(error);
  if (error instanceof FairleadError || code === undefined) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (code === 'Z_BUF_ERROR') return refuseBundle('bundle_truncated', 'The compressed data of the bundle ends too early.', 'Download the bundle again; if it stays so, build it again.');
  // The first header was right, so a wrong one stands behind the data.
  if (inflated > 0 && message === 'incorrect header check') return refuseBundle('bundle_trailing_data', 'Bytes that are not gzip stand behind the compressed data of the bundle.');
  if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code)) return refuseBundle('bundle_compression_invalid', `The compressed data of the bundle is damaged: ${message}.`, 'Download the bundle again; if it stays so, build it again.');
  return error;
}
