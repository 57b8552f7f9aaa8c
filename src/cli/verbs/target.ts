import type { ReleaseList } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import { usageError } from '../errors.ts';
import { everyHost } from './shared.ts';

/** A host and a product, both where they were named, each found where there is only one (of several hosts, the only one that is connected). @throws CommandFailure that lists those there are */
export async function resolveTarget(api: ApiClient, named: { host?: string; product?: string }): Promise<{ host: string; product: string }> {
  if (named.host !== undefined && named.product !== undefined) return { host: named.host, product: named.product };
  const { hosts } = await everyHost(api);
  // One that is away cannot be meant where another one is there.
  const connected = hosts.filter(({ status }) => status === 'connected');
  const host = named.host ?? theOnly((connected.length === 1 ? connected : hosts).map((row) => row.host), 'host', '--host');
  if (named.product !== undefined) return { host, product: named.product };
  const installed = hosts.find((row) => row.host === host)?.products.filter(({ state }) => state !== null).map(({ product }) => product) ?? [];
  if (installed.length === 1) return { host, product: installed[0]! };
  const { releases } = await api.get<ReleaseList>('/api/releases?limit=200');
  return { host, product: theOnly([...new Set([...installed, ...releases.map(({ product }) => product)])], 'product', '--product') };
}

function theOnly(names: readonly string[], what: string, option: string): string {
  const [first, ...others] = names;
  if (first !== undefined && others.length === 0) return first;
  if (first === undefined) {
    const hint = what === 'host' ? 'fairlead dev starts one; on a machine of its own: fairlead serve --role node --controller URL' : 'publish a release first: fairlead release publish FILE';
    throw usageError(`there is no ${what} yet, and ${option} names none`, hint);
  }
  throw usageError(`there are several ${what}s; say which with ${option}`, names.join('\n'));
}
