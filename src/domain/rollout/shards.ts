import type { RolloutEventOf } from './event.ts';
import { noHosts, type HostCounts } from './outcome.ts';
import { cutWave, type RolloutOutline } from './outline.ts';

/** What a rollout holds of one shard of the wave that is under way. */
export interface ShardProgress {
  readonly number: number;
  readonly from: number;
  readonly count: number;
  readonly standing: 'unstarted' | 'running' | 'ended';
  /** Counts the shard's workflows: a part of their ids. */
  readonly attempt: number;
  /** How often it was told to try its failed hosts again while it ran. */
  readonly retries: number;
  /** Its share of `maxParallel`; 0 before it runs. */
  readonly parallel: number;
  /** What the budget bore when the shard began: past it, it brakes by itself. Null: without limit. */
  readonly failuresAllowed: number | null;
  readonly counts: HostCounts;
  /** Its workflow itself failed: what its hosts did is not known until they are asked again. */
  readonly lost: boolean;
}

export const shardsOfWave = (outline: RolloutOutline, wave: number): ShardProgress[] =>
  cutWave(outline.waves[wave]?.hosts ?? 0, outline.shardHosts).map((cut) => ({ ...cut, standing: 'unstarted', attempt: 1, retries: 0, parallel: 0, failuresAllowed: 0, counts: noHosts, lost: false }));

type Shards = readonly ShardProgress[];

export const started = (shards: Shards, { shard, attempt, parallel, failuresAllowed }: RolloutEventOf<'ShardStarted'>): Shards =>
  shards.map((progress) => (progress.number === shard && progress.attempt === attempt && progress.standing === 'unstarted' ? { ...progress, standing: 'running', parallel, failuresAllowed } : progress));

/** Reports of an attempt, or from before a retry, that came too late are not taken up: they would count failures that are being tried again. */
export const reported = (shards: Shards, { shard, attempt, retries, counts }: RolloutEventOf<'ShardReported' | 'ShardEnded'>): Shards =>
  shards.map((progress) => (progress.number === shard && progress.attempt === attempt && progress.retries === retries && progress.standing === 'running' ? { ...progress, counts } : progress));

export function ended(shards: Shards, event: RolloutEventOf<'ShardEnded'>): Shards {
  return shards.map((progress) => {
    if (progress.number !== event.shard || progress.attempt !== event.attempt || progress.standing !== 'running') return progress;
    // It ended before the retry reached it: its failed hosts are tried by a further attempt.
    if (progress.retries !== event.retries) return { ...progress, standing: 'unstarted', attempt: progress.attempt + 1, retries: 0, counts: withoutFailures(event.counts) };
    return { ...progress, standing: 'ended', counts: event.counts };
  });
}

export const lost = (shards: Shards, { shard, attempt }: RolloutEventOf<'ShardLost'>): Shards =>
  shards.map((progress) => (progress.number === shard && progress.attempt === attempt && progress.standing === 'running' ? { ...progress, standing: 'ended', lost: true } : progress));

/** Failed hosts are tried again, and so are those that were never begun; hosts that are updated are left alone. @param failuresAllowed the new brake of those that run */
export function retried(shards: Shards, failuresAllowed: number | null): Shards {
  return shards.map((progress) => {
    if (progress.standing === 'unstarted') return progress;
    if (progress.standing === 'running') return { ...progress, retries: progress.retries + 1, failuresAllowed, counts: withoutFailures(progress.counts) };
    if (progress.counts.failed === 0 && settledOf(progress.counts) === progress.count && !progress.lost) return progress;
    return { ...progress, standing: 'unstarted', attempt: progress.attempt + 1, retries: 0, lost: false, counts: withoutFailures(progress.counts) };
  });
}

/** Hosts that came to an end on the way forward. */
export const settledOf = (counts: HostCounts): number => counts.updated + counts.unchanged + counts.failed + counts.left;

const withoutFailures = (counts: HostCounts): HostCounts => ({ ...counts, failed: 0, stranded: 0 });
