import type { Reason } from '../../../domain/failure.ts';
import type { AcmeSteps } from './steps.ts';

/** In the environment: what the process is to do (`AcmeCall`, JSON). No secret is part of it. */
export const callVariable = 'FAIRLEAD_ACME_CALL';

export interface AcmeCall {
  readonly step: keyof AcmeSteps;
  readonly given: readonly unknown[];
  readonly directory: string;
  /** For one request to the CA. */
  readonly timeoutMs: number;
}

/** The last line of the process's output. */
export type AcmeAnswer = { readonly kind: 'done'; readonly result: unknown } | { readonly kind: 'failed'; readonly reason: Reason; readonly retryable: boolean };
