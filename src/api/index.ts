import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import Fastify, { LogController } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Api } from './api.ts';
import { auditMutations, markMutations } from './auditing.ts';
import { requireKeys } from './authentication.ts';
import type { ApiDependencies } from './dependencies.ts';
import { isWithin } from '../domain/access/outgoing.ts';
import { createHealthCheck } from './dependency-health.ts';
import { tagAnswers } from './entity-tags.ts';
import { createEventStreams } from './event-streams.ts';
import { countRequests } from './metrics.ts';
import { describeRoutes } from './openapi.ts';
import { answerWithProblems } from './problems.ts';
import { createRateLimits } from './rate-limits.ts';
import { artifactRoutes } from './routes/artifacts.ts';
import { createFleet } from './fleet/index.ts';
import { auditRoutes } from './routes/audit.ts';
import { certificateRoutes } from './routes/certificates.ts';
import { codecOrigin, codecRoutes } from './routes/codec.ts';
import { enrolmentRoutes } from './routes/enrolments.ts';
import { healthRoutes } from './routes/health.ts';
import { hostRoutes } from './routes/hosts.ts';
import { keyRoutes } from './routes/keys.ts';
import { metricRoutes } from './routes/metrics.ts';
import { policyRoutes } from './routes/policies.ts';
import { promotionRoutes } from './routes/promotions.ts';
import { releaseRoutes } from './routes/releases.ts';
import { freezeRoutes } from './routes/freezes.ts';
import { rolloutRoutes } from './routes/rollouts.ts';
import { runRoutes } from './routes/runs.ts';
import { serviceRoutes } from './routes/services.ts';
import { settingRoutes } from './routes/settings.ts';
import { updaterRoutes } from './routes/updater.ts';
import { updateRoutes } from './routes/updates.ts';
import { webhookRoutes } from './routes/webhooks.ts';
import { requireScopes } from './scopes.ts';
import { cutOffSlowBodies, defaultHeadersMs, refuseBrokenRequest } from './slow-requests.ts';
import { traceRequests } from './tracing.ts';

export type { Api } from './api.ts';
export type { ApiDependencies, ApiServerSettings, ApiStores } from './dependencies.ts';

/** Of JSON; bundles have a limit of their own. */
const maxBodyBytes = 1_048_576;

/**
 * The HTTP API, not yet listening. `close()` takes no new requests, ends the event streams (their clients come back elsewhere) and
 * waits for what is under way.
 */
export function createApi(dependencies: ApiDependencies): Api {
  const { settings, stores, logger } = dependencies;
  const trusted = settings.trustedProxies ?? [];
  const app: Api = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: () => `req-${randomBytes(8).toString('hex')}`,
    // The request id is ours alone: a client's would stand in the log where ours is looked for.
    requestIdHeader: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200 },
    bodyLimit: maxBodyBytes,
    clientErrorHandler: refuseBrokenRequest,
    http: { headersTimeout: settings.requestTimes?.headersMs ?? defaultHeadersMs, connectionsCheckingInterval: Math.min(2_000, settings.requestTimes?.headersMs ?? 2_000) },
    trustProxy: trusted.length === 0 ? false : (address: string) => isWithin(address, trusted),
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);

  const streams = createEventStreams(stores.runs, settings);
  cutOffSlowBodies(app.server, settings.requestTimes);
  const check = createHealthCheck(dependencies);
  answerWithProblems(app);
  tagAnswers(app);
  const requests = countRequests(app);
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  app.addHook('onResponse', async (request, reply) => {
    const line = { method: request.method, path: request.url.split('?')[0], status: reply.statusCode, durationMs: Math.round(reply.elapsedTime), caller: request.identity?.name, ...namedIn(request) };
    // Reads and beats of hosts come by the thousand; who changed what is looked for later.
    if (request.method === 'GET' || request.method === 'HEAD' || request.url.endsWith('/hello')) request.log.debug(line, 'request served');
    else request.log.info(line, 'request served');
  });
  app.addHook('preClose', async () => {
    streams.close();
    closeConnectionsAsTheyIdle(app.server);
  });
  markMutations(app);
  const limits = createRateLimits(settings.rateLimits);
  codecOrigin(app, dependencies);
  requireKeys(app, stores.keys, limits);
  requireScopes(app, stores);
  auditMutations(app, stores.audit);
  if (dependencies.tracing) traceRequests(app, dependencies.tracing);

  // Within `after`, because swagger's own hook must stand before the first route.
  describeRoutes(app, settings.version);
  app.after(() => {
    if (dependencies.updater) updaterRoutes(app, dependencies, dependencies.updater);
    else updateRoutes(app, dependencies);
    policyRoutes(app, dependencies);
    serviceRoutes(app, dependencies);
    promotionRoutes(app, dependencies);
    certificateRoutes(app, dependencies);
    rolloutRoutes(app, dependencies, streams);
    freezeRoutes(app, dependencies);
    runRoutes(app, dependencies, streams);
    releaseRoutes(app, dependencies);
    artifactRoutes(app, dependencies);
    const fleet = createFleet(app, dependencies, limits);
    hostRoutes(app, dependencies, fleet);
    enrolmentRoutes(app, dependencies, fleet);
    auditRoutes(app, dependencies);
    keyRoutes(app, dependencies);
    settingRoutes(app, dependencies);
    webhookRoutes(app, dependencies);
    codecRoutes(app, dependencies);
    healthRoutes(app, dependencies, check, streams, () => fleet.sessions.held().length);
    metricRoutes(app, dependencies, requests, check, streams, () => fleet.sessions.held().length);
    app.get('/api/openapi.json', { schema: { hide: true } }, async (_request, reply) => reply.serializer(JSON.stringify).send(app.swagger()));
  });
  return app;
}

/** A client keeps its connection after an answer; without this, closing would wait until it tires of that. */
function closeConnectionsAsTheyIdle(server: Server): void {
  const timer = setInterval(() => server.closeIdleConnections(), 50);
  timer.unref();
  server.once('close', () => clearInterval(timer));
}

/** The host and the run that a request names: whoever looks for either in the log finds it. */
function namedIn({ params, query, body, routeOptions }: FastifyRequest): { readonly host?: string; readonly runId?: string } {
  const named = { ...(query as object | undefined), ...(typeof body === 'object' ? body : null) } as { readonly host?: unknown };
  const { id } = (params ?? {}) as { readonly id?: string };
  const route = routeOptions.url ?? '';
  const host = route.startsWith('/api/hosts/:id') ? id : named.host;
  return { ...(typeof host === 'string' ? { host } : {}), ...(route.startsWith('/api/runs/:id') && id !== undefined ? { runId: id } : {}) };
}
