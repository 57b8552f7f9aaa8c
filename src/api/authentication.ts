import { FairleadError } from '../domain/failure.ts';
import type { KeyIdentity, KeyStore } from '../ports/control-stores.ts';
import type { Access, Api } from './api.ts';
import { problemContent } from './problems.ts';

/**
 * Whose key it is.
 * @param header the Authorization header: `Bearer` and the key
 * @throws FairleadError `key_missing`, `key_unknown`, or `not_allowed` where the key has another role
 */
export async function identify(keys: KeyStore, header: string | undefined, access: Exclude<Access, 'public'>): Promise<KeyIdentity> {
  const identity = await keys.identify(bearerOf(header));
  if (identity === null) throw unknownKey();
  if (!access.includes(identity.role)) throw notAllowed(identity.name, identity.role, access);
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
 * Checks the bearer token (RFC 6750 section 2.1) of every request before its body is read. A route that does not say who may use it is
 * a mistake that ends the start.
 */
export function requireKeys(app: Api, keys: KeyStore): void {
  app.decorateRequest('identity', null);
  app.addHook('onRoute', (route) => {
    const access = route.config?.access;
    if (access === undefined) throw new Error(`${String(route.method)} ${route.url} does not say who may use it (config.access)`);
    route.schema = { ...route.schema, security: access === 'public' ? [] : [{ bearer: [] }], response: { ...problemResponses(access), ...(route.schema?.response as object) } };
  });
  app.addHook('onRequest', async (request) => {
    if (request.is404) return;
    const access = request.routeOptions.config.access ?? [];
    if (access === 'public') return;
    request.identity = await identify(keys, request.headers.authorization, access);
  });
}

const problemResponses = (access: Access): Record<string, unknown> =>
  access === 'public'
    ? { '5XX': problemContent('Something that the answer needs is away') }
    : {
        401: problemContent('No key, or one that is not known'),
        403: problemContent('The key may not do this'),
        '4XX': problemContent('The request was refused'),
        '5XX': problemContent('Something that the answer needs is away'),
      };

function bearerOf(header: string | undefined): string {
  if (header === undefined) throw missingKey();
  const [scheme, text, ...rest] = header.trim().split(/\s+/);
  if (scheme?.toLowerCase() !== 'bearer' || text === undefined || rest.length > 0) throw missingKey();
  return text;
}

const missingKey = (): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'key_missing',
    message: 'The request has no key.',
    hint: 'Send it as "Authorization: Bearer fl_…"; the command line reads it from FAIRLEAD_API_KEY. Make one with: fairlead keys create',
  });

// The same words for a key that never was and one that was revoked: whoever tries keys learns nothing.
const unknownKey = (): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'key_unknown',
    message: 'The key is not known, or was revoked.',
    hint: 'Check that the whole key was copied (fl_, role, 49 characters), or make a new one with: fairlead keys create',
  });

const notAllowed = (name: string, role: string, access: Exclude<Access, 'public'>): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'not_allowed',
    message: `Key "${name}" has role ${role}; this needs ${access.join(' or ')}.`,
    hint: `Use a key of role ${access[0]}.`,
  });
