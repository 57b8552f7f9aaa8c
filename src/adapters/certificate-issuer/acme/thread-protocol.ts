import type { Reason } from '../../../domain/failure.ts';
import type { AcmeSteps } from './steps.ts';

/** What the thread is started with: one step, its arguments, and where the files are. No secret is among them. */
export interface AcmeThreadData {
  readonly fairlead: 'acme';
  readonly step: keyof AcmeSteps;
  readonly given: readonly unknown[];
  readonly directory: string;
  readonly timeoutMs: number;
}

export type FromAcmeThread = { readonly kind: 'done'; readonly result: unknown } | { readonly kind: 'failed'; readonly reason: Reason; readonly retryable: boolean };
