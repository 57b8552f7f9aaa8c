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
    const about = named(input);
    const at = host ?? about.host;
    const attributes = { ...(at === null ? {} : { 'fairlead.host': at }), 'fairlead.run.id': about.runId ?? trace.runId, 'fairlead.workflow.id': trace.workflowId, 'fairlead.activity': name, 'fairlead.attempt': attempt };
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

interface Named {
  readonly host?: unknown;
  readonly runId?: unknown;
}

/** What an input names, in itself, its run or its request. A run that was handed over goes on in an execution with another id than its own. */
function named(input: unknown): { readonly host: string | null; readonly runId: string | null } {
  const { host, runId, run, request } = (input ?? {}) as Named & { readonly run?: Named; readonly request?: Named };
  return { host: textOf(host ?? run?.host ?? request?.host), runId: textOf(runId ?? run?.runId) };
}
const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);
