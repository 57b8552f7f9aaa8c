import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { refuseRole } from '../domain/access/may.ts';
import { accessOf, type RouteAccess } from '../domain/access/table.ts';
import { FairleadError } from '../domain/failure.ts';
import type { KeyIdentity, KeyStore } from '../ports/control-stores.ts';
import type { Access, Api } from './api.ts';
import { problemContent } from './problems.ts';
import type { RateLimits } from './rate-limits.ts';

/** Where clients of the older kind send their key. */
export const olderKeyHeader = 'x-runtime-api-key';

type Headers = IncomingMessage['headers'];

/**
 * Whose key it is.
 * @param headers with `Authorization: Bearer` and the key (RFC 6750 section 2.1), or the key alone in `X-RUNTIME-API-KEY` as older clients send it; the first wins
 * @param address whose failures are counted
 * @throws FairleadError `key_missing`, `key_unknown`, `rate_limited`, or `not_allowed` where the key has another role
 */
export async function identify(keys: KeyStore, limits: RateLimits, headers: Headers, address: string, route: Pick<RouteAccess, 'roles'>): Promise<KeyIdentity> {
  const identity = await authenticate(keys, limits, headers, address);
  demandRole(identity, route);
  return identity;
}

function demandRole(identity: KeyIdentity, route: Pick<RouteAccess, 'roles'>): void {
  const refused = refuseRole(identity, route);
  if (refused !== null) throw new FairleadError(refused);
}

async function authenticate(keys: KeyStore, limits: RateLimits, headers: Headers, address: string): Promise<KeyIdentity> {
  const text = keyTextOf(headers);
  limits.beforeLookup(address, text);
  const identity = text === null ? null : await keys.identify(text);
  if (identity === null) {
    limits.failed(address, text);
    throw text === null ? missingKey() : unknownKey();
  }
  limits.succeeded(text!);
  return identity;
}

/** Refuses an agent's key that belongs to another host. A key that belongs to none yet passes; a person's speaks for nobody, and passes. */
export function requireOwnHost(identity: KeyIdentity, host: string): void {
  if (identity.role !== 'agent' || identity.host === null || identity.host === host) return;
  throw new FairleadError({
    class: 'request',
    code: 'not_this_host',
    message: `Key "${identity.name}" belongs to host ${identity.host}, and speaks for no other one: ${host} was named.`,
    hint: `Check the host's name (FAIRLEAD_HOST_ID), or give host ${host} a key of its own: fairlead nodes enroll ${host}`,
  });
}

/**
 * Holds every request against the table of routes before its body is read: first how much its address may ask, then whose key it has, then the key's role. A route
 * that stands in no table is a mistake that ends the start.
 */
export function requireKeys(app: Api, keys: KeyStore, limits: RateLimits): void {
  app.decorateRequest('identity', null);
  app.addHook('onRoute', (route) => {
    const found = accessOf(String(route.method), route.url) ?? (route.config?.access === undefined ? null : { roles: route.config.access, subject: 'everything' as const });
    if (found === null) throw new Error(`${String(route.method)} ${route.url} stands in no table of who may use it (src/domain/access/table.ts)`);
    route.config = { ...route.config, route: found };
    const security: Record<string, string[]>[] = found.roles === 'public' ? [] : [{ bearer: [] }, { runtimeApiKey: [] }];
    route.schema = { ...route.schema, security, response: { ...problemResponses(found.roles), ...(route.schema?.response as object) } };
  });
  app.addHook('onRequest', async (request) => {
    if (!isUnlimited(request)) limits.address(request.ip);
    if (request.is404) return;
    const route = request.routeOptions.config.route ?? { roles: [], subject: 'everything' as const };
    // What proves itself by its body (a token) is guessed at as keys are.
    if (route.roles === 'public' && request.method === 'POST') limits.beforeLookup(request.ip, null);
    if (route.roles === 'public') return;
    request.identity = await authenticate(keys, limits, request.headers, request.ip);
    // Before the role: what is refused by it leaves rows in the audit, which a key must not fill.
    if (!isUnlimited(request)) limits.key(request.identity.id);
    demandRole(request.identity, route);
  });
  app.addHook('onResponse', async (request, reply) => {
    if (reply.statusCode === 401 && request.routeOptions.config.route?.roles === 'public') limits.failed(request.ip, null);
  });
}

/** Whoever watches Fairlead must see it while others ask too much. */
const isUnlimited = ({ url }: FastifyRequest): boolean => /^\/(health|metrics)(\/|\?|$)/.test(url);

const problemResponses = (access: Access): Record<string, unknown> =>
  access === 'public'
    ? { '5XX': problemContent('Something that the answer needs is away') }
    : {
        401: problemContent('No key, or one that is not known'),
        403: problemContent('The key may not do this'),
        429: problemContent('Too much was asked in a short time; `Retry-After` says when to ask again'),
        '4XX': problemContent('The request was refused'),
        '5XX': problemContent('Something that the answer needs is away'),
      };

function keyTextOf(headers: Headers): string | null {
  const { authorization } = headers;
  if (authorization === undefined) {
    const older = headers[olderKeyHeader];
    return typeof older === 'string' && older.trim() !== '' ? older.trim() : null;
  }
  const [scheme, text, ...rest] = authorization.trim().split(/\s+/);
  return scheme?.toLowerCase() !== 'bearer' || text === undefined || rest.length > 0 ? null : text;
}

const missingKey = (): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'key_missing',
    message: 'The request has no key.',
    hint: 'Send it as "Authorization: Bearer fl_…" (older clients: X-RUNTIME-API-KEY); the command line reads it from FAIRLEAD_API_KEY. Make one with: fairlead keys create',
  });

// The same words for a key that never was and one that was revoked: whoever tries keys learns nothing.
const unknownKey = (): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'key_unknown',
    message: 'The key is not known, has expired, or was revoked.',
    hint: 'Check that the whole key was copied (fl_, role, 49 characters) and see whether it is valid: fairlead keys list, or make a new one with: fairlead keys create',
  });
