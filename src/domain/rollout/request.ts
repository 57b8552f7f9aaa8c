import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { UpdateRequest } from '../update/request.ts';
import type { FailureBudget } from './budget.ts';
import type { Gate } from './gate.ts';

/** Every host that has the product, or those that are named: in the order in which they are named. */
export type RolloutTarget = { readonly kind: 'all' } | { readonly kind: 'hosts'; readonly hosts: readonly HostId[] };

/**
 * How nodes are divided into waves. `count` and `percent` are the size of every wave; `tiers` are shares of the fleet that are reached after each wave
 * (1, 10, 50, 100). Percents are of the nodes that the rollout changes, rounded up; a tier that adds no host is no wave.
 */
export type WaveSizing =
  | { readonly by: 'count'; readonly hosts: number }
  | { readonly by: 'percent'; readonly percent: number }
  | { readonly by: 'tiers'; readonly percents: readonly number[] };

/** What becomes of hosts that the rollout has updated when it fails. */
export const failurePolicies = ['keep', 'roll-back-wave', 'roll-back-all'] as const;
export type FailurePolicy = (typeof failurePolicies)[number];

/**
 * Hosts that cannot be reached (disconnected, pending, in error). `skip`: left as they are. `fail`: each counts against the budget. `wait`: their wave
 * waits for them, at most `waitSeconds` from the start of their shard; they take no place in the window of parallel hosts meanwhile, and are then skipped or failed.
 */
export type OfflinePolicy = { readonly policy: 'skip' | 'fail' } | { readonly policy: 'wait'; readonly waitSeconds: number; readonly then: 'skip' | 'fail' };

export interface RolloutStrategy {
  readonly waves: WaveSizing;
  /** Hosts of the whole fleet that are changed at the same time. Controllers are changed one after the other, whatever this says. */
  readonly maxParallel: number;
  /** How long a wave is watched before the next one. Seconds. */
  readonly bakeSeconds: number;
  readonly budget: FailureBudget;
  readonly onFailure: FailurePolicy;
  /** How long a rollout that failed waits for somebody who retries or aborts before `onFailure` is carried out. 0: at once; null: without end. Seconds. */
  readonly decisionSeconds: number | null;
  readonly offline: OfflinePolicy;
  /** How long control may take to see an updated host come back on the release. Seconds. */
  readonly verifySeconds: number;
  readonly gates: readonly Gate[];
  /** Whether nodes may only follow controllers that are on the release: also those that are not in the target. */
  readonly controllerFirst: boolean;
}

/** When another rollout of the product is open: `refuse` this one, `queue` it behind, or `supersede` the other. */
export const busyPolicies = ['refuse', 'queue', 'supersede'] as const;
export type BusyPolicy = (typeof busyPolicies)[number];

/** What somebody asked for: one release onto many hosts. Stands in the history, so it must never hold a secret. */
export interface RolloutRequest {
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  readonly target: RolloutTarget;
  readonly strategy: RolloutStrategy;
  /** How each host goes to the release. */
  readonly onHost: Pick<UpdateRequest, 'strategy' | 'bakeSeconds' | 'holdSeconds' | 'tiers'>;
  readonly whenBusy: BusyPolicy;
  /** Tries the release also on hosts on which a run condemned it. */
  readonly allowFailed: boolean;
  /** Name of the key that asked. */
  readonly requestedBy: string;
  /** The same request asked twice (a retry after a lost answer) starts one rollout. */
  readonly requestId: string;
}

/** The strategy of a rollout that says nothing: tiers, ten hosts at a time, halted by the sixth failure or by more than 5 %. */
export const defaultStrategy: RolloutStrategy = {
  waves: { by: 'tiers', percents: [1, 10, 50, 100] },
  maxParallel: 10,
  bakeSeconds: 60,
  budget: { count: 5, percent: 5 },
  onFailure: 'keep',
  decisionSeconds: 0,
  offline: { policy: 'skip' },
  verifySeconds: 120,
  gates: [],
  controllerFirst: true,
};

type Asked = Pick<RolloutRequest, 'product' | 'releaseId' | 'requestedBy' | 'requestId'>;
type Settings = Partial<Omit<RolloutRequest, keyof Asked | 'strategy'>> & { readonly strategy?: Partial<RolloutStrategy> };

/** A whole request from what was asked; everything that is left out is as in {@link defaultStrategy}. Check it by `checkRolloutRequest`. */
export function rolloutRequest(asked: Asked & Settings): RolloutRequest {
  return {
    product: asked.product,
    releaseId: asked.releaseId,
    target: asked.target ?? { kind: 'all' },
    strategy: { ...defaultStrategy, ...asked.strategy },
    onHost: asked.onHost ?? { strategy: 'rolling' },
    whenBusy: asked.whenBusy ?? 'refuse',
    allowFailed: asked.allowFailed ?? false,
    requestedBy: asked.requestedBy,
    requestId: asked.requestId,
  };
}
