import { Worker } from 'node:worker_threads';
import { FairleadError } from '../../domain/failure.ts';
import type { ExtractWorkerData, FromExtractWorker, ToExtractWorker } from './extract-protocol.ts';
import { extractWorkerSource } from './extract-worker-source.ts';

const bufferBytes = 1024 * 1024;
/** All that is ever under way between the two threads; enough to go on inflating while the thread starts. */
const bufferCount = 16;

export type Unpacked = Extract<FromExtractWorker, { kind: 'done' }>;

/**
 * The thread that parses, checks, hashes and writes, as something to push bytes to. A fixed set of buffers travels to it and back; where
 * none is free, `push` waits, so memory stays bounded however slow the disk is.
 */
export class ExtractThread {
  readonly #worker: Worker;
  readonly #free: ArrayBuffer[] = Array.from({ length: bufferCount }, () => new ArrayBuffer(bufferBytes));
  #filling: ArrayBuffer | null = null;
  #filled = 0;
  #wake: (() => void) | null = null;
  #failure: unknown = null;
  #done: Unpacked | null = null;

  constructor(data: ExtractWorkerData) {
    const options = { workerData: data, execArgv: [], name: 'extract' };
    this.#worker = extractWorkerSource === null ? new Worker(new URL('./extract-worker-entry.ts', import.meta.url), options) : new Worker(extractWorkerSource, { ...options, eval: true });
    this.#worker.on('message', (message: FromExtractWorker) => this.#receive(message));
    this.#worker.on('error', (error) => this.#fail(new FairleadError({ class: 'host', code: 'extract_failed', message: 'The thread that unpacks the bundle broke down.' }, { cause: error, retryable: true })));
    this.#worker.on('exit', () => {
      if (this.#done === null) this.#fail(new FairleadError({ class: 'host', code: 'extract_failed', message: 'The thread that unpacks the bundle ended before it was done.' }, { retryable: true }));
    });
  }

  /** Takes a copy of the bytes. Throws what the thread refused, at the next call after it did. */
  async push(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#filling === null) {
        const buffer = this.#free.pop();
        if (buffer === undefined) {
          await this.#wait();
          continue;
        }
        this.#filling = buffer;
        this.#filled = 0;
      }
      const taken = Math.min(bytes.length - offset, bufferBytes - this.#filled);
      new Uint8Array(this.#filling, this.#filled, taken).set(bytes.subarray(offset, offset + taken));
      this.#filled += taken;
      offset += taken;
      if (this.#filled === bufferBytes) this.#flush();
    }
  }

  /** The stream has ended: resolves when everything was checked and written. */
  async end(): Promise<Unpacked> {
    if (this.#filling !== null) this.#flush();
    this.#post({ kind: 'end' });
    while (this.#done === null) {
      if (this.#failure !== null) throw this.#failure;
      await this.#wait();
    }
    return this.#done;
  }

  /** The first thing that went wrong in the thread; null while nothing did. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Ends the thread wherever it is. After this it writes no more. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #flush(): void {
    if (this.#filling === null) return;
    const buffer = this.#filling;
    this.#filling = null;
    this.#post({ kind: 'chunk', buffer, length: this.#filled }, [buffer]);
  }

  #post(message: ToExtractWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: FromExtractWorker): void {
    if (message.kind === 'buffer') this.#free.push(message.buffer);
    else if (message.kind === 'done') this.#done = message;
    else if (message.kind === 'refused') this.#fail(new FairleadError(message.reason));
    else this.#fail(writeError(message.message, message.errno));
    this.#wakeUp();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wakeUp();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}

/** The disk's own faults are the host's, never the release's. */
function writeError(message: string, errno: string | null): FairleadError {
  const full = errno === 'ENOSPC' || errno === 'EDQUOT';
  return new FairleadError(
    {
      class: 'host',
      code: full ? 'disk_full' : 'extract_failed',
      message: `The bundle could not be unpacked: ${message}`,
      hint: full ? 'Make room on the host and try again; nothing of the release was left behind.' : 'Look at the file system that holds the releases, then try again.',
    },
    // Room does not come by itself within the seconds that an attempt is repeated for.
    { retryable: !full },
  );
}
