import type { HostDependencies } from '../../activities/host/dependencies.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../../src/domain/ids.ts';
import type { ProductManifest } from '../../src/domain/product/manifest.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { RouterState } from '../../src/ports/router.ts';
import type { InstanceStatus } from '../../src/ports/service-manager.ts';
import { sampleManifest, sampleState } from './host-samples.ts';

export interface FakeHost {
  readonly dependencies: HostDependencies;
  state: HostState;
  /** What the service manager says of each instance; what is not here is inactive. */
  readonly units: Map<InstanceName, InstanceStatus>;
  /** Every change in order: `stop api-a`, `start api-a r2`, `state`, `router api-b`. */
  readonly changes: string[];
  /** Requests that the router says are in flight. */
  inFlight: number | null;
  readonly routed: RouterState[];
}

export const active = (releaseId: string): InstanceStatus => ({ status: 'active', releaseId: releaseId as ReleaseId, pid: 100, lastExit: null });

/** A host in memory that runs r1 of the sample product. What a test does not need is not there: asking for it fails. */
export function createFakeHost(change: { readonly manifest?: Partial<ProductManifest> } = {}): FakeHost {
  const state = sampleState();
  const units = new Map<InstanceName, InstanceStatus>((Object.keys(state.instances) as InstanceName[]).map((name) => [name, active('r1')]));
  const changes: string[] = [];
  const memory = new Map<ProductName, { fence: number; runId: RunId }>();
  const host: FakeHost = {
    state,
    units,
    changes,
    inFlight: 0,
    routed: [],
    dependencies: {
      host: 'h1' as HostId,
      root: '/nowhere',
      ports: 'manifest',
      store: {
        readState: async () => host.state,
        writeState: async (next: HostState) => {
          changes.push('state');
          host.state = next;
        },
        readFence: async (product: ProductName) => memory.get(product) ?? null,
        writeFence: async (product: ProductName, fence: number, runId: RunId) => void memory.set(product, { fence, runId }),
      },
      files: { readInstanceConfig: async () => null },
      releases: { current: async () => host.state.activeReleaseId, readManifest: async (_product: ProductName, releaseId: ReleaseId) => sampleManifest({ releaseId, ...change.manifest }) },
      services: {
        kind: 'embedded',
        status: async ({ instance: name }: { instance: InstanceName }): Promise<InstanceStatus> => units.get(name) ?? { status: 'inactive', releaseId: null, pid: null, lastExit: null },
        stop: async ({ instance }: { instance: InstanceName }) => {
          changes.push(`stop ${instance}`);
          units.delete(instance);
          return 'stopped';
        },
        start: async ({ instance, releaseId }: { instance: InstanceName; releaseId: ReleaseId }) => {
          if (units.get(instance)?.releaseId === releaseId) return 'already_running';
          changes.push(`start ${instance} ${releaseId}`);
          units.set(instance, active(releaseId));
          return 'started';
        },
        evidence: async () => [],
        forget: async () => undefined,
      },
      router: {
        kind: 'embedded',
        apply: async (wanted: RouterState) => {
          changes.push(`router ${wanted.members.filter(({ admitted }) => admitted).map(({ instance }) => instance).join(' ')}`);
          host.routed.push(wanted);
          return 'applied';
        },
        inFlight: async () => host.inFlight,
      },
      now: () => new Date('2026-01-02T00:00:00.000Z'),
    } as unknown as HostDependencies,
  };
  return host;
}

export function activityContext(cancel: AbortSignal = new AbortController().signal): ActivityContext & { readonly told: unknown[] } {
  const told: unknown[] = [];
  return { cancel, progress: (details) => void told.push(details), attempt: 1, told };
}
