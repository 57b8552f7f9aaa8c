import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { createHostActivities } from '../../../activities/host/index.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { declarationOf, demandState } from '../../../activities/host/instance-spec.ts';
import { inspectBundle } from '../../adapters/bundle/inspect.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { InstanceState } from '../../domain/host/state.ts';
import { ownProduct, type InstanceName, type ReleaseId, type RunId } from '../../domain/ids.ts';
import { instancesOf, type ProductManifest } from '../../domain/product/manifest.ts';
import type { ActivityContext } from '../../ports/host-activity.ts';
import { bringUp } from '../agent/boot.ts';

export interface AdoptRequest {
  /** A bundle of Fairlead itself: a node's, or a controller's on the host of the control plane. */
  readonly bundleFile: string;
  readonly say: (line: string) => void;
}

export interface AdoptResult {
  readonly schema: 1;
  readonly outcome: 'installed' | 'unchanged';
  readonly releaseId: ReleaseId;
  readonly instances: readonly InstanceName[];
}

/**
 * Puts Fairlead onto this host as a product of its own, from a bundle and with nobody's help: its instances are then run by the host's service manager from
 * `/opt/fairlead/current`, and from there on it is updated like every product. Everything is on the disk before the first instance is started; asked again, it
 * starts what does not run.
 *
 * @throws FairleadError `not_fairlead` for a bundle of another product; `already_adopted` where another release is installed; what the steps throw
 */
export async function adoptOwnProduct(host: HostDependencies, { bundleFile, say }: AdoptRequest): Promise<AdoptResult> {
  const { artifact } = await inspectBundle(bundleFile);
  const { releaseId, manifest } = artifact;
  if (artifact.product !== ownProduct) {
    throw new FairleadError({ class: 'request', code: 'not_fairlead', message: `${bundleFile} is a bundle of ${artifact.product}, not of Fairlead itself.`, hint: 'Make one with npm run release. Other products are installed by: fairlead update apply' });
  }
  const state = await host.store.readState(ownProduct);
  const instances = instancesOf(manifest, manifest.initialPhase).map(({ name }) => name);
  if (state?.lastGoodReleaseId && state.lastGoodReleaseId !== releaseId) {
    throw new FairleadError({ class: 'request', code: 'already_adopted', message: `This host runs Fairlead ${state.lastGoodReleaseId} as a product already.`, hint: `Bring it to ${releaseId} from the controller: fairlead nodes update` });
  }
  const { activities } = createHostActivities({ ...host, artifacts: fromFile(bundleFile) });
  const context: ActivityContext = { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 };
  const runId = ((await host.store.readIntent(ownProduct))?.runId ?? (await host.store.readFence(ownProduct))?.runId ?? randomUUID()) as RunId;
  // Older than every run that control will ever start.
  const command = { run: { runId, host: host.host, product: ownProduct, fence: (await host.store.readFence(ownProduct))?.fence ?? 0 }, direction: 'do' } as const;
  const phase = manifest.initialPhase;

  if (state?.lastGoodReleaseId !== releaseId) {
    await activities.openIntent({ ...command, kind: 'update-apply', phaseBefore: phase, phase, fromReleaseId: null, toReleaseId: releaseId, instancesBefore: [], instancesAfter: instances }, context);
    await activities.downloadBundle({ ...command, artifact }, context);
    await activities.verifyBundle({ ...command, artifact }, context);
    const { files } = await activities.extractBundle({ ...command, artifact }, context);
    say(`release ${releaseId}: ${files} files`);
    await activities.configureInstances({ ...command, releaseId, phase, instances }, context);
    await activities.activateRelease({ ...command, releaseId }, context);
    await writeInstances(host, manifest, instances, runId);
    await activities.commitRelease({ ...command, releaseId }, context);
    await activities.closeIntent(command, context);
  }
  // From the first start on, the host's memory is the agent's: nothing is written here any more.
  await bringUp(host, { info: () => undefined, warn: () => undefined, error: (fields, message) => say(`${message}: ${JSON.stringify(fields)}`) });
  for (const instance of instances) {
    const { readyAfterMs } = await activities.proveInstance({ ...command, instance, releaseId, bakeSeconds: 0 }, context);
    say(`${instance} runs ${releaseId}, and answers after ${(readyAfterMs / 1000).toFixed(1)} s`);
  }
  await activities.verifyHealth({ ...command, releaseId, phase }, context);
  return { schema: 1, outcome: state?.lastGoodReleaseId === releaseId ? 'unchanged' : 'installed', releaseId, instances };
}

async function writeInstances({ store, files, now }: HostDependencies, manifest: ProductManifest, names: readonly InstanceName[], runId: RunId): Promise<void> {
  const entries = await Promise.all(
    names.map(async (name): Promise<[InstanceName, InstanceState]> => {
      const { service, port } = declarationOf(manifest, name);
      const config = await files.readInstanceConfig(ownProduct, name);
      return [name, { service: service.name, port: Number(config?.['PORT'] ?? port), releaseId: manifest.releaseId, admitted: true, startedBy: null }];
    }),
  );
  const state = demandState(await store.readState(ownProduct), ownProduct);
  await store.writeState({ ...state, instances: Object.fromEntries(entries), lastRunId: runId, updatedAt: now().toISOString() });
}

const fromFile = (bundleFile: string): HostDependencies['artifacts'] => ({
  async download(artifact, file) {
    await fs.mkdir(dirname(file), { recursive: true });
    await fs.copyFile(bundleFile, file);
    return { bytes: artifact.sizeBytes, resumedFrom: 0 };
  },
});
