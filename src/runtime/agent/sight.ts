import * as fs from 'node:fs/promises';
import { routerStateOf } from '../../../activities/host/instance-spec.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { errnoOf, readIfThere } from '../../adapters/files/durable.ts';
import { isAlive, parseEnvironment } from '../../adapters/process/proc.ts';
import { identityEnvironment, instanceFiles } from '../../adapters/service-manager/embedded/commands.ts';
import { parseRecord } from '../../adapters/service-manager/embedded/parse.ts';
import { messagesOf } from '../../domain/failure.ts';
import type { InstanceSight, Seen } from '../../domain/host/drift.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostState } from '../../domain/host/state.ts';
import { ownProduct, type InstanceName, type ProductName, type ReleaseId } from '../../domain/ids.ts';
import type { ProductManifest } from '../../domain/product/manifest.ts';
import { ownReleaseId } from '../home.ts';
import type { RouterSight } from './router-sight.ts';

export type Sight = (product: ProductName, state: HostState | null) => Promise<Omit<Seen, 'memory'>>;

/** Looks at a product on the host and changes nothing. */
export function createSight(host: HostDependencies, lookAtRouter: RouterSight): Sight {
  // A release does not change, and reading its manifest is most of what a look costs.
  const manifests = new Map<ProductName, ProductManifest>();
  const manifestOf = async (product: ProductName, releaseId: ReleaseId): Promise<ProductManifest> => {
    const known = manifests.get(product);
    const manifest = known?.releaseId === releaseId ? known : await host.releases.readManifest(product, releaseId);
    manifests.set(product, manifest);
    return manifest;
  };
  return async (product, state) => ({
    current: await lookAtCurrent(host, product),
    instances: state === null ? {} : await lookAtInstances(host, product, state),
    modes: await lookAtModes(host, product, state),
    router: state === null ? { status: 'none', detail: 'nothing is installed' } : await routerOf(host.root, state, manifestOf, lookAtRouter),
  });
}

async function lookAtInstances(host: HostDependencies, product: ProductName, state: HostState): Promise<Seen['instances']> {
  const looked = Object.entries(state.instances).map(async ([name, { service }]): Promise<[string, InstanceSight]> => {
    const instance = name as InstanceName;
    // Of the process that looks it is known which code it is; of the others, as what they were started.
    const told = (pid: number | null, sight: InstanceSight): InstanceSight => (product === ownProduct && host.handover.isSelf(pid) ? { ...sight, releaseId: (ownReleaseId() as ReleaseId | null) ?? sight.releaseId } : sight);
    const running = host.services.kind === 'embedded' ? await recorded(host.root, product, instance).catch(() => null) : null;
    if (running !== null) return [name, told(running.pid, running.sight)];
    // One that does not run where it was last seen is asked for: it may just start, and how it ended is worth telling.
    const { status, releaseId, pid, lastExit } = await host.services.status({ product, service, instance });
    return [name, told(pid, { status, releaseId, lastExit })];
  });
  return Object.fromEntries(await Promise.all(looked)) as Seen['instances'];
}

/**
 * Plain processes are found by a walk through all of `/proc`, which is too much for every look. The record says which process was started, and what
 * the kernel says of that one is as good: null where it is not exactly that process, or is none of this instance.
 */
async function recorded(root: string, product: ProductName, instance: InstanceName): Promise<{ pid: number; sight: InstanceSight } | null> {
  const record = parseRecord(await readIfThere(instanceFiles(root, product, instance).record));
  if (!record?.pid || record.startTicks === null || !(await isAlive({ pid: record.pid, startTicks: record.startTicks }))) return null;
  const environment = parseEnvironment(await fs.readFile(`/proc/${record.pid}/environ`, 'latin1'));
  const identity = Object.entries(identityEnvironment(root, product, instance).instance);
  if (identity.some(([name, value]) => environment[name] !== value)) return null;
  return { pid: record.pid, sight: { status: 'active', releaseId: (environment['FAIRLEAD_RELEASE_ID'] ?? null) as ReleaseId | null, lastExit: null } };
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

async function routerOf(root: string, state: HostState, manifestOf: (product: ProductName, releaseId: ReleaseId) => Promise<ProductManifest>, look: RouterSight): Promise<Seen['router']> {
  try {
    // Runs apply the declaration of the release that `current` leads to. Where somebody has moved that, the active release is still what is meant.
    const declaring = state.activeReleaseId;
    const wanted = declaring === null ? null : routerStateOf(root, state, await manifestOf(state.product, declaring));
    return wanted === null ? { status: 'none', detail: 'the release has no router' } : await look(wanted);
  } catch (error) {
    return { status: 'unknown', detail: messagesOf(error).join(': ') };
  }
}
