import type { Reason } from '../failure.ts';
import type { Waiting } from '../run/report.ts';
import type { RolloutEvent } from './event.ts';
import { askAt, askDue, timeoutAt, type GateStanding, type JudgedGate, type WindowGate } from './gate.ts';
import { earliest, reached } from './instant.ts';
import { sumOfCounts, type RolloutOutcome } from './outcome.ts';
import { sharesOf } from './outline.ts';
import { failuresAllowed, windowGateOf } from './settle.ts';
import type { ShardOrder } from './shard.ts';
import type { ShardProgress } from './shards.ts';
import type { RolloutState, StateOf } from './state.ts';
import { waitingOf } from './waiting.ts';
import { windowDue, windowOpen } from './window.ts';

export type RolloutAction =
  /** Plan the rollout (write the host list), then tell `PlanAccepted` or `PlanRefused`; or `RolloutQueued` where another one is first. */
  | { readonly do: 'plan' }
  /** Tell the state this event, and ask again. Nothing else has to happen. */
  | { readonly do: 'tell'; readonly event: RolloutEvent }
  /** Ask a metric or an external gate, and tell `GateAnswered`; what cannot be asked is told as `no_data`. */
  | { readonly do: 'ask-gate'; readonly gate: Exclude<JudgedGate, { kind: 'approval' }> }
  /** Ask the calendar, and tell `WindowAnswered`. */
  | { readonly do: 'ask-window'; readonly gate: WindowGate }
  /** Tell `event` (`ShardStarted`), then start the shard's workflow with this order. `wave` is the wave's number, as in the host list. */
  | { readonly do: 'start-shard'; readonly wave: number; readonly shard: ShardProgress; readonly direction: 'forward' | 'back'; readonly order: ShardOrder; readonly event: RolloutEvent }
  /** What a running shard should be doing: send it when it differs from what the shard was sent last. */
  | { readonly do: 'order-shard'; readonly shard: number; readonly attempt: number; readonly order: ShardOrder }
  /** Wait for an event, or until `wakeAt` (null: no instant to wake at), then ask again. */
  | { readonly do: 'wait'; readonly waiting: Waiting; readonly wakeAt: string | null }
  | { readonly do: 'end'; readonly outcome: RolloutOutcome; readonly ok: boolean; readonly reason: Reason | null };

/**
 * What the rollout's workflow does next. Pure and total: ask again after every event and at every `wakeAt`; the same state and instant give the same actions, and
 * actions that were carried out do not come again once their events are told.
 */
export function nextActions(state: RolloutState, now: string): readonly RolloutAction[] {
  const tell = (event: RolloutEvent): RolloutAction[] => [{ do: 'tell', event }];
  const wait = (...wakeAt: (string | null)[]): RolloutAction => ({ do: 'wait', waiting: waitingOf(state, now), wakeAt: earliest(...wakeAt) });
  switch (state.phase) {
    case 'Requested':
      return [{ do: 'plan' }];
    case 'Queued':
      return [wait()];
    case 'Planned':
      return isHeld(state, now) ? [wait(freezeEnd(state, now))] : tell({ type: 'RolloutBegun', at: now });
    case 'Gated': {
      const late = state.gates.find((standing) => reached(now, timeoutAt(standing)));
      if (late) return tell({ type: 'GateTimedOut', gate: late.gate.name, at: now });
      const asks = state.gates.flatMap((standing) => askOf(standing, now));
      const window = windowGateOf(state.outline, state.wave);
      if (window && windowDue(state.window, now)) asks.push({ do: 'ask-window', gate: window });
      if (asks.length > 0) return asks;
      const open = state.gates.every((standing) => standing.open) && (window === null || windowOpen(state.window, now));
      if (open && !isHeld(state, now)) return tell({ type: 'GatesOpened', at: now });
      return [wait(...state.gates.flatMap((standing) => [timeoutAt(standing), askAt(standing)]), window && state.window ? state.window.until : null, freezeEnd(state, now))];
    }
    case 'Rolling': {
      const window = windowGateOf(state.outline, state.wave);
      const ask: RolloutAction[] = window && windowDue(state.window, now) && state.stopping === null ? [{ do: 'ask-window', gate: window }] : [];
      return [...ask, ...shardActions(state, now), wait(window && state.window && ask.length === 0 ? state.window.until : null, freezeEnd(state, now))];
    }
    case 'Baking':
      if (reached(now, state.until) && !isHeld(state, now)) return tell({ type: 'BakeEnded', at: now });
      return [wait(reached(now, state.until) ? null : state.until, freezeEnd(state, now))];
    case 'Halted':
      return reached(now, state.until) ? tell({ type: 'DecisionDue', at: now }) : [wait(state.until)];
    case 'RollingBack':
      return [...shardActions(state, now), wait()];
    case 'Ended':
      return [{ do: 'end', outcome: state.outcome, ok: state.ok, reason: state.reason }];
  }
}

const askOf = (standing: GateStanding, now: string): RolloutAction[] => (standing.gate.kind !== 'approval' && askDue(standing, now) ? [{ do: 'ask-gate', gate: standing.gate }] : []);

const frozen = ({ freeze }: Pick<StateOf<'Planned'>, 'freeze'>, now: string): boolean => freeze !== null && !reached(now, freeze.until);
const freezeEnd = (state: Pick<StateOf<'Planned'>, 'freeze'>, now: string): string | null => (frozen(state, now) ? (state.freeze?.until ?? null) : null);
const isHeld = (state: Pick<StateOf<'Planned'>, 'freeze' | 'pause'>, now: string): boolean => state.pause !== null || frozen(state, now);

/** Whether hosts may be begun, may be later, or no more. A rollback is held by people only: what is broken does not wait for a window. */
export function modeOf(state: StateOf<'Rolling' | 'RollingBack'>, now: string): ShardOrder['mode'] {
  if (state.stopping) return 'stop';
  if (state.pause) return 'hold';
  if (state.phase === 'RollingBack') return 'go';
  const shut = windowGateOf(state.outline, state.wave) !== null && !windowOpen(state.window, now);
  return shut || frozen(state, now) ? 'hold' : 'go';
}

/** Hosts of a wave that may be changed at the same time: controllers one after the other, so that one of several always serves. */
const parallelOf = ({ outline, wave }: StateOf<'Rolling' | 'RollingBack'>): number => (outline.waves[wave]?.role === 'controller' ? 1 : outline.strategy.maxParallel);

/** Starts shards while there are shares left, and says what those that run should be doing. */
function shardActions(state: StateOf<'Rolling' | 'RollingBack'>, now: string): RolloutAction[] {
  const mode = modeOf(state, now);
  const { outline, shards } = state;
  const running = shards.filter(({ standing }) => standing === 'running');
  const orders = running.map(({ number, attempt, parallel, failuresAllowed: brake, retries }): RolloutAction => ({ do: 'order-shard', shard: number, attempt, order: { mode, parallel, failuresAllowed: brake, retries } }));
  if (mode !== 'go') return orders;
  const shares = sharesOf(shards.length, parallelOf(state));
  for (const { parallel } of running) shares.splice(shares.indexOf(parallel), 1);
  const { failed } = sumOfCounts(state.counts);
  const allowed = state.phase === 'RollingBack' ? null : failuresAllowed(outline, state.wave, failed);
  const starts = shards
    .filter(({ standing }) => standing === 'unstarted')
    .slice(0, shares.length)
    .map((shard, index): RolloutAction => {
      const parallel = shares[index] ?? 1;
      return {
        do: 'start-shard',
        wave: outline.waves[state.wave]?.number ?? 0,
        shard,
        direction: state.phase === 'RollingBack' ? 'back' : 'forward',
        order: { mode, parallel, failuresAllowed: allowed, retries: 0 },
        event: { type: 'ShardStarted', at: now, shard: shard.number, attempt: shard.attempt, parallel, failuresAllowed: allowed },
      };
    });
  return [...orders, ...starts];
}
