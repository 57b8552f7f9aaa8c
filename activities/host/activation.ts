import type { Phase } from '../../src/domain/product/manifest.ts';
import type { Command, HostDependencies, ReleaseCommand } from './dependencies.ts';
import { demandState } from './instance-spec.ts';
import { createOwnProcess } from './own-process.ts';

export interface CommitInput extends ReleaseCommand {
  /** The phase that the host is in from here on; left out, it stays. */
  readonly phase?: Phase;
}

export function createActivationActivities(dependencies: HostDependencies) {
  const { store, releases, backups, now } = dependencies;
  const own = createOwnProcess(dependencies);
  return {
    /** Points `current` at a complete release. The switch is one rename(2); the state follows it. Forward and back alike. */
    async activateRelease({ run, releaseId, direction }: ReleaseCommand): Promise<{ changed: boolean }> {
      const { product } = run;
      const changed = (await releases.activate(product, releaseId)) === 'activated';
      const state = demandState(await store.readState(product), product);
      // On the way back the commit may have been written already, without its answer having arrived.
      const committed = direction !== 'do' && state.lastGoodReleaseId !== releaseId;
      if (state.activeReleaseId !== releaseId || committed) {
        const before = committed && (await backups.isComplete(product, run.runId)) ? await backups.readState(product, run.runId) : null;
        const good = committed ? { lastGoodReleaseId: releaseId, previousGoodReleaseId: before?.previousGoodReleaseId ?? null } : {};
        await store.writeState({ ...state, ...good, activeReleaseId: releaseId, lastRunId: run.runId, updatedAt: now().toISOString() });
      }
      return { changed };
    },

    /** The way back of a first install: no release is active. */
    async deactivateRelease({ run }: Command): Promise<void> {
      const { product } = run;
      await releases.deactivate(product);
      const state = await store.readState(product);
      if (state && state.activeReleaseId !== null) {
        await store.writeState({ ...state, activeReleaseId: null, lastRunId: run.runId, updatedAt: now().toISOString() });
      }
    },

    /** The new release is the last good one from here on; there is no way back by itself after this. */
    async commitRelease(command: CommitInput): Promise<void> {
      const { run, releaseId, phase } = command;
      const { product } = run;
      // First: a host must not be taken back from what it was told to be good.
      await own.disarm(command);
      const state = demandState(await store.readState(product), product);
      const settled = phase === undefined || state.phase === phase;
      if (settled && state.lastGoodReleaseId === releaseId && state.lastRunId === run.runId && !state.failedReleaseIds.includes(releaseId)) return;
      const replaced = state.lastGoodReleaseId === releaseId ? state.previousGoodReleaseId : state.lastGoodReleaseId;
      await store.writeState({
        ...state,
        phase: phase ?? state.phase,
        activeReleaseId: releaseId,
        lastGoodReleaseId: releaseId,
        previousGoodReleaseId: replaced,
        failedReleaseIds: state.failedReleaseIds.filter((id) => id !== releaseId),
        lastRunId: run.runId,
        updatedAt: now().toISOString(),
      });
    },
  };
}
