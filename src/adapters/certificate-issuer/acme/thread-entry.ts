import { parentPort, workerData } from 'node:worker_threads';
import { asFairleadError } from '../../../domain/system-failure.ts';
import { createAcmeSteps } from './steps.ts';
import type { AcmeThreadData, FromAcmeThread } from './thread-protocol.ts';

const { step, given, directory, timeoutMs } = workerData as AcmeThreadData;
const steps = createAcmeSteps({ directory, timeoutMs, now: Date.now });

async function take(): Promise<FromAcmeThread> {
  try {
    return { kind: 'done', result: await (steps[step] as (...values: readonly unknown[]) => Promise<unknown>)(...given) };
  } catch (error) {
    // Causes stay here: they may quote what was sent.
    const { reason, retryable } = asFairleadError(error, `ACME: ${step}`);
    return { kind: 'failed', reason, retryable };
  }
}

void take().then((answer) => parentPort?.postMessage(answer));
