import { ApplicationFailure } from '@temporalio/common';
import type { FairleadError } from '../../domain/failure.ts';

/** Histories are kept and shown: what a failure carries stays well below the server's 2 MB, and readable. */
const maxEvidence = 12;

/** A failure as Temporal keeps it: the code is its type, the reason and the evidence are its details. */
export function toApplicationFailure(error: FairleadError, attempt: number): ApplicationFailure {
  return ApplicationFailure.create({
    message: error.reason.message,
    type: error.reason.code,
    nonRetryable: !error.retryable,
    details: [{ reason: error.reason, evidence: error.evidence.slice(0, maxEvidence), attempt }],
  });
}
