import type { Reason } from '../failure.ts';
import type { RolloutEvent } from './event.ts';
import type { Freeze } from './freeze.ts';
import { answered, approve, opened, type GateStanding } from './gate.ts';
import type { HostCounts, RolloutOutcome } from './outcome.ts';
import type { RolloutOutline } from './outline.ts';
import type { FailurePolicy } from './request.ts';
import { abortStop, enterWave, gateStop, rejectStop, retryWave, settleShards, startState, stopAtRest, supersedeStop } from './settle.ts';
import { ended, lost, reported, started, type ShardProgress } from './shards.ts';
import type { WindowStanding } from './window.ts';

/** Why no further host is begun, and what becomes of those that are updated. */
export interface Stop {
  readonly cause: 'budget' | 'controller' | 'gate' | 'shard' | 'rejected' | 'aborted' | 'superseded';
  readonly policy: FailurePolicy;
  readonly reason: Reason;
}

/** What every state of a planned rollout holds. Counts per wave, never hosts: its size does not depend on the fleet's. */
export interface RolloutBase {
  readonly outline: RolloutOutline;
  /** In the order of the outline's waves. */
  readonly counts: readonly HostCounts[];
  /** Set while somebody holds the rollout: hosts in flight finish, none is begun. */
  readonly pause: { readonly by: string; readonly comment: string | null; readonly since: string } | null;
  readonly freeze: Freeze | null;
  /** Of the wave that is next or under way, where a window gate stands before it. */
  readonly window: WindowStanding | null;
}

/**
 * Where a rollout stands. `wave` is the place of the wave in the outline, from 0. Pause, freeze and a closed window are no states of their own but hold whichever
 * state they meet: several may hold at once, and each is lifted by itself (`statusOf` names the one to show).
 */
export type RolloutState =
  | { readonly phase: 'Requested'; readonly since: string }
  | { readonly phase: 'Queued'; readonly behind: string; readonly since: string }
  | (RolloutBase & { readonly phase: 'Planned'; readonly since: string })
  /** Before a wave, until all its gates are open at the same time. */
  | (RolloutBase & { readonly phase: 'Gated'; readonly wave: number; readonly since: string; readonly gates: readonly GateStanding[] })
  /** With `stopping`, hosts in flight finish and no other is begun. */
  | (RolloutBase & { readonly phase: 'Rolling'; readonly wave: number; readonly since: string; readonly shards: readonly ShardProgress[]; readonly stopping: Stop | null })
  | (RolloutBase & { readonly phase: 'Baking'; readonly wave: number; readonly since: string; readonly until: string })
  /** Failed, and waits for somebody who retries or aborts. `shards` is null where a gate before the wave failed. */
  | (RolloutBase & { readonly phase: 'Halted'; readonly wave: number; readonly since: string; readonly until: string | null; readonly stop: Stop; readonly shards: readonly ShardProgress[] | null })
  /** `remaining` are the waves after this one, the newest first. */
  | (RolloutBase & {
      readonly phase: 'RollingBack';
      readonly wave: number;
      readonly remaining: readonly number[];
      readonly since: string;
      readonly shards: readonly ShardProgress[];
      readonly stop: Stop;
      readonly stopping: Stop | null;
      /** Why the first shard was lost that did not come to its end on the way back. Left out as long as none was, and in what an older worker has carried over. */
      readonly lost?: Reason;
    })
  | {
      readonly phase: 'Ended';
      readonly outcome: RolloutOutcome;
      /** True only when every host in scope was observed on the release. */
      readonly ok: boolean;
      readonly reason: Reason | null;
      readonly at: string;
      readonly outline: RolloutOutline | null;
      readonly counts: readonly HostCounts[];
    };

export type PlannedState = Extract<RolloutState, RolloutBase & { readonly since: string }>;
export type StateOf<Phase extends RolloutState['phase']> = Extract<RolloutState, { phase: Phase }>;

export class IllegalRolloutTransition extends Error {
  constructor(state: RolloutState['phase'], event: RolloutEvent['type']) {
    super(`a rollout in state ${state} cannot take the event ${event}`);
    this.name = 'IllegalRolloutTransition';
  }
}

export const requestedRollout = (at: string): RolloutState => ({ phase: 'Requested', since: at });

/** The only way from one state to the next. Throws {@link IllegalRolloutTransition} for every pair that is not a line here. */
export function nextRolloutState(state: RolloutState, event: RolloutEvent): RolloutState {
  const { at } = event;
  if (state.phase !== 'Ended' && state.phase !== 'Requested' && state.phase !== 'Queued') {
    // Holding a rollout that is held already keeps the first hold; letting one go that is not held changes nothing.
    if (event.type === 'PauseRequested') return { ...state, pause: state.pause ?? { by: event.by, comment: event.comment, since: at } };
    if (event.type === 'ResumeRequested' && state.phase !== 'Halted') return { ...state, pause: null };
    if (event.type === 'FreezeSet') return { ...state, freeze: event.freeze };
    if (event.type === 'FreezeLifted') return { ...state, freeze: null };
  }
  switch (state.phase) {
    case 'Requested':
      if (event.type === 'RolloutQueued') return { phase: 'Queued', behind: event.behind, since: at };
      if (event.type === 'PlanAccepted') return startState(event.outline, at);
      if (event.type === 'PlanRefused') return unplanned('refused', event.reason, at);
      if (event.type === 'AbortRequested') return unplanned('aborted', abortStop(event).reason, at);
      if (event.type === 'NewerRolloutCame') return unplanned('superseded', supersedeStop(event).reason, at);
      break;
    case 'Queued':
      if (event.type === 'RolloutQueued') return { ...state, behind: event.behind };
      // Planned anew: the fleet has moved while the rollout waited.
      if (event.type === 'TurnCame') return { phase: 'Requested', since: at };
      if (event.type === 'AbortRequested') return unplanned('aborted', abortStop(event).reason, at);
      if (event.type === 'NewerRolloutCame') return unplanned('superseded', supersedeStop(event).reason, at);
      break;
    case 'Planned':
      if (event.type === 'RolloutBegun') return enterWave(state, 0, at);
      if (event.type === 'AbortRequested') return stopAtRest(state, 0, abortStop(event), null, at);
      if (event.type === 'NewerRolloutCame') return stopAtRest(state, 0, supersedeStop(event), null, at);
      break;
    case 'Gated':
      if (event.type === 'GateAnswered') {
        if (event.verdict === 'fail' && state.gates.some(({ gate, settled }) => gate.name === event.gate && gate.kind !== 'approval' && !settled)) return stopAtRest(state, state.wave, gateStop(state, event), null, at);
        return withGate(state, event.gate, (standing) => answered(standing, event.verdict, event.note, at));
      }
      if (event.type === 'GateApproved') return withGate(state, event.gate, (standing) => approve(standing, event.approval, state.outline.requestedBy));
      if (event.type === 'GateRejected') return stopAtRest(state, state.wave, rejectStop(event), null, at);
      if (event.type === 'GateTimedOut') {
        const passes = state.gates.some(({ gate }) => gate.name === event.gate && gate.onTimeout === 'pass');
        return passes ? withGate(state, event.gate, (standing) => opened(standing, 'opened by its timeout')) : stopAtRest(state, state.wave, gateStop(state, event), null, at);
      }
      if (event.type === 'WindowAnswered') return { ...state, window: { open: event.open, since: at, until: event.until } };
      if (event.type === 'PromoteRequested') {
        return { ...state, gates: state.gates.map((standing) => opened(standing, `promoted by ${event.by}`)), window: state.window && { open: true, since: at, until: null } };
      }
      if (event.type === 'GatesOpened') return enterWave(state, state.wave, at, 'gates are open');
      if (event.type === 'AbortRequested') return stopAtRest(state, state.wave, abortStop(event), null, at);
      if (event.type === 'NewerRolloutCame') return stopAtRest(state, state.wave, supersedeStop(event), null, at);
      break;
    case 'Rolling':
      if (event.type === 'ShardStarted') return { ...state, shards: started(state.shards, event) };
      if (event.type === 'ShardReported') return settleShards({ ...state, shards: reported(state.shards, event) }, at);
      if (event.type === 'ShardEnded') return settleShards({ ...state, shards: ended(state.shards, event) }, at);
      if (event.type === 'ShardLost') {
        const shards = lost(state.shards, event);
        // What its hosts did is not known, so nothing is rolled back without a person.
        return shards.some((shard) => shard.lost) ? settleShards({ ...state, shards, stopping: state.stopping ?? { cause: 'shard', policy: 'keep', reason: event.reason } }, at) : state;
      }
      if (event.type === 'WindowAnswered') return { ...state, window: { open: event.open, since: at, until: event.until } };
      if (event.type === 'RetryRequested' && state.stopping === null) return retryWave(state, state.shards, at);
      // Who aborts decides anew about the hosts that are updated, also when the rollout is stopping already.
      if (event.type === 'AbortRequested') return settleShards({ ...state, stopping: abortStop(event) }, at);
      if (event.type === 'NewerRolloutCame') return settleShards({ ...state, stopping: state.stopping ?? supersedeStop(event) }, at);
      break;
    case 'Baking':
      if (event.type === 'BakeEnded' || event.type === 'PromoteRequested') return enterWave(state, state.wave + 1, at);
      if (event.type === 'AbortRequested') return stopAtRest(state, state.wave, abortStop(event), null, at);
      if (event.type === 'NewerRolloutCame') return stopAtRest(state, state.wave, supersedeStop(event), null, at);
      break;
    case 'Halted':
      if (event.type === 'RetryRequested') {
        if (state.shards === null) return enterWave({ ...state, pause: null }, state.wave, at);
        return retryWave(state, state.shards, at);
      }
      if (event.type === 'DecisionDue') return stopAtRest(state, state.wave, state.stop, state.shards, at, 'decided');
      if (event.type === 'AbortRequested') return stopAtRest(state, state.wave, abortStop(event), state.shards, at);
      if (event.type === 'NewerRolloutCame') return stopAtRest(state, state.wave, supersedeStop(event), state.shards, at);
      break;
    case 'RollingBack':
      if (event.type === 'ShardStarted') return { ...state, shards: started(state.shards, event) };
      if (event.type === 'ShardReported') return settleShards({ ...state, shards: reported(state.shards, event) }, at);
      if (event.type === 'ShardEnded') return settleShards({ ...state, shards: ended(state.shards, event) }, at);
      if (event.type === 'ShardLost') {
        const shards = lost(state.shards, event);
        // The waves that are left go back all the same: what became of the hosts of this one is for a person to see.
        return settleShards({ ...state, shards, ...(shards.some((shard) => shard.lost) ? { lost: state.lost ?? event.reason } : {}) }, at);
      }
      if (event.type === 'AbortRequested') return settleShards({ ...state, stopping: abortStop(event) }, at);
      break;
  }
  throw new IllegalRolloutTransition(state.phase, event.type);
}

const unplanned = (outcome: RolloutOutcome, reason: Reason, at: string): RolloutState => ({ phase: 'Ended', outcome, ok: false, reason, at, outline: null, counts: [] });

const withGate = (state: StateOf<'Gated'>, name: string, change: (standing: GateStanding) => GateStanding): RolloutState => ({
  ...state,
  gates: state.gates.map((standing) => (standing.gate.name === name ? change(standing) : standing)),
});
