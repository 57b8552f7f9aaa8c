import { FairleadError } from '../../src/domain/failure.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { Command, HostDependencies, ReleaseCommand } from './dependencies.ts';
import { runHook } from './hook.ts';
import { fillPlaceholders } from './instance-spec.ts';

/** A command that goes from one release to another. */
export interface TransitionCommand extends Command {
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
}

export function createPreparationActivities(dependencies: HostDependencies) {
  const { root, store, releases, backups } = dependencies;

  return {
    /** Asks the new release itself whether it can run here, before anything is touched. */
    async runPreflight({ run, releaseId }: ReleaseCommand, context: ActivityContext): Promise<{ note: string }> {
      const manifest = await releases.readManifest(run.product, releaseId);
      const hook = manifest.hooks.preflight;
      if (!hook) return { note: 'the release declares no preflight hook' };
      const printed = await runHook(dependencies, { name: 'preflight', hook, manifest, env: {}, blame: 'release' }, context);
      return { note: printed || 'passed' };
    },

    /** Keeps configuration, router, state, declared paths, and what the backup hook of the running release adds. Its path goes into the intent. */
    async takeBackup({ run, fromReleaseId, toReleaseId }: TransitionCommand, context: ActivityContext): Promise<{ backupPath: string; bytes: number }> {
      const { product, runId } = run;
      const layout = hostLayout(root, product);
      const manifest = await releases.readManifest(product, fromReleaseId ?? toReleaseId);
      const releaseDir = releases.directory(product, manifest.releaseId);
      const hook = fromReleaseId === null ? undefined : manifest.hooks.backup;
      const paths = manifest.backupPaths.map((path) => fillPlaceholders(path, releaseDir, layout));
      const taken = await backups.take(product, runId, paths, async (directory) => {
        if (hook) await runHook(dependencies, { name: 'backup', hook, manifest, env: { FAIRLEAD_BACKUP_DIR: directory }, blame: 'host' }, context);
      });
      const intent = await store.readIntent(product);
      if (intent?.runId === runId && intent.backupPath !== taken.path) await store.writeIntent({ ...intent, backupPath: taken.path });
      return { backupPath: taken.path, bytes: taken.bytes };
    },

    /** Takes the data to the new release's schema. The hook has to be idempotent: a killed one is run again. */
    async migrateData({ run, fromReleaseId, toReleaseId }: TransitionCommand, context: ActivityContext): Promise<{ note: string }> {
      const manifest = await releases.readManifest(run.product, toReleaseId);
      const hook = manifest.hooks.migrate;
      if (!hook) return { note: 'the release declares no migrate hook' };
      const env = { FAIRLEAD_FROM_RELEASE: fromReleaseId ?? '' };
      const printed = await runHook(dependencies, { name: 'migrate', hook, manifest, env, blame: 'release' }, context);
      return { note: printed || 'migrated' };
    },

    /** Puts the backed-up data back: by the restore hook of the old release where it has one, else by the copied paths. */
    async restoreData({ run, fromReleaseId, toReleaseId }: TransitionCommand, context: ActivityContext): Promise<{ note: string }> {
      const { product, runId } = run;
      const manifest = await releases.readManifest(product, fromReleaseId ?? toReleaseId);
      if (!(await backups.isComplete(product, runId))) {
        throw new FairleadError({
          class: 'host',
          code: 'backup_incomplete',
          message: `There is no finished backup of run ${runId} at ${backups.path(product, runId)} to restore from.`,
          hint: 'Look for an older one beside it.',
        });
      }
      const hook = manifest.hooks.restore;
      if (!hook) {
        await backups.restorePaths(product, runId);
        return { note: `restored ${manifest.backupPaths.length} paths` };
      }
      const env = { FAIRLEAD_BACKUP_DIR: `${backups.path(product, runId)}/hook` };
      const printed = await runHook(dependencies, { name: 'restore', hook, manifest, env, blame: 'host' }, context);
      return { note: printed || 'restored' };
    },
  };
}
