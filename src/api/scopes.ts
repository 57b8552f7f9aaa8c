import type { FastifyRequest } from 'fastify';
import { refuseSubject, type Asked } from '../domain/access/may.ts';
import { includesHost, includesProduct, type KeyScope, type LabelledHost } from '../domain/access/scope.ts';
import { FairleadError } from '../domain/failure.ts';
import type { Session } from '../domain/fleet/session.ts';
import type { HostId, ProductName, RolloutId, RunId, Sha256 } from '../domain/ids.ts';
import type { HostRow, Within } from '../ports/control-stores.ts';
import { callerOf, type Api } from './api.ts';
import type { ApiStores } from './dependencies.ts';

/** Holds the scope of a key against what the request is about, once that has been read and before anything is done. */
export function requireScopes(app: Api, stores: ApiStores): void {
  app.addHook('preHandler', async (request) => {
    if (request.identity === null || request.identity.scope === null) return;
    demandScope(request, await askedOf(request, stores));
  });
}

/** For routes that know only later what they are about. @throws FairleadError `out_of_scope` */
export function demandScope(request: FastifyRequest, asked: Asked): void {
  const refused = refuseSubject(callerOf(request), asked);
  if (refused !== null) throw new FairleadError(refused);
}

export const ofProduct = (product: ProductName): Asked => ({ products: { of: 'every', names: [product] }, hosts: null });

/** What a list may show to whoever asks: `{}` for everything. Selectors are looked up now: a label that was changed counts at once. */
export async function withinScope(request: FastifyRequest, stores: ApiStores): Promise<{ within?: Within }> {
  const { scope } = callerOf(request);
  if (scope === null) return {};
  const hosts = scope.hosts.length === 0 ? null : (await stores.hosts.list()).filter((host) => includesHost(scope, host)).map(({ host }) => host);
  return { within: { products: scope.products.length === 0 ? null : scope.products, hosts } };
}

/** A host as a key may see it: with the products of its scope only; null where it may not at all. */
export function hostWithin<Row extends Pick<HostRow, 'host' | 'role' | 'labels' | 'products'>>(scope: KeyScope | null, row: Row): Row | null {
  if (scope === null) return row;
  if (!includesHost(scope, row)) return null;
  const products = row.products.filter(({ product }) => includesProduct(scope, product));
  return products.length === 0 && scope.products.length > 0 ? null : { ...row, products };
}

/** A session as a key may see it. */
export const sessionWithin = <Told extends Pick<Session, 'releases'>>(scope: KeyScope | null, session: Told): Told => (scope === null ? session : { ...session, releases: session.releases.filter(({ product }) => includesProduct(scope, product)) });

async function askedOf(request: FastifyRequest, stores: ApiStores): Promise<Asked> {
  const params = request.params as { readonly id?: string; readonly product?: ProductName; readonly sha256?: Sha256 };
  switch (request.routeOptions.config.route?.subject) {
    case 'nothing':
    case 'filtered':
    case 'bundle':
      return 'nothing';
    case 'target':
      return askedTarget(request, stores);
    case 'host':
    case 'whole-host': {
      const row = await stores.hosts.find(params.id as HostId);
      const of = request.routeOptions.config.route.subject === 'host' ? 'some' : 'every';
      return row === null ? 'hidden' : { products: { of, names: row.products.map(({ product }) => product) }, hosts: [row] };
    }
    case 'run': {
      const run = await stores.runs.find(params.id as RunId);
      return run === null ? 'hidden' : { products: { of: 'every', names: [run.product] }, hosts: [await labelled(stores, run.host)] };
    }
    case 'rollout':
    case 'rollout-hosts': {
      const rollout = await stores.rollouts.find(params.id as RolloutId);
      if (rollout === null) return 'hidden';
      if (request.routeOptions.config.route.subject === 'rollout') return ofProduct(rollout.product);
      const { target } = rollout.request;
      return { products: { of: 'every', names: [rollout.product] }, hosts: target.kind === 'all' ? 'fleet' : await labelledAll(stores, target.hosts) };
    }
    case 'rollout-target': {
      const { product, hosts } = request.body as { readonly product: ProductName; readonly hosts?: readonly HostId[] };
      return { products: { of: 'every', names: [product] }, hosts: hosts === undefined ? 'fleet' : await labelledAll(stores, hosts) };
    }
    case 'release':
      return params.product === undefined ? 'hidden' : ofProduct(params.product);
    case 'artifact': {
      const artifact = params.sha256 === undefined ? null : await stores.releases.findByDigest(params.sha256);
      return artifact === null ? 'hidden' : ofProduct(artifact.product);
    }
    default:
      return 'everything';
  }
}

async function askedTarget(request: FastifyRequest, stores: ApiStores): Promise<Asked> {
  const named = { ...(request.query as object), ...(request.body as object | null) } as { readonly host?: HostId; readonly product?: ProductName; readonly alsoOn?: readonly HostId[] };
  if (named.host === undefined || named.product === undefined) return 'everything';
  const row = await stores.hosts.find(named.host);
  return row === null ? 'hidden' : { products: { of: 'every', names: [named.product] }, hosts: named.alsoOn === undefined ? [row] : [row, ...(await labelledAll(stores, named.alsoOn))] };
}

/** A host that was never heard has no labels but its name: it is in the scope of whoever was given that very host. */
const unheard = (host: HostId): LabelledHost => ({ host, role: null, labels: {} });
const labelled = async (stores: ApiStores, host: HostId): Promise<LabelledHost> => (await stores.hosts.find(host)) ?? unheard(host);

export async function labelledAll(stores: ApiStores, hosts: readonly HostId[]): Promise<LabelledHost[]> {
  const known = new Map((await stores.hosts.list()).map((row) => [row.host, row]));
  return hosts.map((host) => known.get(host) ?? unheard(host));
}
