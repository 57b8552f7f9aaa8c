import { isGrpcServiceError, WorkflowUpdateRPCTimeoutOrCancelledError, type Connection } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { FairleadError } from '../../domain/failure.ts';

const defaultLimitMs = 5_000;

/** Codes of a gRPC status (grpc/status.md) by which a server tells of its own state, and not of what it was asked. */
const grpc = { cancelled: 1, unknown: 2, deadlineExceeded: 4, permissionDenied: 7, resourceExhausted: 8, aborted: 10, internal: 13, unavailable: 14, unauthenticated: 16 } as const;
const mistakes: readonly number[] = [grpc.cancelled, grpc.unknown, grpc.aborted, grpc.internal];

/**
 * Every call of the server has a limit, and what fails by the server's own state is named as that: `orchestrator_unavailable` where it is away or too
 * slow, `orchestrator_busy` where it limits, `orchestrator_failed`, `orchestrator_refused`, `orchestrator_namespace_unknown`. What it says of the
 * request goes through as it is.
 */
export const createAsk = (connection: Connection, address: string) =>
  async function ask<T>(call: () => Promise<T>, limitMs = defaultLimitMs): Promise<T> {
    try {
      return await connection.withDeadline(Date.now() + limitMs, call);
    } catch (error) {
      throw serverFailure(error, address, limitMs) ?? error;
    }
  };

/** The failure of the server at `address`, asked for `limitMs` milliseconds, or null where `error` is about the request. */
export function serverFailure(error: unknown, address: string, limitMs: number): FairleadError | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof NamespaceNotFoundError) {
      return new FairleadError(
        {
          class: 'dependency',
          code: 'orchestrator_namespace_unknown',
          message: `The Temporal server at ${address} does not know the namespace ${at.namespace}.`,
          hint: 'See that FAIRLEAD_TEMPORAL_NAMESPACE is right: temporal operator namespace list. A server that has just started, or is overloaded, says so as well: then ask again.',
        },
        { cause: error, retryable: true },
      );
    }
    const code = at instanceof WorkflowUpdateRPCTimeoutOrCancelledError ? grpc.deadlineExceeded : isGrpcServiceError(at) ? at.code : null;
    const said = isGrpcServiceError(at) ? at.details : at.message;
    if (code === grpc.unavailable || code === grpc.deadlineExceeded) {
      return new FairleadError(
        {
          class: 'dependency',
          code: 'orchestrator_unavailable',
          message: `The Temporal server at ${address} did not answer within ${limitMs / 1000} s.`,
          hint: 'See that it runs and that FAIRLEAD_TEMPORAL_ADDRESS is right. Runs that are under way go on once it is back.',
        },
        { cause: error, retryable: true },
      );
    }
    if (code === grpc.resourceExhausted) {
      return new FairleadError(
        { class: 'dependency', code: 'orchestrator_busy', message: `The Temporal server at ${address} takes no more for now: ${said}`, hint: 'Ask again in some seconds. Where it stays so, raise the limit that is named: deploy/temporal/dynamic-config.yaml.' },
        { cause: error, retryable: true },
      );
    }
    if (code === grpc.permissionDenied || code === grpc.unauthenticated) {
      return new FairleadError(
        { class: 'dependency', code: 'orchestrator_refused', message: `The Temporal server at ${address} refuses Fairlead: ${said}`, hint: 'See that its certificate or key is the one that the server knows, and that it may use the namespace.' },
        { cause: error },
      );
    }
    if (code !== null && mistakes.includes(code)) {
      return new FairleadError(
        { class: 'dependency', code: 'orchestrator_failed', message: `The Temporal server at ${address} failed: ${said}`, hint: 'Its log says why; often its database is away or slow. Ask again.' },
        { cause: error, retryable: true },
      );
    }
  }
  return null;
}
