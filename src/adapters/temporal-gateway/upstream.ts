import { Client, Metadata, credentials, status, type ServiceError } from '@grpc/grpc-js';
import proto from '@temporalio/proto';
import { workflowServiceName, type AllowedMethod } from '../../domain/gateway/methods.ts';

/** A message of Temporal with its envelope. */
export const maxMessageBytes = 4 * 2 ** 20;
const longestReconnectMs = 5_000;

export interface UpstreamFailure {
  readonly code: number;
  readonly details: string;
  /** `grpc-status-details-bin`: what the server says beside the code. */
  readonly metadata: Metadata;
}

export type UpstreamAnswer = { readonly ok: true; readonly message: Buffer } | { readonly ok: false; readonly failure: UpstreamFailure };

/** Calls of the server as bytes. Nothing that the host sent along goes further: no header, and no credential. */
export function createUpstream(address: string, namespace: string) {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 15_000,
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': longestReconnectMs,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  const asIs = (message: Buffer): Buffer => message;

  /** @param cancelled ends the call at the server too */
  function call(method: AllowedMethod, message: Buffer, deadlineMs: number, cancelled?: AbortSignal): Promise<UpstreamAnswer> {
    const metadata = new Metadata();
    metadata.set('temporal-namespace', namespace);
    return new Promise((resolve) => {
      const made = client.makeUnaryRequest(`/${workflowServiceName}/${method}`, asIs, asIs, message, metadata, { deadline: deadlineMs }, (error, answer) => {
        cancelled?.removeEventListener('abort', onCancel);
        if (error) resolve({ ok: false, failure: failureOf(error) });
        else resolve({ ok: true, message: answer as Buffer });
      });
      const onCancel = () => made.cancel();
      if (cancelled?.aborted) onCancel();
      else cancelled?.addEventListener('abort', onCancel, { once: true });
    });
  }

  return {
    call,
    /** Gives a task back whose host may not have it any more, so that its run need not wait for a time limit. */
    async giveBack(taskToken: Uint8Array, why: string): Promise<void> {
      const { RespondActivityTaskFailedRequest } = proto.temporal.api.workflowservice.v1;
      const failure = { message: why, applicationFailureInfo: { type: 'host_key_refused', nonRetryable: false } };
      const request = RespondActivityTaskFailedRequest.encode({ namespace, taskToken, identity: 'gateway', failure }).finish();
      await call('RespondActivityTaskFailed', Buffer.from(request), Date.now() + 10_000);
    },
    close: () => client.close(),
  };
}
export type Upstream = ReturnType<typeof createUpstream>;

/** What the server says of the call is the host's to know. Where it lies, and whether it takes this gateway's own credentials, is not. */
function failureOf(error: ServiceError): UpstreamFailure {
  const metadata = new Metadata();
  if (error.code === status.UNAVAILABLE) return { code: status.UNAVAILABLE, details: 'The orchestrator is away.', metadata };
  if (error.code === status.UNAUTHENTICATED || error.code === status.PERMISSION_DENIED) return { code: status.UNAVAILABLE, details: 'The orchestrator refuses the gateway itself.', metadata };
  for (const value of error.metadata?.get('grpc-status-details-bin') ?? []) metadata.add('grpc-status-details-bin', value);
  return { code: error.code, details: error.details, metadata };
}
