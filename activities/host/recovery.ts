import type { Reason } from '../../src/domain/failure.ts';
import { hostLayout, type HostLayout } from '../../src/domain/host/layout.ts';
import { emptyState, type HostState } from '../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId, RunId } from '../../src/domain/ids.ts';
import { findInstance, type ProductManifest } from '../../src/domain/product/manifest.ts';
import { renderRecoveryScript } from '../../src/domain/recovery/script.ts';
import { quoteForShell } from '../../src/domain/shell-word.ts';
import type { RecoveryRecord } from '../../src/domain/run/report.ts';
import type { Command, HostDependencies } from './dependencies.ts';
import { createOwnProcess } from './own-process.ts';
import { hookEnvironment, hookPath } from './hook.ts';
import { fillPlaceholders, instanceRef, routerStateOf, specOf } from './instance-spec.ts';

export interface RecoveryInput extends Command {
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  /** The instances to have afterwards; the ones of the state when the run began. */
  readonly instancesBefore: readonly InstanceName[];
  readonly instancesAfter: readonly InstanceName[];
  readonly backupPath: string | null;
  readonly failedStep: string;
  readonly stuckAt: string;
  readonly undone: readonly string[];
  readonly reason: Reason;
  readonly restoreData: boolean;
}

export function createRecoveryActivities(dependencies: HostDependencies) {
  const { root, host, store, releases, services, router, backups, now } = dependencies;
  const own = createOwnProcess(dependencies);

  async function recordOf(input: RecoveryInput): Promise<RecoveryRecord> {
    const { runId, product } = input.run;
    const state = await store.readState(product);
    const names = [...new Set([...input.instancesBefore, ...input.instancesAfter])];
    const manifests = await Promise.all([input.fromReleaseId, input.toReleaseId].map(async (id) => (id ? releases.readManifest(product, id).catch(() => null) : null)));
    const instances = await Promise.all(
      names.map(async (name) => {
        const status = await services.status(instanceRef(product, name, state, ...manifests));
        return { name, status: status.status, releaseId: status.releaseId ?? state?.instances[name]?.releaseId ?? null };
      }),
    );
    return {
      schema: 1,
      runId,
      host,
      product,
      backupPath: input.backupPath,
      failedStep: input.failedStep,
      attemptedReleaseId: input.toReleaseId,
      lastGoodReleaseId: input.fromReleaseId,
      activeReleaseId: await releases.current(product),
      undone: input.undone,
      stuckAt: input.stuckAt,
      reason: input.reason,
      instances,
      commands: recoveryCommandsFor(root, product, runId),
    };
  }

  async function scriptOf(input: RecoveryInput): Promise<string> {
    const { run, fromReleaseId: from, instancesBefore, instancesAfter } = input;
    const layout = hostLayout(root, run.product);
    const state = await store.readState(run.product);
    const manifest = from ? await releases.readManifest(run.product, from) : null;
    const newManifest = (await releases.isComplete(run.product, input.toReleaseId)) ? await releases.readManifest(run.product, input.toReleaseId) : null;
    const stateAfter: HostState | null =
      from && state
        ? {
            ...state,
            activeReleaseId: from,
            lastGoodReleaseId: from,
            instances: Object.fromEntries(
              instancesBefore.flatMap((name) => {
                const entry = state.instances[name];
                return entry ? [[name, { ...entry, releaseId: from, admitted: true, startedBy: null }]] : [];
              }),
            ),
            lastRunId: run.runId,
            updatedAt: now().toISOString(),
          }
        : null;
    const specFor = (release: ProductManifest | null, name: InstanceName) =>
      release && findInstance(release, name) ? specOf(root, release, name, state?.instances[name]?.port ?? findInstance(release, name)?.port ?? 0) : null;
    return renderRecoveryScript({
      host,
      product: run.product,
      runId: run.runId,
      writtenAt: now().toISOString(),
      layout,
      lastGoodReleaseId: from,
      attemptedReleaseId: input.toReleaseId,
      backupPath: input.backupPath,
      restoreData: input.restoreData && manifest ? restoreLines(manifest, backups.path(run.product, run.runId), releases.directory(run.product, manifest.releaseId), layout) : [],
      start: instancesBefore.flatMap((name) => {
        const spec = specFor(manifest, name);
        if (!spec || !manifest) return [];
        const ready = manifest.probes[findInstance(manifest, name)?.service.probes.ready ?? ''];
        return [{ instance: name, lines: services.recoveryCommands(spec), readyUrl: ready ? `http://127.0.0.1:${spec.env['PORT']}${ready.path}` : null }];
      }),
      stop: instancesAfter
        .filter((name) => !instancesBefore.includes(name))
        .flatMap((name) => {
          const spec = specFor(newManifest, name);
          return spec ? [{ instance: name, lines: services.stopCommands(spec) }] : [];
        }),
      router: stateAfter && manifest ? routerLines(stateAfter, manifest) : [],
      stateAfter: stateAfter ?? (from === null && state?.failedReleaseIds.length ? { ...emptyState(run.product, now().toISOString()), failedReleaseIds: state.failedReleaseIds } : null),
    });
  }

  function routerLines(state: HostState, manifest: ProductManifest): string[] {
    const wanted = routerStateOf(root, state, manifest);
    return wanted ? router.recoveryCommands(wanted) : [];
  }

  return {
    /**
     * Writes the record and the script before anything that serves is touched: should host and control both die on the way, whoever finds
     * the host can bring it back from what lies on it.
     */
    async armRecovery(input: RecoveryInput): Promise<{ script: string }> {
      const { script } = await store.writeRecovery(await recordOf(input), await scriptOf(input));
      return { script };
    },

    /** The undo failed as well: the record says where it stuck, and the intent keeps every other run away until a person has decided. */
    async strandHost(input: RecoveryInput): Promise<RecoveryRecord> {
      await own.forget(input);
      const record = await recordOf(input);
      await store.writeRecovery(record, await scriptOf(input));
      const intent = await store.readIntent(input.run.product);
      if (intent && intent.runId === input.run.runId && intent.stranded === null) await store.writeIntent({ ...intent, stranded: input.reason });
      return record;
    },
  };
}

/** What a person types on a stranded host, the more careful way first. */
export function recoveryCommandsFor(root: string, product: HostState['product'], runId: RunId): string[] {
  const at = root === '/' ? '' : ` --root ${root}`;
  return [`fairlead recover${at} --product ${product} --run ${runId}`, `sh ${hostLayout(root, product).recoveryScript(runId)}`];
}

function restoreLines(manifest: ProductManifest, backupDir: string, releaseDir: string, layout: HostLayout): string[] {
  const hook = manifest.hooks.restore;
  if (!hook) return [`say '  copy the folders in ${backupDir}/paths back by hand; ${backupDir}/backup.json says where each came from'`, 'failed=1'];
  // With the agent's PATH, as in a run: whoever brings the host back in the night may have a shorter one.
  const environment = { PATH: hookPath(), ...hookEnvironment(manifest, releaseDir, layout), FAIRLEAD_BACKUP_DIR: `${backupDir}/hook` };
  const assignments = Object.entries(environment).map(([name, value]) => `${name}=${quoteForShell(value)}`);
  const words = hook.command.map((word) => quoteForShell(fillPlaceholders(word, releaseDir, layout)));
  return [`(cd ${quoteForShell(releaseDir)} && ${[...assignments, ...words].join(' ')}); check $? 'the restore hook failed'`];
}
