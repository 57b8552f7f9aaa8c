import { WorkflowUpdateRPCTimeoutOrCancelledError, type Connection } from '@temporalio/client';
import { FairleadError } from '../../domain/failure.ts';

const defaultLimitMs = 5_000;

/** Every call of the server has a limit, and an orchestrator that is away is named as what it is: `orchestrator_unavailable`. */
export const createAsk = (connection: Connection, address: string) =>
  async function ask<T>(call: () => Promise<T>, limitMs = defaultLimitMs): Promise<T> {
    try {
      return await connection.withDeadline(Date.now() + limitMs, call);
    } catch (error) {
      if (!isAway(error)) throw error;
      throw new FairleadError(
        {
          class: 'dependency',
          code: 'orchestrator_unavailable',
          message: `The Temporal server at ${address} did not answer within ${limitMs / 1000} s.`,
          hint: 'See that it runs and that FAIRLEAD_TEMPORAL_ADDRESS is right. Runs that are under way go on once it is back.',
        },
        { cause: error, retryable: true },
      );
    }
  };

function isAway(error: unknown): boolean {
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return true;
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (code === 14 || code === 4) return true; // UNAVAILABLE, DEADLINE_EXCEEDED (grpc/status)
  }
  return false;
}
