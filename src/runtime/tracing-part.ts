import type { Tracing } from '../ports/tracing.ts';
import type { Part } from './bootstrap.ts';
import { version } from './version.ts';

/** What of a process has to do with traces. `tracing` is there before the part has started, and may be used after. */
export interface TracingPart {
  readonly parts: readonly Part[];
  /** Null where no endpoint is configured: then nothing of the SDK is loaded, and nobody makes a span or sends a header. */
  readonly tracing: Tracing | null;
}

/**
 * Traces of one process. The part comes first, so that it is stopped last, with all spans ended.
 *
 * @param endpoint `telemetry.otlpEndpoint` @param host the host's name, for an agent
 */
export async function tracingPart(endpoint: string | null, service: 'api' | 'control' | 'agent', host: string | null = null): Promise<TracingPart> {
  if (endpoint === null) return { parts: [], tracing: null };
  // Here and not above: an agent without it has no memory to spare for the SDK.
  const { createOtlpTracing } = await import('../adapters/telemetry/otlp.ts');
  const tracing = createOtlpTracing(endpoint, { 'service.name': `fairlead-${service}`, 'service.version': version, 'service.instance.id': `${host ?? service}-${process.pid}`, ...(host === null ? {} : { 'fairlead.host': host }) });
  return { parts: [{ name: 'tracing', start: async () => tracing.close }], tracing };
}
