import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { BundleFormat } from '../../domain/bundle/artifact.ts';

/** Chosen once: another level is another digest. gzip's header has no time and no name (RFC 1952); zstd frames carry a checksum (RFC 8878). */
const gzipLevel = 6;
const zstdLevel = 9;

/** The compressor is fed in pieces of this size, so that its output does not depend on how the disk was read. */
const pieceBytes = 1024 * 1024;

/** Compresses a stream into one gzip member or one zstd frame. The same bytes in give the same bytes out, with the same zlib and zstd. */
export async function* compress(format: BundleFormat, source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const stream = format === 'gz' ? createGzip({ level: gzipLevel }) : createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 } });
  const write = (piece: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      stream.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  // Every write is waited for before the end is told. Node ends a zstd frame with the last piece where that is still waiting at the end, and
  // then once more: whether an empty second frame follows would be a matter of timing.
  const feeding = (async () => {
    for await (const piece of inPieces(source)) await write(piece);
    stream.end();
  })();
  feeding.catch((error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))));
  for await (const chunk of stream as AsyncIterable<Buffer>) yield chunk;
  await feeding;
}

/** The same bytes in pieces of one size, but for the last. */
async function* inPieces(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let piece = Buffer.allocUnsafe(pieceBytes);
  let filled = 0;
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; ) {
      const taken = chunk.copy(piece, filled, offset);
      filled += taken;
      offset += taken;
      if (filled < pieceBytes) continue;
      yield piece;
      piece = Buffer.allocUnsafe(pieceBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
