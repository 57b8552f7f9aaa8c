import { FairleadError } from '../domain/failure.ts';
import type { Artifact } from '../domain/bundle/artifact.ts';
import type { HostId, ProductName, ReleaseId, RunId } from '../domain/ids.ts';
import type { Role } from '../domain/product/manifest.ts';
import type { HostRow, RunRow } from '../ports/control-stores.ts';
import type { ApiStores } from './dependencies.ts';

/** How many known names a refusal lists. */
const listed = 10;

/** The host, or a refusal that names those that are known. */
export async function knownHost(stores: ApiStores, host: HostId): Promise<HostRow> {
  const row = await stores.hosts.find(host);
  if (row !== null) return row;
  const names = (await stores.hosts.list()).map((each) => each.host);
  throw unknown('unknown_host', `No host "${host}" is known.`, 'Known hosts', names, 'No host has said hello yet: start an agent with "fairlead serve --role node".');
}

/** Refuses a product that no release and no host of ours knows. */
export async function requireProduct(stores: ApiStores, product: ProductName, host: HostRow): Promise<void> {
  if (host.products.some((each) => each.product === product)) return;
  if ((await stores.releases.list({ product, limit: 1 })).length > 0) return;
  const names = [...(await stores.releases.list({ limit: 500 })), ...host.products].map((each) => each.product);
  throw unknown('unknown_product', `No product "${product}" is known: it was never published, and it does not run on ${host.host}.`, 'Known products', names, 'Nothing was published yet: fairlead release publish FILE');
}

/** The artifact of a release for a role, or a refusal that names the releases that have one. */
export async function knownArtifact(stores: ApiStores, product: ProductName, releaseId: ReleaseId, role: Role): Promise<Artifact> {
  const artifact = await stores.releases.find(product, releaseId, role);
  if (artifact !== null) return artifact;
  const elsewhere = await stores.releases.list({ product, releaseId, limit: 10 });
  const all = await stores.releases.list({ product, limit: 200 });
  const names = all.filter((release) => release.role === role).map((release) => release.releaseId);
  const why = elsewhere.length > 0 ? `has no artifact for role ${role}; it has one for ${[...new Set(elsewhere.map((release) => release.role))].join(' and ')}` : 'was never published';
  throw unknown('unknown_release', `Release "${releaseId}" of ${product} ${why}.`, `Releases of ${product} for role ${role}, newest first`, names, `Publish one: fairlead release publish FILE`);
}

/** The run, or a refusal that names the latest ones. */
export async function knownRun(stores: ApiStores, runId: RunId): Promise<RunRow> {
  const row = await stores.runs.find(runId);
  if (row !== null) return row;
  const names = (await stores.runs.list({ limit: listed })).map((run) => run.runId);
  throw unknown('unknown_run', `No run "${runId}" is known.`, 'Latest runs', names, 'No run was started yet.');
}

export function unknown(code: string, message: string, heading: string, names: readonly string[], none: string): FairleadError {
  const distinct = [...new Set(names)];
  const more = distinct.length > listed ? ` and ${distinct.length - listed} more` : '';
  const hint = distinct.length === 0 ? none : `${heading}: ${distinct.slice(0, listed).join(', ')}${more}.`;
  return new FairleadError({ class: 'request', code, message, hint });
}
