import type { Reason } from '../domain/failure.ts';
import type { HostId, ProductName, ReleaseId, RolloutId, RunId } from '../domain/ids.ts';
import type { Role } from '../domain/product/manifest.ts';
import type { Freeze } from '../domain/rollout/freeze.ts';
import type { HostOutcome, RolloutOutcome } from '../domain/rollout/outcome.ts';
import type { RolloutOutline } from '../domain/rollout/outline.ts';
import type { PlannedHost, RolloutPlan } from '../domain/rollout/plan.ts';
import type { RolloutRequest } from '../domain/rollout/request.ts';
import type { ShardRow } from '../domain/rollout/shard.ts';
import type { RolloutStanding } from '../domain/rollout/standing.ts';
import type { RecoveryRecord } from '../domain/run/report.ts';
import type { Within } from './control-stores.ts';

export interface RolloutRow {
  readonly rolloutId: RolloutId;
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  readonly request: RolloutRequest;
  readonly requestedBy: string;
  readonly requestedAt: string;
  /** Null until it was planned. */
  readonly outline: RolloutOutline | null;
  readonly warnings: readonly string[];
  readonly standing: RolloutStanding;
  readonly endedAt: string | null;
  readonly outcome: RolloutOutcome | null;
  /** True only when every host in scope was observed on the release; null until it has ended. */
  readonly ok: boolean | null;
  readonly reason: Reason | null;
}

/** That control saw a host on a release, in a session that began after the run. */
export interface Observation {
  readonly releaseId: ReleaseId;
  readonly bootId: string;
  /** When the session began, by the database's clock. */
  readonly at: string;
}

/** How a rollout left one host. */
export interface HostEnding {
  readonly host: HostId;
  readonly direction: 'forward' | 'back';
  readonly outcome: HostOutcome;
  readonly reason: Reason | null;
  /** Null where no run was begun. */
  readonly runId: RunId | null;
  /** What control saw last; null where it was not asked, or saw nothing. */
  readonly observed: Observation | null;
  readonly recovery: RecoveryRecord | null;
}

/** A host of a rollout: what was planned, and what became of it. */
export interface RolloutHost extends PlannedHost {
  readonly outcome: HostOutcome | null;
  readonly reason: Reason | null;
  readonly runId: RunId | null;
  /** The run that took it back. */
  readonly backRunId: RunId | null;
  readonly artifactProfile: string | null;
  readonly observed: Observation | null;
  readonly recovery: RecoveryRecord | null;
  readonly endedAt: string | null;
  /** The run that is open on it now, of this product; null where there is none. */
  readonly openRunId: RunId | null;
}

export interface RolloutStore {
  /** Idempotent by rollout id. */
  open(rollout: Pick<RolloutRow, 'rolloutId' | 'request' | 'requestedAt'>): Promise<void>;
  /** Rollouts of the product that have not ended and were opened before this one, the oldest first. */
  openBefore(rolloutId: RolloutId, product: ProductName): Promise<RolloutRow[]>;
  /** Those that wait for this one to end. */
  queuedBehind(rolloutId: RolloutId): Promise<RolloutId[]>;
  /** Writes the host list and the outline, with the profile of each role's artifact; what was planned before is replaced as long as no host has an outcome. */
  keepPlan(rolloutId: RolloutId, plan: RolloutPlan, outline: RolloutOutline, profiles: Readonly<Partial<Record<Role, string>>>): Promise<void>;
  /** Idempotent; an ended rollout keeps its last standing. */
  keepStanding(rolloutId: RolloutId, standing: RolloutStanding): Promise<void>;
  /** The hosts of a wave by position: at most `count`, from `from` on. */
  shardRows(rolloutId: RolloutId, wave: number, from: number, count: number): Promise<ShardRow[]>;
  /** Idempotent by host and direction. */
  settle(rolloutId: RolloutId, endings: readonly HostEnding[]): Promise<void>;
  /** Idempotent: the first end stays. */
  close(rolloutId: RolloutId, end: { readonly outcome: RolloutOutcome; readonly ok: boolean; readonly reason: Reason | null; readonly at: string; readonly standing: RolloutStanding }): Promise<void>;
  find(rolloutId: RolloutId): Promise<RolloutRow | null>;
  /** Newest first. `before` is the id of the last row of the page before. */
  list(filter: { product?: ProductName; open?: boolean; limit: number; before?: RolloutId; within?: Within }): Promise<RolloutRow[]>;
  /** In the order of waves and positions; those in no wave last. `after` is the last host of the page before. */
  hosts(rolloutId: RolloutId, filter: { wave?: number; outcome?: HostOutcome; limit: number; after?: HostId; within?: Within }): Promise<RolloutHost[]>;
  /** Idempotent by id. */
  setFreeze(freeze: Freeze): Promise<void>;
  /** Ends a freeze now. @returns whether it was in force */
  liftFreeze(id: string, at: string): Promise<boolean>;
  /** Those that are in force or still to come. */
  freezes(now: string): Promise<Freeze[]>;
}
