import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { FairleadError } from '../../domain/failure.ts';
import { errnoOf } from '../files/durable.ts';
import { BundleReader } from './bundle-reader.ts';
import { createDirectorySink } from './directory-sink.ts';
import type { ExtractWorkerData, FromExtractWorker, ToExtractWorker } from './extract-protocol.ts';

/**
 * Where the thread of an extraction starts. Run from sources, that is the small entry file beside this one; bundled into one file by
 * esbuild, it is that file itself, whose entry point calls `runIfExtractWorker()` before anything else.
 */
export function extractWorkerUrl(): URL {
  const here = new URL(import.meta.url);
  return here.pathname.endsWith('/extract-worker.ts') ? new URL('./extract-worker-entry.ts', here) : here;
}

/**
 * Every entry point that is bundled with the extraction calls this first, and does nothing else where it answers true:
 * `if (!runIfExtractWorker()) await import('./agent.ts')`. The dynamic import keeps the thread from loading the rest.
 */
export function runIfExtractWorker(): boolean {
  const data = workerData as Partial<ExtractWorkerData> | null;
  if (isMainThread || parentPort === null || data?.fairlead !== 'extract') return false;
  const port = parentPort;
  const { directory, limits, fileListSha256, umask } = data as ExtractWorkerData;
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
  return true;
}
