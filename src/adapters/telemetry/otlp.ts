import { AsyncLocalStorage } from 'node:async_hooks';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type SpanContext } from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { Resource } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Tracing } from '../../ports/tracing.ts';

/** Spans that wait for the collector; more are dropped. About 1 kB each. */
const maxWaiting = 1_024;
const batch = 256;
const pauseMs = 1_000;
const sendLimitMs = 5_000;
/** How long the end of a process waits for what is not sent yet. */
const closeLimitMs = 2_000;
const kinds = { server: SpanKind.SERVER, consumer: SpanKind.CONSUMER } as const;

/**
 * Spans that go to an OTLP collector over HTTP, in batches, beside the work (opentelemetry.io/docs/specs/otlp). Import this file only where an endpoint is configured: it brings the SDK.
 *
 * Beside what is given here the SDK's own variables hold, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_TRACES_SAMPLER.
 *
 * @param endpoint the collector's base URL, to which `/v1/traces` is added
 * @param resource says of every span whose it is: `service.name` and others
 * @returns `close` sends what waits, for 2 s at most, and never fails
 */
export function createOtlpTracing(endpoint: string, resource: Readonly<Record<string, string>>): Tracing & { close(): Promise<void> } {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces`, timeoutMillis: sendLimitMs });
  const processor = new BatchSpanProcessor(exporter, { maxQueueSize: maxWaiting, maxExportBatchSize: batch, scheduledDelayMillis: pauseMs, exportTimeoutMillis: sendLimitMs });
  const provider = new BasicTracerProvider({ resource: new Resource({ ...resource }), spanProcessors: [processor] });
  const tracer = provider.getTracer('fairlead');
  const around = new AsyncLocalStorage<string>();
  return {
    current: () => around.getStore() ?? null,
    begin({ name, kind, parent, attributes }) {
      const remote = parent === null ? null : parseTraceParent(parent);
      const span = tracer.startSpan(name, { kind: kinds[kind], attributes: { ...attributes } }, remote === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true }));
      const traceparent = traceparentOf(span.spanContext());
      return {
        traceparent,
        within: (work) => around.run(traceparent, work),
        end(failed, more = {}) {
          span.setAttributes({ ...more, ...(failed === null ? {} : { 'error.type': failed }) });
          if (failed !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failed });
          span.end();
        },
      };
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, closeLimitMs)));
      await Promise.race([provider.shutdown().catch(() => undefined), patience]);
      clearTimeout(timer);
    },
  };
}

const traceparentOf = ({ traceId, spanId, traceFlags }: SpanContext): string => `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
