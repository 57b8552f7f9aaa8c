import type { HostState, Intent } from '../host/state.ts';
import type { InstanceSight } from '../host/drift.ts';
import type { InstanceName, ProductName, ReleaseId, ServiceName } from '../ids.ts';
import type { ProductManifest } from '../product/manifest.ts';

/** What the service manager says of an instance, and which process it is. */
export interface ProcessSight extends InstanceSight {
  readonly pid: number | null;
}

/** What a host tells of its services when it is asked. A run plans from it. */
export interface ServiceInspection {
  readonly product: ProductName;
  readonly state: HostState | null;
  readonly intent: Intent | null;
  /** The active release's declaration with the instances that were added on this host, as far as services go; null where nothing is installed. */
  readonly manifest: ServiceManifest | null;
  readonly processes: Readonly<Record<InstanceName, ProcessSight>>;
}

/** The part of a manifest that decides about its services. */
export type ServiceManifest = Pick<ProductManifest, 'product' | 'releaseId' | 'artifact' | 'services' | 'bakeSeconds'>;

export type ServiceInstanceStatus = 'active' | 'draining' | 'starting' | 'inactive' | 'failed' | 'unknown';

/** One instance as `service status` shows it. */
export interface ServiceInstance {
  readonly name: InstanceName;
  readonly service: ServiceName;
  readonly status: ServiceInstanceStatus;
  /** The release that the process was started from; null where none runs or it cannot be told. */
  readonly releaseId: ReleaseId | null;
  readonly pid: number | null;
  readonly port: number;
  /** Whether the router sends requests to it. */
  readonly traffic: boolean;
  readonly lastExit: string | null;
  /** Added on this host, beside what the manifest declares. */
  readonly extra: boolean;
}

/**
 * The instances of a product, or of one service, for people: sorted by name. Pure.
 *
 * An instance that a run has taken out of the router is `draining` until it is restarted and `starting` until it is let back in: both are part of a
 * restart and no error. What nobody could be asked about is `unknown`, whatever was known of it before.
 *
 * @param processes null where the host could not be asked now
 */
export function serviceInstances(state: HostState, intent: Intent | null, processes: ServiceInspection['processes'] | null, service: ServiceName | null): ServiceInstance[] {
  const entries = (Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][]).filter(([, entry]) => service === null || entry.service === service);
  return entries
    .map(([name, entry]): ServiceInstance => {
      const seen = processes?.[name];
      return {
        name,
        service: entry.service,
        status: seen === undefined ? 'unknown' : statusOf(seen, entry, intent),
        releaseId: seen?.releaseId ?? null,
        pid: seen?.pid ?? null,
        port: entry.port,
        traffic: entry.admitted,
        lastExit: seen?.lastExit ?? null,
        extra: (state.extras ?? []).some((extra) => extra.service === entry.service && (name === `${extra.service}-${extra.short}` || name === `${extra.service}-${extra.short}-green`)),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function statusOf(seen: ProcessSight, entry: HostState['instances'][InstanceName], intent: Intent | null): ServiceInstanceStatus {
  const atWork = intent !== null && intent.stranded === null && !entry.admitted;
  const startedByRun = entry.startedBy !== null && entry.startedBy.startsWith(`${intent?.runId}:`);
  if (seen.status === 'active' && atWork) return startedByRun ? 'starting' : 'draining';
  // Between its stop and its start: the run is about to start it.
  if (seen.status === 'inactive' && atWork && !startedByRun && entry.replaces?.by.startsWith(`${intent.runId}:`)) return 'starting';
  return seen.status;
}
