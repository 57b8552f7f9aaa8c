import { FairleadError } from '../../src/domain/failure.ts';
import type { Intent } from '../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import type { Phase } from '../../src/domain/product/manifest.ts';
import type { RunKind } from '../../src/domain/run/kind.ts';
import type { Command, HostDependencies } from './dependencies.ts';
import { createOwnProcess } from './own-process.ts';

export interface OpenIntentInput extends Command {
  readonly kind: RunKind;
  readonly phaseBefore: Phase;
  readonly phase: Phase;
  readonly instancesBefore: readonly InstanceName[];
  readonly instancesAfter: readonly InstanceName[];
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
}

export function createIntentActivities(dependencies: HostDependencies) {
  const { store, files, now } = dependencies;
  const own = createOwnProcess(dependencies);
  return {
    /**
     * Writes down what is about to happen, before anything does. A leftover of an older run that died is replaced: the lock on the
     * workflow id says that nobody works on it any more. A stranded one is refused: that host waits for a person.
     */
    async openIntent(input: OpenIntentInput): Promise<void> {
      const { run } = input;
      const before = await store.readIntent(run.product);
      if (before?.stranded && before.runId !== run.runId) {
        throw new FairleadError({
          class: 'host',
          code: 'host_stranded',
          message: `${run.host}/${run.product} is stranded since run ${before.runId}: ${before.stranded.message}`,
          hint: `On the host, run: fairlead recover --product ${run.product} --run ${before.runId}`,
        });
      }
      if (before?.runId === run.runId) return;
      await own.forget(input);
      await files.prepareFolders(run.product);
      const intent: Intent = {
        schema: 1,
        runId: run.runId,
        fence: run.fence,
        kind: input.kind,
        product: run.product,
        phase: input.phase,
        phaseBefore: input.phaseBefore,
        instancesBefore: input.instancesBefore,
        instancesAfter: input.instancesAfter,
        fromReleaseId: input.fromReleaseId,
        toReleaseId: input.toReleaseId,
        openedAt: now().toISOString(),
        backupPath: null,
        stranded: null,
      };
      await store.writeIntent(intent);
    },

    /** Nothing of the run is left to be done. Idempotent; the recovery files go too, since nobody needs them any more. */
    async closeIntent(input: Command): Promise<void> {
      const { runId, product } = input.run;
      const intent = await store.readIntent(product);
      await own.forget(input);
      await store.removeRecovery(product, runId);
      await files.forgetEnvironment(product, runId);
      if (intent && intent.runId === runId) await store.removeIntent(product);
    },
  };
}
