import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { HostInspection } from '../../src/domain/host/state.ts';
import type { HostId } from '../../src/domain/ids.ts';
import { planUpdate } from '../../src/domain/update/plan.ts';
import { planUndo } from '../../src/domain/update/undo.ts';

export interface Minimum {
  /** On the host's queue. */
  readonly host: number;
  /** On control's queue: the row, the audit's intent, an undo's, the report, and the rollout's own word on how it ended. */
  readonly control: number;
}

/**
 * The fewest activities that a run can have which does every step of the domain's plan once: those on the host, and what control has to keep.
 * @param fails whether the first proof of an instance fails, and the host is brought back
 */
export function minimumOf(inspection: HostInspection, artifact: Artifact, host: HostId, fails: boolean): Minimum {
  const decision = planUpdate(inspection, artifact, { host, product: artifact.product, releaseId: artifact.releaseId, strategy: 'rolling', bakeSeconds: 0, requestedBy: 'bench', requestId: 'bench' });
  if (decision.kind !== 'apply') throw new Error(`a simulated host has nothing to do: ${JSON.stringify(decision)}`);
  const { steps } = decision.plan;
  // Before the steps the host is inspected.
  if (!fails) return { host: 1 + steps.length, control: 4 };
  const started = steps.slice(0, steps.findIndex(({ name }) => name === 'prove') + 1);
  return { host: 1 + started.length + planUndo(decision.plan, started, false, 'release').length, control: 5 };
}
