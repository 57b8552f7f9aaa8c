import type { Reason } from '../failure.ts';
import type { Freeze } from './freeze.ts';
import type { Approval, GateVerdict } from './gate.ts';
import type { HostCounts } from './outcome.ts';
import type { RolloutOutline } from './outline.ts';
import type { FailurePolicy } from './request.ts';

/** What happened to a rollout, at which instant. Past facts: from activities, from shards, from people, and from the clock (those that `nextActions` tells). */
export type RolloutEvent = { readonly at: string } & (
  | { readonly type: 'RolloutQueued'; readonly behind: string }
  | { readonly type: 'TurnCame' }
  | { readonly type: 'PlanAccepted'; readonly outline: RolloutOutline }
  | { readonly type: 'PlanRefused'; readonly reason: Reason }
  | { readonly type: 'RolloutBegun' }
  | { readonly type: 'GateAnswered'; readonly gate: string; readonly verdict: GateVerdict; readonly note: string }
  | { readonly type: 'GateApproved'; readonly gate: string; readonly approval: Approval }
  | { readonly type: 'GateRejected'; readonly gate: string; readonly approval: Approval }
  | { readonly type: 'GateTimedOut'; readonly gate: string }
  | { readonly type: 'WindowAnswered'; readonly open: boolean; readonly until: string | null }
  | { readonly type: 'GatesOpened' }
  /** Told before the shard's workflow is started, so that no event can come between. */
  | { readonly type: 'ShardStarted'; readonly shard: number; readonly attempt: number; readonly parallel: number; readonly failuresAllowed: number | null }
  /** Counts since the shard began, not since its last report: told twice or late it does no harm. */
  | { readonly type: 'ShardReported'; readonly shard: number; readonly attempt: number; readonly retries: number; readonly counts: HostCounts }
  | { readonly type: 'ShardEnded'; readonly shard: number; readonly attempt: number; readonly retries: number; readonly counts: HostCounts }
  /** The shard's workflow itself failed: what its hosts did is not known. */
  | { readonly type: 'ShardLost'; readonly shard: number; readonly attempt: number; readonly reason: Reason }
  | { readonly type: 'BakeEnded' }
  /** Nobody decided in time about a rollout that failed. */
  | { readonly type: 'DecisionDue' }
  | { readonly type: 'FreezeSet'; readonly freeze: Freeze }
  | { readonly type: 'FreezeLifted' }
  | { readonly type: 'PauseRequested'; readonly by: string; readonly comment: string | null }
  | { readonly type: 'ResumeRequested'; readonly by: string }
  | { readonly type: 'AbortRequested'; readonly by: string; readonly comment: string | null; readonly updated: FailurePolicy }
  | { readonly type: 'RetryRequested'; readonly by: string }
  | { readonly type: 'PromoteRequested'; readonly by: string }
  | { readonly type: 'NewerRolloutCame'; readonly rollout: string }
);

export type RolloutEventOf<Type extends RolloutEvent['type']> = Extract<RolloutEvent, { type: Type }>;
