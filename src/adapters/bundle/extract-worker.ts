import { parentPort, workerData } from 'node:worker_threads';
import { FairleadError } from '../../domain/failure.ts';
import { errnoOf } from '../files/durable.ts';
import { BundleReader } from './bundle-reader.ts';
import { createDirectorySink } from './directory-sink.ts';
import type { ExtractWorkerData, FromExtractWorker, ToExtractWorker } from './extract-protocol.ts';

/** The program of the extraction's thread: takes chunks of the bundle, and tells what it wrote or refused. */
export function runExtractWorker(): void {
  if (parentPort === null) throw new Error('this program runs as a thread of the extraction, never by itself');
  const port = parentPort;
  const { directory, limits, fileListSha256, umask } = workerData as ExtractWorkerData;
  const tell = (message: FromExtractWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  const sink = createDirectorySink(directory, umask);
  const reader = new BundleReader(sink, limits, fileListSha256);

  port.on('message', (message: ToExtractWorker) => {
    try {
      if (message.kind === 'chunk') {
        reader.push(new Uint8Array(message.buffer, 0, message.length));
        tell({ kind: 'buffer', buffer: message.buffer }, [message.buffer]);
        return;
      }
      const { fileList, fileListText, manifestText } = reader.end();
      sink.finish();
      tell({ kind: 'done', files: fileList.files, bytes: fileList.bytes, fileListText, manifestText });
    } catch (error) {
      if (error instanceof FairleadError) tell({ kind: 'refused', reason: error.reason });
      else tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error), errno: errnoOf(error) ?? null });
    }
    port.close();
  });
}
