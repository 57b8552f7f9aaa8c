import * as fs from 'node:fs/promises';
import { routerStateOf } from '../../../activities/host/instance-spec.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { errnoOf } from '../../adapters/files/durable.ts';
import { findByEnvironment, type ScannedProcess } from '../../adapters/process/proc.ts';
import { messagesOf } from '../../domain/failure.ts';
import type { InstanceSight, Seen } from '../../domain/host/drift.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostState } from '../../domain/host/state.ts';
import type { InstanceName, ProductName, ReleaseId } from '../../domain/ids.ts';
import type { RouterSight } from './router-sight.ts';

export type Sight = (product: ProductName, state: HostState | null, scan?: ProcessScan) => Promise<Omit<Seen, 'memory'>>;
/** Every process of the host, looked up once for all of its instances; null where it does not help. */
export type ProcessScan = () => Promise<readonly ScannedProcess[] | null>;

/** Looks at a product on the host and changes nothing. */
export function createSight(host: HostDependencies, lookAtRouter: RouterSight): Sight {
  return async (product, state, scan = createProcessScan(host)) => ({
    current: await lookAtCurrent(host, product),
    instances: state === null ? {} : await lookAtInstances(host, product, state, scan),
    modes: await lookAtModes(host, product, state),
    router: state === null ? { status: 'none', detail: 'nothing is installed' } : await routerOf(host, state, lookAtRouter),
  });
}

/** One walk through `/proc` answers for every instance that runs; what it costs does not grow with their number. */
export function createProcessScan({ services, root }: Pick<HostDependencies, 'services' | 'root'>): ProcessScan {
  let scanning: Promise<readonly ScannedProcess[] | null> | null = null;
  // Only plain processes name their host in their environment. The managers of a machine are asked, which is cheap.
  return () => (scanning ??= services.kind === 'embedded' ? findByEnvironment({ FAIRLEAD_ROOT: root }).catch(() => null) : Promise.resolve(null));
}

async function lookAtInstances({ services }: HostDependencies, product: ProductName, state: HostState, scan: ProcessScan): Promise<Seen['instances']> {
  const processes = await scan();
  const looked = Object.entries(state.instances).map(async ([name, { service }]): Promise<[string, InstanceSight]> => {
    const running = processes === null ? null : runningIn(processes, `${product}/${name}`);
    if (running !== null) return [name, running];
    // One that was not seen is asked for by its name: it may just start, and how it ended is worth telling.
    const status = await services.status({ product, service, instance: name as InstanceName });
    return [name, { status: status.status, releaseId: status.releaseId, lastExit: status.lastExit }];
  });
  return Object.fromEntries(await Promise.all(looked)) as Seen['instances'];
}

/** The instance leads its session, and its parent is none of its own. */
function runningIn(processes: readonly ScannedProcess[], identity: string): InstanceSight | null {
  const members = processes.filter(({ environment }) => environment['FAIRLEAD_INSTANCE'] === identity);
  const main = members.find((member) => member.sessionId === member.pid && !members.some(({ pid }) => pid === member.parentPid));
  return main === undefined ? null : { status: 'active', releaseId: (main.environment['FAIRLEAD_RELEASE_ID'] ?? null) as ReleaseId | null, lastExit: null };
}

async function lookAtCurrent({ root, releases }: HostDependencies, product: ProductName): Promise<Seen['current']> {
  const target = await fs.readlink(hostLayout(root, product).currentLink).catch((error: unknown) => (errnoOf(error) === 'EINVAL' ? '(no symbolic link)' : null));
  // What leads out of `releases/` leads to no release of ours.
  const releaseId = await releases.current(product).catch(() => null);
  return { target, releaseId, complete: releaseId !== null && (await releases.isComplete(product, releaseId).catch(() => false)) };
}

async function lookAtModes({ root }: HostDependencies, product: ProductName, state: HostState | null): Promise<Seen['modes']> {
  const layout = hostLayout(root, product);
  const paths = [layout.envFile, ...(Object.keys(state?.instances ?? {}) as InstanceName[]).map(layout.configFile)];
  const modes = await Promise.all(
    paths.map((path) =>
      fs.stat(path).then(
        ({ mode }) => [{ path, mode: mode & 0o7777 }],
        () => [],
      ),
    ),
  );
  return modes.flat();
}

async function routerOf({ root, releases }: HostDependencies, state: HostState, look: RouterSight): Promise<Seen['router']> {
  try {
    // Runs apply the declaration of the release that `current` leads to. Where somebody has moved that, the active release is still what is meant.
    const declaring = state.activeReleaseId;
    const wanted = declaring === null ? null : routerStateOf(root, state, await releases.readManifest(state.product, declaring));
    return wanted === null ? { status: 'none', detail: 'the release has no router' } : await look(wanted);
  } catch (error) {
    return { status: 'unknown', detail: messagesOf(error).join(': ') };
  }
}
