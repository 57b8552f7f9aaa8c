import { FairleadError } from '../../src/domain/failure.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { Phase, ProductManifest } from '../../src/domain/product/manifest.ts';
import { setupProblem, uncertifiedOrigin, type SetupStatus } from '../../src/domain/promotion/setup.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { Command, HostDependencies, ReleaseCommand } from './dependencies.ts';
import { demandState } from './instance-spec.ts';

export interface PhaseCommand extends Command {
  readonly phase: Phase;
}

export interface CheckSetupInput extends ReleaseCommand {
  /** Of the certificate that the promotion gets: the public origin has to be one of them. */
  readonly names?: readonly string[];
}

export function createPromotionActivities({ host, store, files, releases, setup, now }: HostDependencies) {
  /** Asks the setup instance that gets requests. Null where the product declares no setup contract. */
  async function readSetup(manifest: ProductManifest, state: HostState, cancel: AbortSignal): Promise<SetupStatus | null> {
    if (manifest.setup === null) return null;
    const { service, path, timeoutSeconds } = manifest.setup;
    const serving = Object.entries(state.instances).find(([, entry]) => entry.service === service && entry.admitted);
    if (serving) return setup.read(serving[1].port, path, timeoutSeconds * 1000, cancel);
    throw new FairleadError({
      class: 'host',
      code: 'setup_unreachable',
      message: `No instance of ${service} serves on ${host} that could say whether the set-up is complete.`,
      hint: `See fairlead nodes show ${host}.`,
    });
  }

  return {
    /** Refuses where the setup phase is not complete, with what is missing. Changes nothing. */
    async checkSetup({ run, releaseId, names }: CheckSetupInput, context: ActivityContext): Promise<{ note: string }> {
      const manifest = await releases.readManifest(run.product, releaseId);
      const status = await readSetup(manifest, demandState(await store.readState(run.product), run.product), context.cancel);
      if (status === null) return { note: 'the product declares no setup contract' };
      const problem = setupProblem(status, `${run.product} on ${run.host}`);
      if (problem !== null) throw new FairleadError(problem);
      const uncertified = names === undefined || status.publicOrigin === null ? null : uncertifiedOrigin(status.publicOrigin, names);
      if (uncertified !== null) throw new FairleadError(uncertified);
      return { note: status.publicOrigin === null ? 'complete' : `complete, for ${status.publicOrigin}` };
    },

    /**
     * Writes what the setup phase has settled into `.env.production`, 0600. What people have written there stays; what was there before the run is kept
     * until it is over. The values never leave the host.
     */
    async writeEnvironment({ run, releaseId }: ReleaseCommand, context: ActivityContext): Promise<{ names: readonly string[] }> {
      const manifest = await releases.readManifest(run.product, releaseId);
      const status = await readSetup(manifest, demandState(await store.readState(run.product), run.product), context.cancel);
      const before = await files.keepEnvironment(run.product, run.runId);
      const settled = { ...status?.environment, ...(status?.publicOrigin ? { PUBLIC_ORIGIN: status.publicOrigin } : {}) };
      await files.writeEnvironment(run.product, { ...settled, ...before });
      return { names: Object.keys(settled).filter((name) => !(name in before)) };
    },

    /** `.env.production` as it was before the run. */
    async restoreEnvironment({ run }: Command): Promise<void> {
      await files.restoreEnvironment(run.product, run.runId);
    },

    /** Writes the phase back that the host had before the run. */
    async resetPhase({ run, phase }: PhaseCommand): Promise<void> {
      const state = demandState(await store.readState(run.product), run.product);
      if (state.phase !== phase) await store.writeState({ ...state, phase, lastRunId: run.runId, updatedAt: now().toISOString() });
    },
  };
}
