import type { HostRegistry } from '../../ports/control-stores.ts';
import type { FleetObserver } from '../../ports/fleet-observer.ts';

/** What hosts told in their last hello. */
export function createRegistryObserver(hosts: HostRegistry): FleetObserver {
  return {
    async observed(host, product, _releaseId, after) {
      const row = await hosts.find(host);
      const state = row?.products.find((each) => each.product === product)?.state;
      if (!row || !state?.activeReleaseId || Date.parse(row.lastSeenAt) <= Date.parse(after)) return null;
      return { releaseId: state.activeReleaseId, bootId: row.bootId, at: row.lastSeenAt };
    },
    async connected(names) {
      const wanted = new Set(names);
      return (await hosts.list()).filter(({ host, status }) => status === 'connected' && wanted.has(host)).map(({ host }) => host);
    },
  };
}
