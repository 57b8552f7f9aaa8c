/** The header of Temporal in which a trace goes from whoever starts a workflow to its activities: a JSON payload with the text of W3C's header of this name. It stands in histories. */
export const traceHeader = 'traceparent';
