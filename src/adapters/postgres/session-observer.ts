import type { ProductName, ReleaseId } from '../../domain/ids.ts';
import type { Session } from '../../domain/fleet/session.ts';
import type { FleetObserver } from '../../ports/fleet-observer.ts';
import type { SessionStore } from '../../ports/fleet-stores.ts';
import type { HostRegistry } from '../../ports/control-stores.ts';
import type { Observation } from '../../ports/rollout-store.ts';

/** What control saw of hosts is what their sessions began with. */
export function createSessionObserver(sessions: SessionStore, hosts: HostRegistry): FleetObserver {
  return {
    async observed(host, product, releaseId, after) {
      if (after === null) return toldBy(await sessions.open(host), product);
      const { session, other } = await sessions.observed({ host, product, releaseId, after });
      return toldBy(session, product) ?? toldBy(other, product);
    },
    connected: (names) => hosts.connected(names),
  };
}

/** Null where instances differed or one did not run: what was not seen is no observation. */
function toldBy(session: Session | null, product: ProductName): Observation | null {
  const releaseId: ReleaseId | null = session?.releases.find((told) => told.product === product)?.releaseId ?? null;
  return session === null || releaseId === null ? null : { releaseId, bootId: session.bootId, at: session.connectedAt };
}
