import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RouteAccess } from '../domain/access/table.ts';
import type { KeyIdentity } from '../ports/control-stores.ts';

export type Api = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;

/** Who may use a route. */
export type Access = RouteAccess['roles'];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Only for a route that does not stand in the domain's table of routes. A key with a scope may not use it. */
    access?: Access;
    /** What the table says of the route; made by `requireKeys`. */
    route?: RouteAccess;
  }
  interface FastifyRequest {
    /** Who asks; null on public routes only. */
    identity: KeyIdentity | null;
  }
}

/** Who asks, on a route that is not public. */
export function callerOf(request: FastifyRequest): KeyIdentity {
  if (request.identity === null) throw new Error(`${request.method} ${request.url} is public and has no caller`);
  return request.identity;
}

/** The caller as it stands in audit rows and reports: `ci (admin)`. */
export const actorOf = (identity: KeyIdentity): string => `${identity.name} (${identity.role})`;
