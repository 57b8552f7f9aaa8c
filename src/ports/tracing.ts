/** What a span says when it begins. Nothing secret goes into one: whoever runs the collector reads it. */
export interface SpanBeginning {
  readonly name: string;
  /** `server` answers a request, `consumer` carries out what was queued. */
  readonly kind: 'server' | 'consumer';
  /** `traceparent` (W3C Trace Context) of the span that this one belongs to; null, or one that is none, begins a trace. */
  readonly parent: string | null;
  readonly attributes: Readonly<Record<string, string | number>>;
}

export interface Span {
  /** Its own `traceparent`. */
  readonly traceparent: string;
  /** Runs `work`; in all that it calls and awaits, `Tracing.current` is this span. */
  within<Value>(work: () => Value): Value;
  /** Ends it, once. @param failed the code of the error it ended with; null where it ended well */
  end(failed: string | null, attributes?: Readonly<Record<string, string | number>>): void;
}

/** Spans of one process. Nothing here waits for the collector or fails because of it: what it does not take in time is dropped. */
export interface Tracing {
  begin(beginning: SpanBeginning): Span;
  /** `traceparent` of the span within which this is called; null outside of one. */
  current(): string | null;
}
