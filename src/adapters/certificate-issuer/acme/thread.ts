import { Worker } from 'node:worker_threads';
import { brotliDecompressSync } from 'node:zlib';
import { FairleadError } from '../../../domain/failure.ts';
import type { AcmeSteps } from './steps.ts';
import type { AcmeThreadData, FromAcmeThread } from './thread-protocol.ts';
import { acmeThreadText } from './thread-text.ts';

/** For all requests of one step, rejected nonces included. */
const stepLimitMs = 300_000;

/**
 * Takes each step in a thread that lives for that step alone: what ACME needs (some ten megabytes) is in the agent's memory only while it is used. A
 * thread and not a process, so that no step outlives an agent that was killed: it could go on beside its own repetition.
 */
export function createAcmeThreads({ directory, timeoutMs }: { readonly directory: string; readonly timeoutMs: number }): AcmeSteps {
  const take = (step: keyof AcmeSteps, given: readonly unknown[]): Promise<never> => inThread({ fairlead: 'acme', step, given, directory, timeoutMs }) as Promise<never>;
  return {
    renewalInformation: (...given) => take('renewalInformation', given),
    order: (...given) => take('order', given),
    challenges: (...given) => take('challenges', given),
    answer: (...given) => take('answer', given),
    poll: (...given) => take('poll', given),
    finalize: (...given) => take('finalize', given),
    download: (...given) => take('download', given),
  };
}

async function inThread(data: AcmeThreadData): Promise<unknown> {
  const options = { workerData: data, execArgv: [], name: 'acme' };
  const worker =
    acmeThreadText === null ? new Worker(new URL('./thread-entry.ts', import.meta.url), options) : new Worker(brotliDecompressSync(Buffer.from(acmeThreadText, 'base64')).toString('utf8'), { ...options, eval: true });
  const broken = (why: string, cause?: unknown): FairleadError => new FairleadError({ class: 'host', code: 'acme_thread_failed', message: `The thread that talks to the CA ${why} (${data.step}).` }, { cause, retryable: true });
  let limit: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<FromAcmeThread>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', (error) => reject(broken('broke down', error)));
      worker.once('exit', () => reject(broken('ended before it was done')));
      limit = setTimeout(() => reject(broken(`was ended at its limit of ${stepLimitMs} ms`)), stepLimitMs);
    });
    if (answer.kind === 'done') return answer.result;
    throw new FairleadError(answer.reason, { retryable: answer.retryable });
  } finally {
    clearTimeout(limit);
    await worker.terminate();
  }
}
