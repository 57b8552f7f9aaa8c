import type { ClientInterceptors, WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import { traceHeader } from '../../domain/run/trace-header.ts';
import type { Tracing } from '../../ports/tracing.ts';
import { isSealed } from './payload-codec.ts';

type Fields = Readonly<Record<string, Payload>>;

/** For a client: whatever workflow it starts within a span belongs to that span's trace. */
export function traceStarts({ current }: Pick<Tracing, 'current'>): ClientInterceptors {
  const marked = (headers: Fields): Fields => {
    const traceparent = current();
    return traceparent === null ? headers : { ...headers, [traceHeader]: defaultPayloadConverter.toPayload(traceparent) };
  };
  const starts: WorkflowClientInterceptor = {
    startWithDetails: (input, next) => next({ ...input, headers: marked(input.headers) }),
    startUpdateWithStart: (input, next) => next({ ...input, workflowStartHeaders: marked(input.workflowStartHeaders) }),
  };
  return { workflow: [starts] };
}

/**
 * The trace that an activity belongs to. The SDK leaves headers as they are where payloads are encrypted; one that was encrypted by somebody else is opened.
 * @returns null where there is none, or none that can be read: a trace is no reason for work to fail
 */
export async function traceOf(headers: Fields | null | undefined, codec: PayloadCodec | null = null): Promise<string | null> {
  const payload = headers?.[traceHeader];
  if (!payload) return null;
  try {
    const [opened] = isSealed(payload) && codec !== null ? await codec.decode([payload]) : [payload];
    const value: unknown = defaultPayloadConverter.fromPayload(opened as Payload);
    return typeof value === 'string' ? value : null;
  } catch {
    return null;
  }
}
