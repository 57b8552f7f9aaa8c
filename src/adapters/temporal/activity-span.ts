import { ApplicationFailure } from '@temporalio/common';
import { asFairleadError } from '../../domain/system-failure.ts';
import type { Tracing } from '../../ports/tracing.ts';
import type { AroundActivity } from './activity-poller.ts';

/**
 * Makes a span around every attempt that belongs to a trace; the others pass as they are, since a trace begins with a request. Of a failure it tells the code alone: messages
 * carry what products say.
 *
 * @param host where the activities run; null where their input names the host that they are about
 */
export const inSpan = (tracing: Tracing, host: string | null, around: AroundActivity = (_call, run) => run()): AroundActivity =>
  async (call, run) => {
    const { name, attempt, input, trace } = call;
    if (!trace) return around(call, run);
    const about = host ?? hostIn(input);
    const attributes = { ...(about === null ? {} : { 'fairlead.host': about }), 'fairlead.run.id': trace.runId, 'fairlead.workflow.id': trace.workflowId, 'fairlead.activity': name, 'fairlead.attempt': attempt };
    const span = tracing.begin({ name, kind: 'consumer', parent: trace.parent, attributes });
    try {
      const value = await span.within(() => around(call, run));
      span.end(null, { 'fairlead.status': 'succeeded' });
      return value;
    } catch (error) {
      span.end(error instanceof ApplicationFailure ? (error.type ?? error.name) : asFairleadError(error, name).reason.code, { 'fairlead.status': 'failed' });
      throw error;
    }
  };

/** The host that an input of control's activities names, in itself, its request or its run. */
function hostIn(input: unknown): string | null {
  const { host, request, run } = (input ?? {}) as { readonly host?: unknown; readonly request?: { readonly host?: unknown }; readonly run?: { readonly host?: unknown } };
  const named = host ?? request?.host ?? run?.host;
  return typeof named === 'string' ? named : null;
}
