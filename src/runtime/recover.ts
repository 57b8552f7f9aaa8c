import { createHostActivities } from '../../activities/host/index.ts';
import type { HostDependencies, RunRef } from '../../activities/host/dependencies.ts';
import { FairleadError } from '../domain/failure.ts';
import type { Intent } from '../domain/host/state.ts';
import type { InstanceName, ProductName, ReleaseId, RunId } from '../domain/ids.ts';
import { instancesOf, type ProductManifest } from '../domain/product/manifest.ts';
import { recoverCertificate } from './recover-certificate.ts';
import type { ActivityContext } from '../ports/host-activity.ts';

export interface RecoverRequest {
  readonly product: ProductName;
  /** The run whose host is to be brought back; null takes the one that the host's intent names. */
  readonly runId: RunId | null;
  /** Also where the run is not stranded, because the control plane that would go on with it is gone. */
  readonly force: boolean;
  readonly say: (line: string) => void;
}

export interface RecoverResult {
  readonly schema: 1;
  readonly outcome: 'recovered' | 'nothing_to_do';
  readonly product: ProductName;
  readonly runId: RunId | null;
  /** The release that serves now; null where nothing was installed before. */
  readonly releaseId: ReleaseId | null;
  readonly backupPath: string | null;
  readonly instances: readonly { readonly name: InstanceName; readonly restarted: boolean }[];
}

/**
 * Brings a host back to its last good release with what lies on it: no Temporal, API or PostgreSQL. Every step proves itself; the first one
 * that fails ends it with the reason, and it may be called again. What it did is told to control at the next contact.
 *
 * Refuses a host with no intent of that run (`recovery_unknown`), and a run that is still under way unless `force` (`run_under_way`): that
 * one is then fenced off first, so that none of its commands can arrive in the middle.
 */
export async function recoverHost(host: HostDependencies, request: RecoverRequest): Promise<RecoverResult> {
  const { product, say } = request;
  const intent = await host.store.readIntent(product);
  if (intent === null) return nothingToDo(host, request);
  demandRecoverable(intent, request);

  const { runId, fromReleaseId: from, toReleaseId: to } = intent;
  const run = await fenceOff(host, intent);
  if (intent.kind === 'cert-renewal') {
    const used = await recoverCertificate(host, run, say);
    await host.store.writeRecovered(product, runId, host.now().toISOString(), { by: 'fairlead recover', releaseId: from, forced: intent.stranded === null, restarted: [] });
    await createHostActivities(host).activities.closeIntent({ run, direction: 'recover' }, { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 });
    return { schema: 1, outcome: 'recovered', product, runId, releaseId: from, backupPath: used, instances: [] };
  }
  const { activities } = createHostActivities(host);
  const context: ActivityContext = { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 };
  const command = { run, direction: 'recover' } as const;
  const record = await host.store.readRecovery(product, runId);
  const backupPath = record?.backupPath ?? intent.backupPath;
  const newManifest = await manifestIfThere(host, product, to);
  const instances: { name: InstanceName; restarted: boolean }[] = [];

  if (from === null) {
    say('nothing was installed before: taking the new release away');
    await activities.deactivateRelease(command, context);
    for (const name of namesAfter(intent, newManifest).reverse()) {
      say(`stopping ${name}`);
      await activities.retireInstance({ ...command, instance: name }, context);
    }
    await activities.unconfigureInstances({ ...command, keep: [] }, context);
  } else {
    const manifest = await host.releases.readManifest(product, from);
    say(`current -> ${from}`);
    await activities.activateRelease({ ...command, releaseId: from }, context);
    const phase = intent.phaseBefore ?? intent.phase;
    await activities.resetPhase({ ...command, phase }, context);
    await activities.restoreEnvironment(command, context);
    const wanted = intent.instancesBefore ?? instancesOf(manifest, phase).map(({ name }) => name);
    for (const name of namesAfter(intent, newManifest)) {
      if (wanted.includes(name)) continue;
      say(`stopping ${name}, which ${from} does not have`);
      await activities.retireInstance({ ...command, instance: name }, context);
    }
    if (newManifest?.hooks.migrate && newManifest.data.onRollback === 'restore' && backupPath && !record?.undone.includes('restore-data')) {
      say(`restoring data from ${backupPath}`);
      await activities.restoreData({ ...command, fromReleaseId: from, toReleaseId: to }, context);
    }
    for (const name of wanted) {
      const { result } = await activities.restartInstance({ ...command, instance: name, releaseId: from }, context);
      const { readyAfterMs } = await activities.proveInstance({ ...command, instance: name, releaseId: from, bakeSeconds: 0 }, context);
      await activities.admitInstance({ ...command, instance: name }, context);
      say(`${name} ${result === 'restarted' ? 'was started on' : 'runs'} ${from}, and answers after ${(readyAfterMs / 1000).toFixed(1)} s`);
      instances.push({ name, restarted: result === 'restarted' });
    }
    // All requests go back to these, whatever share of them was on the way to the others.
    await activities.shiftTraffic({ ...command, to: wanted, from: [], percent: 100 }, context);
    const { probes } = await activities.verifyHealth({ ...command, releaseId: from, phase }, context);
    say(`the health model of phase ${phase} passes: ${probes} probes`);
  }

  if (to !== from) await activities.discardRelease({ ...command, releaseId: to, condemn: true }, context);
  const at = host.now().toISOString();
  // Before the intent goes: a crash in between leaves a mark too many, never one too few.
  await host.store.writeRecovered(product, runId, at, { by: 'fairlead recover', releaseId: from, forced: intent.stranded === null, restarted: instances.filter(({ restarted }) => restarted).map(({ name }) => name) });
  await activities.closeIntent(command, context);
  return { schema: 1, outcome: 'recovered', product, runId, releaseId: from, backupPath, instances };
}

/** The instances that the run was to bring about. */
function namesAfter(intent: Intent, manifest: ProductManifest | null): InstanceName[] {
  return [...(intent.instancesAfter ?? (manifest ? instancesOf(manifest, intent.phase).map(({ name }) => name) : []))];
}

async function nothingToDo(host: HostDependencies, { product, runId }: RecoverRequest): Promise<RecoverResult> {
  const state = await host.store.readState(product);
  if (state === null) {
    throw new FairleadError({
      class: 'request',
      code: 'product_unknown',
      message: `There is nothing of ${product} below ${host.root}.`,
      hint: `Products here: ${(await host.store.products()).join(', ') || 'none'}. On a development host, name its root with --root.`,
    });
  }
  return { schema: 1, outcome: 'nothing_to_do', product, runId, releaseId: state.activeReleaseId, backupPath: null, instances: [] };
}

function demandRecoverable(intent: Intent, { product, runId, force }: RecoverRequest): void {
  if (runId !== null && runId !== intent.runId) {
    throw new FairleadError({
      class: 'request',
      code: 'recovery_unknown',
      message: `The run that has to be recovered here is ${intent.runId}, not ${runId}.`,
      hint: `fairlead recover --product ${product} --run ${intent.runId}`,
    });
  }
  if (intent.stranded === null && !force) {
    throw new FairleadError({
      class: 'request',
      code: 'run_under_way',
      message: `Run ${intent.runId} is applying ${intent.toReleaseId} here since ${intent.openedAt}, and is not stranded: it goes on, or back, by itself once control reaches this host.`,
      hint: `To roll it back: fairlead runs cancel ${intent.runId}. Where the control plane is gone for good: fairlead recover --product ${product} --force`,
    });
  }
}

/** Half a step above the run: older than every run to come, newer than every command of this one. */
async function fenceOff(host: HostDependencies, { runId, product, fence }: Intent): Promise<RunRef> {
  const seen = await host.store.readFence(product);
  const taken = Math.max(fence, Math.floor(seen?.fence ?? 0)) + 0.5;
  await host.store.writeFence(product, taken, runId);
  return { runId, host: host.host, product, fence: taken };
}

async function manifestIfThere({ releases }: HostDependencies, product: ProductName, releaseId: ReleaseId): Promise<ProductManifest | null> {
  return (await releases.isComplete(product, releaseId)) ? releases.readManifest(product, releaseId) : null;
}
