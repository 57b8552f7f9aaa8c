import type { FastifyRequest } from 'fastify';
import type { Span, Tracing } from '../ports/tracing.ts';
import type { Api } from './api.ts';

/**
 * A span for each request that may change something; what it starts belongs to its trace, and it to that of a client that sent `traceparent`. Reads and what hosts say of
 * themselves come by the thousand and start nothing. Made once the key was good and the body read, so nobody else can fill the collector.
 */
export function traceRequests(app: Api, tracing: Tracing): void {
  const spans = new WeakMap<FastifyRequest, Span>();
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.method === 'GET' || request.method === 'HEAD' || request.identity === null || request.identity.role === 'agent') return done();
    const route = request.routeOptions.url ?? 'unknown';
    const { traceparent } = request.headers;
    const span = tracing.begin({
      name: `${request.method} ${route}`,
      kind: 'server',
      parent: typeof traceparent === 'string' ? traceparent : null,
      attributes: { 'http.request.method': request.method, 'http.route': route, 'fairlead.request.id': request.id },
    });
    spans.set(request, span);
    span.within(done);
  });
  app.addHook('onResponse', async (request, reply) => {
    spans.get(request)?.end(reply.statusCode >= 500 ? String(reply.statusCode) : null, { 'http.response.status_code': reply.statusCode });
  });
}
