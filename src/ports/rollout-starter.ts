import type { RolloutId } from '../domain/ids.ts';
import type { RolloutCommand } from '../domain/rollout/command.ts';
import type { RolloutInput } from '../domain/rollout/names.ts';
import type { RolloutStanding } from '../domain/rollout/standing.ts';

/** Starts rollouts and passes on what people ask of them. Fails with `orchestrator_unavailable` where the orchestrator is away. */
export interface RolloutStarter {
  /** Idempotent by rollout id. */
  startRollout(input: RolloutInput): Promise<{ readonly workflowId: string }>;
  /**
   * Resolves when the command was taken. Idempotent by `commandId`.
   * @throws FairleadError with the code and the words of a refusal (`refuseCommand`)
   */
  command(rolloutId: RolloutId, command: RolloutCommand, commandId: string): Promise<RolloutStanding>;
  /** Where it stands, asked of its workflow; null where nobody answers. */
  standing(rolloutId: RolloutId): Promise<RolloutStanding | null>;
  /** Has these look at the freezes again. */
  freezeChanged(rolloutIds: readonly RolloutId[]): Promise<void>;
}
