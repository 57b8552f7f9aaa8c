import type { Reason } from '../failure.ts';
import type { ProductName, RolloutId } from '../ids.ts';
import type { UpdateRequest } from '../update/request.ts';
import type { HostCounts, RolloutOutcome } from './outcome.ts';
import type { RolloutRequest } from './request.ts';
import type { ShardOrder } from './shard.ts';

/** Names that stand in histories and that clients call by: changing one breaks rollouts in flight. */
export const fleetRolloutWorkflow = 'fleetRollout';
export const rolloutShardWorkflow = 'rolloutShard';
export const rolloutCommandUpdate = 'command';
/** Signals, between workflows and from the API. */
export const shardReportSignal = 'shardReport';
export const shardOrderSignal = 'shardOrder';
export const turnCameSignal = 'turnCame';
export const newerRolloutSignal = 'newerRollout';
export const freezeChangedSignal = 'freezeChanged';

export interface RolloutInput {
  readonly rolloutId: RolloutId;
  readonly request: RolloutRequest;
  readonly requestedAt: string;
}

export interface ShardInput {
  readonly rolloutId: RolloutId;
  readonly product: ProductName;
  /** The wave's number, as in the host list. */
  readonly wave: number;
  readonly shard: number;
  readonly attempt: number;
  readonly from: number;
  readonly count: number;
  readonly direction: 'forward' | 'back';
  readonly order: ShardOrder;
  readonly offline: RolloutRequest['strategy']['offline'];
  readonly verifySeconds: number;
  readonly onHost: RolloutRequest['onHost'];
  readonly allowFailed: boolean;
  readonly requestedBy: UpdateRequest['requestedBy'];
}

/** What a shard tells its rollout while it runs, and at its end. */
export interface ShardReport {
  readonly shard: number;
  readonly attempt: number;
  readonly direction: 'forward' | 'back';
  readonly wave: number;
  readonly retries: number;
  readonly counts: HostCounts;
}

export interface RolloutEnd {
  readonly rolloutId: RolloutId;
  readonly outcome: RolloutOutcome;
  readonly ok: boolean;
  readonly reason: Reason | null;
}
