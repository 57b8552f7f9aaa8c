import type { ProductName, ReleaseId } from '../ids.ts';
import type { Role } from '../product/manifest.ts';
import { limits } from './check.ts';
import type { RolloutPlan } from './plan.ts';
import type { RolloutRequest, RolloutStrategy } from './request.ts';

export interface WaveOutline {
  readonly number: number;
  readonly role: Role;
  readonly hosts: number;
}

/** What the rollout's workflow holds of its plan: counts per wave, and the strategy. Its size does not depend on the fleet's. */
export interface RolloutOutline {
  readonly product: ProductName;
  readonly toReleaseId: ReleaseId;
  readonly requestedBy: string;
  readonly strategy: RolloutStrategy;
  readonly waves: readonly WaveOutline[];
  /** Hosts in scope: those in waves, unchanged and skipped. */
  readonly scope: number;
  /** Hosts in waves: what the percent of the budget is of. */
  readonly changing: number;
  readonly unchanged: number;
  readonly skipped: number;
  /** The most hosts that one shard holds. */
  readonly shardHosts: number;
}

export function outlineOf(plan: RolloutPlan, request: RolloutRequest): RolloutOutline {
  const waves = plan.waves.map(({ number, role, hosts }) => ({ number, role, hosts: hosts.length }));
  const changing = waves.reduce((sum, { hosts }) => sum + hosts, 0);
  return {
    product: plan.product,
    toReleaseId: plan.toReleaseId,
    requestedBy: request.requestedBy,
    strategy: request.strategy,
    waves,
    scope: changing + plan.unchanged.length + plan.skipped.length,
    changing,
    unchanged: plan.unchanged.length,
    skipped: plan.skipped.length,
    shardHosts: limits.shardHosts,
  };
}

/** Hosts of a wave from position `from` on, `count` of them. */
export interface ShardCut {
  readonly number: number;
  readonly from: number;
  readonly count: number;
}

/** A wave in as few shards as can hold it, all of about the same size, so that they end together. */
export function cutWave(hosts: number, most: number): ShardCut[] {
  const shards = Math.ceil(hosts / most);
  return Array.from({ length: shards }, (_, number) => {
    const from = Math.floor((hosts * number) / shards);
    return { number, from, count: Math.floor((hosts * (number + 1)) / shards) - from };
  });
}

/**
 * How many hosts each of the shards that run at the same time may change at once. The shares add up to at most `maxParallel` and are fixed, so no shard
 * ever has to give back a place that it uses; a shard that begins later takes the share of one that ended.
 */
export function sharesOf(shards: number, maxParallel: number): number[] {
  const together = Math.min(shards, maxParallel);
  return Array.from({ length: together }, (_, slot) => Math.floor(maxParallel / together) + (slot < maxParallel % together ? 1 : 0));
}
