import type { Reason } from '../failure.ts';
import { budgetExceeded, budgetReason, failuresBorne } from './budget.ts';
import type { RolloutEventOf } from './event.ts';
import { gatesBefore, standingOf, type Gate, type JudgedGate, type WindowGate } from './gate.ts';
import { instantAfter } from './instant.ts';
import { noHosts, onRelease, sumOfCounts, type HostCounts, type RolloutOutcome } from './outcome.ts';
import type { RolloutOutline } from './outline.ts';
import { retried, settledOf, shardsOfWave, type ShardProgress } from './shards.ts';
import type { PlannedState, RolloutBase, RolloutState, StateOf, Stop } from './state.ts';

/** A rollout with its plan. One that has nothing to change is over. */
export function startState(outline: RolloutOutline, at: string): RolloutState {
  const state: StateOf<'Planned'> = { phase: 'Planned', outline, counts: outline.waves.map(() => noHosts), pause: null, freeze: null, window: null, since: at };
  return outline.waves.length === 0 ? end(state, null, at) : state;
}

/** Whether a window stands before the wave: it holds the wave for all of its time. */
export const windowGateOf = (outline: RolloutOutline, wave: number): WindowGate | null => gatesOf(outline, wave).find((gate) => gate.kind === 'window') ?? null;

const gatesOf = (outline: RolloutOutline, wave: number): readonly Gate[] => gatesBefore(outline.strategy.gates, outline.waves[wave]?.number ?? -1, outline.waves[0]?.number ?? -1);

/** Before a wave: at its gates where it has any. With `gates are open`, into it. */
export function enterWave(state: PlannedState, wave: number, at: string, gates?: 'gates are open'): RolloutState {
  const base = baseOf(state);
  const all = gatesOf(state.outline, wave);
  if (gates === undefined && all.length > 0) {
    const judged = all.filter((gate): gate is JudgedGate => gate.kind !== 'window');
    // Closed until the calendar was asked.
    const window = judged.length < all.length ? { open: false, since: at, until: at } : null;
    return { ...base, phase: 'Gated', wave, since: at, gates: judged.map((gate) => standingOf(gate, at)), window };
  }
  return { ...base, window: gates === undefined ? null : base.window, phase: 'Rolling', wave, since: at, shards: shardsOfWave(state.outline, wave), stopping: null };
}

/** Takes the shards' counts up, stops the wave where they say so, and leaves it when none of its shards has anything more to do. */
export function settleShards(state: StateOf<'Rolling' | 'RollingBack'>, at: string): RolloutState {
  const sum = sumOfCounts(state.shards.map(({ counts }) => counts));
  if (state.phase === 'RollingBack') {
    const back = { ...state, counts: state.counts.map((counts, wave) => (wave === state.wave ? { ...counts, returned: sum.returned, notReturned: sum.notReturned } : counts)) };
    if (state.shards.some(({ standing }) => standing === 'running')) return back;
    if (state.stopping) return end(back, state.stopping, at);
    if (state.shards.some(({ standing }) => standing === 'unstarted')) return back;
    return rollBack(back, state.remaining, state.stop, at);
  }
  const counted = { ...state, counts: state.counts.map((counts, wave) => (wave === state.wave ? sum : counts)) };
  const rolling: StateOf<'Rolling'> = { ...counted, stopping: state.stopping ?? stopOf(counted) };
  if (rolling.shards.some(({ standing }) => standing === 'running')) return rolling;
  if (rolling.stopping) return stopAtRest(rolling, rolling.wave, rolling.stopping, rolling.shards, at);
  if (rolling.shards.some(({ standing }) => standing === 'unstarted')) return rolling;
  if (rolling.wave === rolling.outline.waves.length - 1) return end(rolling, null, at);
  const { bakeSeconds } = rolling.outline.strategy;
  if (bakeSeconds === 0) return enterWave(rolling, rolling.wave + 1, at);
  return { ...baseOf(rolling), window: null, phase: 'Baking', wave: rolling.wave, since: at, until: instantAfter(at, bakeSeconds) };
}

/** Why a wave must begin no further host, by what its shards told; null while it may. */
function stopOf({ outline, counts, wave, shards }: StateOf<'Rolling'>): Stop | null {
  const policy = outline.strategy.onFailure;
  const { budget } = outline.strategy;
  const { failed } = sumOfCounts(counts);
  if (budgetExceeded(budget, failed, outline.changing)) return { cause: 'budget', policy, reason: budgetReason(budget, failed, outline.changing) };
  const here = counts[wave] ?? noHosts;
  const over = shards.every(({ standing }) => standing === 'ended');
  if (outline.waves[wave]?.role === 'controller' && outline.strategy.controllerFirst && (here.failed > 0 || (over && here.left > 0))) {
    return { cause: 'controller', policy, reason: { class: 'release', code: 'controller_not_verified', message: `A controller was not verified on release ${outline.toReleaseId}; no node follows.`, hint: 'See why: fairlead rollout status. Retry tries the controller again.' } };
  }
  if (over && settledOf(here) < shards.reduce((hosts, { count }) => hosts + count, 0)) {
    return { cause: 'shard', policy: 'keep', reason: { class: 'orchestrator', code: 'shard_incomplete', message: 'A shard ended before each of its hosts did.', hint: 'Retry takes up the hosts that are left.' } };
  }
  return null;
}

/**
 * Nothing is in flight, and the rollout goes no further. A failure waits for a person where the strategy says so (not once that was `decided`);
 * then comes the policy for hosts that are updated.
 */
export function stopAtRest(state: PlannedState, wave: number, stop: Stop, shards: readonly ShardProgress[] | null, at: string, decided?: 'decided'): RolloutState {
  const { decisionSeconds } = state.outline.strategy;
  const isFailure = stop.cause === 'budget' || stop.cause === 'controller' || stop.cause === 'gate' || stop.cause === 'shard';
  if (isFailure && decisionSeconds !== 0 && decided === undefined) {
    return { ...baseOf(state), window: null, phase: 'Halted', wave, since: at, until: decisionSeconds === null ? null : instantAfter(at, decisionSeconds), stop, shards };
  }
  const touched = state.counts.flatMap((counts, index) => (counts.updated > 0 ? [index] : [])).reverse();
  if (stop.policy === 'keep') return rollBack(state, [], stop, at);
  // At a gate the wave to come has touched nothing: the wave that is rolled back is the newest that did.
  return rollBack(state, stop.policy === 'roll-back-all' ? touched : touched.filter((index) => index === (shards === null ? touched[0] : wave)), stop, at);
}

/** Tries the failed hosts of a wave again, and takes up those that were never begun: a halted wave goes on, one that runs goes on with more to do. */
export function retryWave(state: StateOf<'Rolling' | 'Halted'>, shards: readonly ShardProgress[], at: string): RolloutState {
  const elsewhere = sumOfCounts(state.counts.filter((_, wave) => wave !== state.wave)).failed;
  const allowed = failuresAllowed(state.outline, state.wave, elsewhere);
  const pause = state.phase === 'Halted' ? null : state.pause;
  return settleShards({ ...baseOf(state), pause, phase: 'Rolling', wave: state.wave, since: at, shards: retried(shards, allowed), stopping: null }, at);
}

/** How many failures a shard of the wave may see when `failed` are counted already; null: without limit. Controllers may see none where nodes wait for them. */
export function failuresAllowed(outline: RolloutOutline, wave: number, failed: number): number | null {
  const borne = failuresBorne(outline.strategy.budget, outline.changing);
  if (outline.waves[wave]?.role === 'controller' && outline.strategy.controllerFirst) return 0;
  return borne === Infinity ? null : Math.max(0, borne - failed);
}

function rollBack(state: PlannedState, waves: readonly number[], stop: Stop, at: string): RolloutState {
  const [wave, ...remaining] = waves;
  if (wave === undefined) return end(state, stop, at);
  const lost = lostOf(state);
  return { ...baseOf(state), window: null, phase: 'RollingBack', wave, remaining, since: at, shards: shardsOfWave(state.outline, wave), stop, stopping: null, ...(lost ? { lost } : {}) };
}

function end(state: PlannedState, stop: Stop | null, at: string): RolloutState {
  const { outline, counts } = state;
  const sum = sumOfCounts(counts);
  const ok = onRelease(sum) + outline.unchanged === outline.scope;
  const outcome = outcomeOf(sum, stop, ok);
  const lost = lostOf(state);
  // Somebody has to look at hosts of which nobody knows whether they are back, and needs that reason first. Where all were told to be back, none is missing.
  const isMissing = lost !== null && sum.returned < sum.updated;
  const reason = isMissing ? { ...lost, message: `${lost.message} (on the way back, because: ${stop?.reason.message ?? 'unknown'})` } : (stop?.reason ?? null);
  return { phase: 'Ended', outcome, ok, reason, at, outline, counts };
}

const lostOf = (state: PlannedState): Reason | null => (state.phase === 'RollingBack' ? (state.lost ?? null) : null);

function outcomeOf(sum: HostCounts, stop: Stop | null, ok: boolean): RolloutOutcome {
  if (stop === null) return ok ? 'succeeded' : 'partial';
  if (stop.cause === 'superseded') return 'superseded';
  if (stop.cause === 'aborted' || stop.cause === 'rejected') return 'aborted';
  return sum.updated === sum.returned && sum.returned > 0 && sum.stranded === 0 ? 'rolled_back' : 'failed';
}

export const abortStop = ({ by, comment, updated }: RolloutEventOf<'AbortRequested'>): Stop => ({
  cause: 'aborted',
  policy: updated,
  reason: { class: 'request', code: 'rollout_aborted', message: `Aborted by ${by}${comment === null ? '' : `: ${comment}`}.` },
});

export const supersedeStop = ({ rollout }: RolloutEventOf<'NewerRolloutCame'>): Stop => ({ cause: 'superseded', policy: 'keep', reason: { class: 'request', code: 'rollout_superseded', message: `Superseded by rollout ${rollout}.` } });

export const rejectStop = ({ gate, approval }: RolloutEventOf<'GateRejected'>): Stop => ({
  cause: 'rejected',
  policy: 'keep',
  reason: { class: 'request', code: 'gate_rejected', message: `${approval.by} rejected gate ${gate}${approval.comment === null ? '' : `: ${approval.comment}`}.` },
});

/** A gate that failed is a failure of the release; one that nobody opened in time is nobody's. */
export function gateStop(state: StateOf<'Gated'>, event: RolloutEventOf<'GateAnswered' | 'GateTimedOut'>): Stop {
  const wave = state.outline.waves[state.wave]?.number;
  if (event.type === 'GateTimedOut') return { cause: 'aborted', policy: 'keep', reason: { class: 'request', code: 'gate_timed_out', message: `Gate ${event.gate} before wave ${wave} was not opened in time.` } };
  return { cause: 'gate', policy: state.outline.strategy.onFailure, reason: { class: 'release', code: 'gate_failed', message: `Gate ${event.gate} before wave ${wave} failed: ${event.note}`, hint: 'Retry asks the gates of this wave again.' } };
}

const baseOf = ({ outline, counts, pause, freeze, window }: RolloutBase): RolloutBase => ({ outline, counts, pause, freeze, window });
