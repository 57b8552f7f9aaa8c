import { asFairleadError } from '../../../domain/system-failure.ts';
import { callVariable, type AcmeAnswer, type AcmeCall } from './process-protocol.ts';
import { createAcmeSteps } from './steps.ts';

async function take({ step, given, directory, timeoutMs }: AcmeCall): Promise<AcmeAnswer> {
  try {
    const steps = createAcmeSteps({ directory, timeoutMs, now: Date.now });
    return { kind: 'done', result: await (steps[step] as (...values: readonly unknown[]) => Promise<unknown>)(...given) };
  } catch (error) {
    // Causes stay here: they may quote what was sent.
    const { reason, retryable } = asFairleadError(error, `ACME: ${step}`);
    return { kind: 'failed', reason, retryable };
  }
}

void take(JSON.parse(process.env[callVariable] ?? '') as AcmeCall).then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
