import { Server, ServerInterceptingCall, ServerListenerBuilder, status, type Metadata, type ServerInterceptor, type UntypedHandleCall, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { allowedMethodOf } from '../../domain/gateway/methods.ts';
import type { RefusalCode } from '../../domain/gateway/policy.ts';
import type { HostId } from '../../domain/ids.ts';
import type { HostIdentities } from '../../ports/host-identities.ts';
import type { Refusals } from './refusals.ts';
import { maxMessageBytes } from './upstream.ts';

/** A call that may go on to the policy of its fields. */
export interface AdmittedCall {
  readonly path: string;
  readonly host: HostId;
  readonly keyText: string;
  readonly peer: string;
  readonly message: Buffer;
  /** When the host gives up waiting; ms since the epoch, or infinity. */
  readonly deadlineMs: number;
  /** Aborted when nobody waits for the answer any more: the host is gone, gave up, or its deadline is over. */
  readonly gone: AbortSignal;
}
export type CallAnswer = { readonly message: Buffer } | { readonly code: number; readonly details: string; readonly metadata?: Metadata };

interface Options {
  readonly identities: HostIdentities;
  readonly refusals: Refusals;
  readonly handle: (call: AdmittedCall) => Promise<CallAnswer>;
}

/** What a host is told: the same words for a method that is refused and one that does not exist. */
export const refusalText: Readonly<Record<RefusalCode, string>> = {
  key_missing: 'The call has no key: send it as "authorization: Bearer fl_agent_…".',
  key_refused: 'The key is not known, has expired, was revoked, or is no key of a host.',
  method_not_allowed: 'Hosts may not call this.',
  message_malformed: 'The message cannot be read.',
  field_not_allowed: 'The message has a field that hosts may not set.',
  namespace_not_allowed: 'Hosts have one namespace, and this is not it.',
  queue_not_allowed: 'A host has its own task queue and no other.',
  identity_not_allowed: "The poller's identity has to name its own host.",
  task_token_refused: 'This task was not given to this host, or is too old.',
  too_many_polls: 'The host has too many polls open.',
  too_many_calls: 'The host has too many calls under way.',
};

const asIs = (message: Buffer): Buffer => message;

/**
 * A gRPC server of unary calls as bytes, which looks at who calls and what for before it reads a message. There is no list of methods: every name that anybody
 * calls comes here, and is refused in the same way unless it is one of the few.
 */
export function createGatewayServer({ identities, refusals, handle }: Options): Server {
  const admitted = new WeakMap<Metadata, { readonly host: HostId; readonly keyText: string }>();

  const admission: ServerInterceptor = (definition, call) => {
    const refuse = (code: RefusalCode, host: HostId | null, grpcCode: status): void => {
      refusals.note({ path: definition.path, code, host, peer: call.getPeer() });
      call.sendStatus({ code: grpcCode, details: refusalText[code] });
    };
    const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, next) => {
      const keyText = bearerOf(metadata);
      if (keyText === null) return refuse('key_missing', null, status.UNAUTHENTICATED);
      identities.identify(keyText).then(
        (identity) => {
          if (identity === null) return refuse('key_refused', null, status.UNAUTHENTICATED);
          if (allowedMethodOf(definition.path) === null) return refuse('method_not_allowed', identity.host, status.PERMISSION_DENIED);
          admitted.set(metadata, { host: identity.host, keyText });
          next(metadata);
        },
        () => call.sendStatus({ code: status.UNAVAILABLE, details: 'Who calls cannot be found out now.' }),
      );
    });
    return new ServerInterceptingCall(call, { start: (next) => next(listener.build()) });
  };

  const answer = (path: string, call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
    const who = admitted.get(call.metadata);
    if (who === undefined) return respond({ code: status.UNAUTHENTICATED, details: refusalText.key_refused });
    const gone = new AbortController();
    call.on('cancelled', () => gone.abort());
    const deadline = call.getDeadline();
    handle({ path, ...who, peer: call.getPeer(), message: call.request, deadlineMs: deadline instanceof Date ? deadline.getTime() : deadline, gone: gone.signal }).then(
      (made) => ('message' in made ? respond(null, made.message) : respond({ code: made.code, details: made.details, ...(made.metadata ? { metadata: made.metadata } : {}) })),
      () => respond({ code: status.INTERNAL, details: 'The gateway has failed.' }),
    );
  };

  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': -1, // Bounded by what comes from the server.
    'grpc.max_concurrent_streams': 32,
    // A host that lost its power is noticed by this alone, and its poll is ended at the server before a task is given to nobody.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 15_000,
    'grpc.enable_channelz': 0,
    interceptors: [admission],
  });
  // The library knows no handler of calls that nothing was registered for, and answers those by itself, before any interceptor. A test holds that this still
  // reaches it; without, such calls would be refused all the same, but neither counted nor audited.
  Reflect.set(server, 'handlers', { get: (path: string) => ({ type: 'unary', path, func: ((call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => answer(path, call, respond)) as UntypedHandleCall, serialize: asIs, deserialize: asIs }) });
  return server;
}

/** RFC 6750 section 2.1. */
function bearerOf(metadata: Metadata): string | null {
  const values = metadata.get('authorization');
  const [scheme, text, ...rest] = values.length === 1 ? String(values[0]).trim().split(/\s+/) : [];
  return scheme?.toLowerCase() === 'bearer' && text !== undefined && rest.length === 0 ? text : null;
}
