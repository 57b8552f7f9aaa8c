import { readFileSync } from 'node:fs';
import { stateMachinesPage } from '../../../../scripts/state-machines.ts';
import { refuseCommand, type RolloutCommand } from '../../../../src/domain/rollout/command.ts';
import { nextActions } from '../../../../src/domain/rollout/decide.ts';
import type { RolloutEvent } from '../../../../src/domain/rollout/event.ts';
import { noHosts, type HostCounts } from '../../../../src/domain/rollout/outcome.ts';
import type { RolloutStrategy } from '../../../../src/domain/rollout/request.ts';
import { IllegalRolloutTransition, nextRolloutState, requestedRollout, type RolloutState } from '../../../../src/domain/rollout/state.ts';
import { standingNow } from '../../../../src/domain/rollout/standing.ts';
import { statusOf, totalsOf } from '../../../../src/domain/rollout/waiting.ts';
import { approvalGate, at, later, metricGate, sampleEvents, sampleOutline, sampleStates, windowGate } from '../../../support/rollout-samples.ts';

const e = sampleEvents;
const after = (state: RolloutState, ...events: RolloutEvent[]): RolloutState => events.reduce(nextRolloutState, state);
const begin = (strategy: Partial<RolloutStrategy> = {}): RolloutState => after(requestedRollout(at), { ...e.PlanAccepted, outline: sampleOutline({ bakeSeconds: 0, ...strategy }) }, e.RolloutBegun);
const counts = (more: Partial<HostCounts>): HostCounts => ({ ...noHosts, ...more });
const wave = (more: Partial<HostCounts>, attempt = 1): RolloutEvent[] => [{ ...e.ShardStarted, attempt }, { ...e.ShardEnded, attempt, counts: counts(more) }];
const controller = wave({ updated: 1 });
const abort = (updated: RolloutStrategy['onFailure']): RolloutEvent => ({ ...e.AbortRequested, updated });
const short = (state: RolloutState): string => (state.phase === 'Ended' ? `${state.outcome} ${state.ok ? 'ok' : 'not ok'}${state.reason ? ` ${state.reason.code}` : ''}` : state.phase);

describe('a rollout', () => {
  test.each<[string, Partial<RolloutStrategy>, RolloutEvent[], string]>([
    ['every host is on the release: succeeded', {}, [...controller, ...wave({ updated: 4 }), ...wave({ updated: 5, unchanged: 1 })], 'succeeded ok'],
    ['a failure within the budget: partial', {}, [...controller, ...wave({ updated: 4 }), ...wave({ updated: 5, failed: 1 })], 'partial not ok'],
    ['a host was left out: partial, ok only when every host is on the release', {}, [...controller, ...wave({ updated: 4 }), ...wave({ updated: 5, left: 1 })], 'partial not ok'],
    ['one failure more than the budget bears: failed, hosts kept', {}, [...controller, ...wave({ updated: 2, failed: 2 })], 'failed not ok budget_exceeded'],
    ['the budget counts over waves', {}, [...controller, ...wave({ updated: 3, failed: 1 }), ...wave({ updated: 1, failed: 1 })], 'failed not ok budget_exceeded'],
    ['the budget counts while a wave runs: hosts in flight finish', {}, [...controller, e.ShardStarted, { ...e.ShardReported, counts: counts({ failed: 2 }) }], 'Rolling'],
    ['the controller fails: no node follows, whatever the budget bears', { budget: { count: 9, percent: null } }, wave({ failed: 1 }), 'failed not ok controller_not_verified'],
    ['the controller is left out: no node follows', {}, wave({ left: 1 }), 'failed not ok controller_not_verified'],
    ['nodes need not wait for it: they follow', { controllerFirst: false }, wave({ failed: 1 }), 'Rolling'],
    ['failed, the wave is rolled back', { onFailure: 'roll-back-wave' }, [...controller, ...wave({ updated: 2, failed: 2 })], 'RollingBack'],
    ['failed, the wave rolled back, the controller kept: failed', { onFailure: 'roll-back-wave' }, [...controller, ...wave({ updated: 2, failed: 2 }), ...wave({ returned: 2 })], 'failed not ok budget_exceeded'],
    ['failed, all rolled back: rolled back', { onFailure: 'roll-back-all' }, [...controller, ...wave({ updated: 2, failed: 2 }), ...wave({ returned: 2 }), ...wave({ returned: 1 })], 'rolled_back not ok budget_exceeded'],
    ['failed, all rolled back but one: failed', { onFailure: 'roll-back-all' }, [...controller, ...wave({ updated: 2, failed: 2 }), ...wave({ returned: 1, notReturned: 1 }), ...wave({ returned: 1 })], 'failed not ok budget_exceeded'],
    ['failed with nothing updated: nothing to roll back', { onFailure: 'roll-back-all' }, wave({ failed: 1 }), 'failed not ok controller_not_verified'],
    ['failed, with time to decide: waits', { decisionSeconds: 60 }, wave({ failed: 1 }), 'Halted'],
    ['nobody decided: its policy', { decisionSeconds: 60, onFailure: 'roll-back-all' }, [...controller, ...wave({ updated: 2, failed: 2 }), e.DecisionDue], 'RollingBack'],
    ['retried when halted: goes on, and succeeds', { decisionSeconds: 60 }, [...controller, ...wave({ updated: 2, failed: 2 }), e.RetryRequested, ...wave({ updated: 4 }, 2), ...wave({ updated: 6 })], 'succeeded ok'],
    ['retried, and fails again: halted again', { decisionSeconds: 60 }, [...wave({ failed: 1 }), e.RetryRequested, ...wave({ failed: 1 }, 2)], 'Halted'],
    ['aborted while halted, with its own policy', { decisionSeconds: 60 }, [...controller, ...wave({ updated: 2, failed: 2 }), abort('roll-back-wave')], 'RollingBack'],
    ['aborted in a wave: hosts in flight finish', {}, [...controller, e.ShardStarted, abort('keep')], 'Rolling'],
    ['aborted in a wave: then it ends', {}, [...controller, e.ShardStarted, abort('keep'), { ...e.ShardEnded, counts: counts({ updated: 1 }) }], 'aborted not ok rollout_aborted'],
    ['aborted with rollback: aborted, not failed', {}, [...controller, e.ShardStarted, abort('roll-back-all'), { ...e.ShardEnded, counts: counts({ updated: 1 }) }, ...wave({ returned: 1 }), ...wave({ returned: 1 })], 'aborted not ok rollout_aborted'],
    ['aborted on its way back: what is in flight finishes, then it ends', { onFailure: 'roll-back-all' }, [...controller, ...wave({ updated: 2, failed: 2 }), e.ShardStarted, abort('keep'), e.ShardEnded], 'aborted not ok rollout_aborted'],
    ['superseded in a wave: hosts in flight finish, updated ones are kept', { onFailure: 'roll-back-all' }, [...controller, e.ShardStarted, e.NewerRolloutCame, { ...e.ShardEnded, counts: counts({ updated: 1 }) }], 'superseded not ok rollout_superseded'],
    ['a shard is lost: halted as no fault of the release', {}, [...controller, e.ShardStarted, e.ShardLost], 'failed not ok shard_lost'],
    ['a shard is lost on the way back: the waves before it go back all the same', { onFailure: 'roll-back-all' }, [...controller, ...wave({ updated: 2, failed: 2 }), e.ShardStarted, e.ShardLost], 'RollingBack'],
    ['a shard is lost on the way back: failed, and its reason is the one that is told', { onFailure: 'roll-back-all' }, [...controller, ...wave({ updated: 2, failed: 2 }), e.ShardStarted, e.ShardLost, ...wave({ returned: 1 })], 'failed not ok shard_lost'],
    ['all were told to be back before it was lost: rolled back', { onFailure: 'roll-back-wave' }, [{ ...e.ShardStarted }, { ...e.ShardEnded, counts: counts({ unchanged: 1 }) }, ...wave({ updated: 2, failed: 2 }), e.ShardStarted, { ...e.ShardReported, counts: counts({ returned: 2 }) }, e.ShardLost], 'rolled_back not ok budget_exceeded'],
    ['aborted, and a shard is lost on the way back: its reason is the one that is told', {}, [...controller, e.ShardStarted, { ...e.ShardReported, counts: counts({ updated: 1 }) }, abort('roll-back-wave'), { ...e.ShardEnded, counts: counts({ updated: 1 }) }, e.ShardStarted, e.ShardLost], 'aborted not ok shard_lost'],
    ['a shard ends before its hosts did: not taken for done', {}, [...controller, ...wave({ updated: 3 })], 'failed not ok shard_incomplete'],
    ['bakes after a wave', { bakeSeconds: 60 }, controller, 'Baking'],
    ['promoted while it bakes: the next wave', { bakeSeconds: 60 }, [...controller, e.PromoteRequested], 'Rolling'],
    ['does not bake after its last wave', { bakeSeconds: 60 }, [...controller, e.BakeEnded, ...wave({ updated: 4 }), e.BakeEnded, ...wave({ updated: 6 })], 'succeeded ok'],
    ['stands at the gates between waves', { gates: [approvalGate] }, controller, 'Gated'],
    ['rejected: aborted, hosts kept', { gates: [approvalGate], onFailure: 'roll-back-all' }, [...controller, e.GateRejected], 'aborted not ok gate_rejected'],
    ['nobody approved in time: aborted', { gates: [approvalGate] }, [...controller, e.GateTimedOut], 'aborted not ok gate_timed_out'],
    ['the metric is bad: failed, by policy', { gates: [metricGate], onFailure: 'roll-back-all' }, [...controller, { ...e.GateAnswered, verdict: 'fail' }], 'RollingBack'],
    ['the metric has no data: neither', { gates: [metricGate] }, [...controller, { ...e.GateAnswered, verdict: 'no_data' }], 'Gated'],
  ])('%s', (_name, strategy, events, expected) => {
    expect(short(after(begin(strategy), ...events))).toBe(expected);
  });

  test('a shard that was lost on the way back is told while the others go on, and at the end with why there was a way back', () => {
    const state = after(begin({ onFailure: 'roll-back-all' }), ...controller, ...wave({ updated: 2, failed: 2 }), e.ShardStarted, e.ShardLost);
    expect(nextActions(state, at).at(-1)).toMatchObject({ do: 'wait', waiting: { for: 'hosts of wave 0 on their way back; its workflow failed' } });
    // An older worker carried none over; the first one is kept.
    const { lost: _, ...older } = state as Extract<RolloutState, { phase: 'RollingBack' }>;
    expect(after(older, ...wave({ returned: 1 }))).toMatchObject({ outcome: 'failed', reason: { code: 'budget_exceeded' } });
    const another = { ...e.ShardLost, reason: { ...e.ShardLost.reason, message: 'another one' } };
    expect(after(state, e.ShardStarted, another)).toMatchObject({ outcome: 'failed', reason: { code: 'shard_lost', message: 'its workflow failed (on the way back, because: 2 of 11 hosts failed; 1 may.)' } });
  });

  test('a plan with nothing to change: succeeded at once', () => {
    const nothing = { ...sampleOutline(), waves: [], changing: 0, unchanged: 11 };
    expect(short(after(requestedRollout(at), { ...e.PlanAccepted, outline: nothing }))).toBe('succeeded ok');
    expect(short(after(requestedRollout(at), { ...e.PlanAccepted, outline: { ...nothing, unchanged: 10, skipped: 1 } }))).toBe('partial not ok');
  });

  test('reports of an earlier attempt, or from before a retry, are not taken up', () => {
    const state = after(begin(), ...controller, e.ShardStarted, e.RetryRequested);
    const stale = { ...e.ShardReported, counts: counts({ failed: 2 }) };
    expect(after(state, stale)).toEqual(state);
    expect(after(state, { ...stale, attempt: 0 })).toEqual(state);
    expect(after(state, { ...stale, retries: 1 })).toMatchObject({ stopping: { cause: 'budget' } });
    // It ended before it heard of the retry: one attempt more, with what is left.
    expect(after(state, { ...e.ShardEnded, counts: counts({ updated: 3, failed: 1 }) })).toMatchObject({ phase: 'Rolling', shards: [{ standing: 'unstarted', attempt: 2, counts: { updated: 3, failed: 0 } }] });
  });

  test('where it stands names the gates that wait for people, also while it is paused, and none of those that are open or ask something else', () => {
    const wanted = (state: RolloutState) => standingNow(state, at).approvals?.map(({ gate, approvals, quorum, since }) => [gate, approvals, quorum, since]);
    const gated = after(begin({ gates: [{ ...approvalGate, quorum: 2 }, metricGate] }), ...controller);
    const approvedOnce = after(gated, e.GateApproved);
    expect([wanted(begin()), wanted(gated), wanted(after(gated, e.PauseRequested)), wanted(approvedOnce), wanted(after(gated, e.PromoteRequested))]).toEqual([[], [[approvalGate.name, 0, 2, at]], [[approvalGate.name, 0, 2, at]], [[approvalGate.name, 1, 2, at]], []]);
  });

  test('a metric that passed before the approval came, and fails now, does not let the wave begin', () => {
    const gates = [{ ...approvalGate, quorum: 1 }, metricGate];
    const passed = after(begin({ gates }), ...controller, e.GateAnswered);
    expect(nextActions(passed, later(29)).map((action) => action.do)).toEqual(['wait']);
    const approved = after(passed, e.GateApproved);
    expect(nextActions(approved, later(29))).toMatchObject([{ do: 'tell', event: { type: 'GatesOpened' } }]);
    expect(nextActions(approved, later(30))).toMatchObject([{ do: 'ask-gate' }]);
    expect(short(after(approved, { ...e.GateAnswered, verdict: 'fail' }))).toBe('failed not ok gate_failed');
  });

  test('a window that closes in a wave parks it: hosts in flight finish, none begins, and it goes on when it opens', () => {
    const gated = begin({ gates: [windowGate] });
    expect(nextActions(gated, at)).toMatchObject([{ do: 'ask-window' }]);
    const open = after(gated, e.WindowAnswered);
    expect(nextActions(open, at)).toMatchObject([{ do: 'tell', event: { type: 'GatesOpened' } }]);
    const rolling = after(open, e.GatesOpened, e.ShardStarted);
    expect(nextActions(rolling, at)).toMatchObject([{ do: 'order-shard', order: { mode: 'go' } }, { do: 'wait', wakeAt: later(3600) }]);
    expect(nextActions(rolling, later(3600))).toMatchObject([{ do: 'ask-window' }, { do: 'order-shard', order: { mode: 'hold' } }, { do: 'wait' }]);
    const parked = after(rolling, { ...e.WindowAnswered, open: false, until: later(90_000), at: later(3600) });
    expect(statusOf(parked, later(4000))).toBe('parked');
    expect(nextActions(parked, later(4000))).toMatchObject([{ order: { mode: 'hold' } }, { do: 'wait', wakeAt: later(90_000), waiting: { since: later(3600), until: later(90_000) } }]);
    const again = after(parked, { ...e.WindowAnswered, until: later(97_200), at: later(90_000) });
    expect(nextActions(again, later(90_000))).toMatchObject([{ order: { mode: 'go' } }, { do: 'wait' }]);
  });

  test.each<[string, RolloutEvent[], string]>([
    ['paused', [e.PauseRequested], 'paused'],
    ['frozen', [e.FreezeSet], 'frozen'],
    ['both: the freeze lifted leaves the pause', [e.PauseRequested, e.FreezeSet, e.FreezeLifted], 'paused'],
    ['both: resumed leaves the freeze', [e.PauseRequested, e.FreezeSet, e.ResumeRequested], 'frozen'],
  ])('%s in a wave: no host is begun, and no shard started', (_name, events, status) => {
    const state = after(begin(), ...events);
    expect(statusOf(state, at)).toBe(status);
    expect(nextActions(state, at).map((action) => action.do)).toEqual(['wait']);
    expect(nextActions(after(begin(), e.ShardStarted, ...events), at)).toMatchObject([{ order: { mode: 'hold' } }, { do: 'wait' }]);
  });

  test('a freeze is over by itself at its end, and holds no rollback', () => {
    const frozen = after(begin(), e.FreezeSet);
    expect(nextActions(frozen, at)).toMatchObject([{ do: 'wait', wakeAt: later(3600) }]);
    expect(nextActions(frozen, later(3600))).toMatchObject([{ do: 'start-shard' }, { do: 'wait' }]);
    expect(nextActions({ ...sampleStates.RollingBack, freeze: e.FreezeSet.freeze }, at)).toMatchObject([{ order: { mode: 'go' } }, { do: 'wait' }]);
  });

  test('paused while it bakes: the next wave does not begin when the time is over', () => {
    const baking = after(sampleStates.Baking, e.PauseRequested);
    expect(nextActions(baking, later(61))).toMatchObject([{ do: 'wait', wakeAt: null }]);
    expect(nextActions(after(baking, e.ResumeRequested), later(61))).toMatchObject([{ event: { type: 'BakeEnded' } }]);
  });

  test('every pair of state and event is taken or refused by name; an ended one takes none', () => {
    for (const state of Object.values(sampleStates) as RolloutState[]) {
      for (const event of Object.values(sampleEvents) as RolloutEvent[]) {
        const kept = JSON.stringify(state);
        try {
          const next = nextRolloutState(state, event);
          expect(state.phase).not.toBe('Ended');
          expect(JSON.parse(JSON.stringify(next))).toEqual(next);
        } catch (error) {
          expect(error).toBeInstanceOf(IllegalRolloutTransition);
        }
        expect(JSON.stringify(state)).toBe(kept);
      }
    }
  });

  /** Guarantee 11. */
  test('every state says what is next, and whatever waits says for what, since when, until when, and who can release it', () => {
    for (const state of Object.values(sampleStates) as RolloutState[]) {
      const actions = nextActions(state, at);
      expect(actions.length).toBeGreaterThan(0);
      for (const action of actions) {
        if (action.do === 'tell') expect(() => nextRolloutState(state, action.event)).not.toThrow();
        if (action.do === 'wait') expect([action.waiting.for, action.waiting.since, action.waiting.release].every((text) => text.length > 2)).toBe(true);
      }
    }
  });

  test('a command that is not refused is an event that the state takes, and the other way round', () => {
    const approval = e.GateApproved.approval;
    const commands: [RolloutCommand, RolloutEvent][] = [
      [{ command: 'pause', by: 'bob', comment: null }, e.PauseRequested],
      [{ command: 'abort', by: 'bob', comment: null, updated: 'keep' }, e.AbortRequested],
      [{ command: 'retry', by: 'bob' }, e.RetryRequested],
      [{ command: 'promote', by: 'bob', role: 'approver' }, e.PromoteRequested],
      [{ command: 'approve', gate: 'go', approval }, e.GateApproved],
      [{ command: 'reject', gate: 'go', approval }, e.GateRejected],
    ];
    for (const state of Object.values(sampleStates) as RolloutState[]) {
      for (const [command, event] of commands) {
        const takes = (): boolean => {
          try {
            return Boolean(nextRolloutState(state, event));
          } catch {
            return false;
          }
        };
        expect([state.phase, command.command, refuseCommand(state, command) === null]).toEqual([state.phase, command.command, takes()]);
      }
    }
    expect(refuseCommand(sampleStates.Gated, { command: 'promote', by: 'ada', role: 'approver' })).toMatchObject({ code: 'approver_is_requester' });
    expect(refuseCommand(sampleStates.Rolling, { command: 'resume', by: 'bob' })).toMatchObject({ code: 'not_paused' });
  });

  test('its totals add up to its scope, also where hosts were brought back', () => {
    const back = after(begin({ onFailure: 'roll-back-wave' }), ...controller, ...wave({ updated: 2, failed: 2, stranded: 1 }), ...wave({ returned: 1, notReturned: 1 }));
    expect(totalsOf(back)).toEqual({ scope: 11, onRelease: 1, failed: 2, stranded: 1, left: 0, returned: 1, notReturned: 1, open: 6 });
    expect(totalsOf(sampleStates.Queued)).toBeNull();
  });

  test('its state does not grow with the fleet', () => {
    const outline = { ...sampleOutline(), waves: sampleOutline().waves.map((each) => ({ ...each, hosts: each.role === 'node' ? 5_000 : 1 })), scope: 10_001, changing: 10_001 };
    const state = after(requestedRollout(at), { ...e.PlanAccepted, outline }, e.RolloutBegun, ...controller, e.BakeEnded);
    expect(state).toMatchObject({ phase: 'Rolling', shards: { length: 10 } });
    expect(JSON.stringify(state).length).toBeLessThan(10_000);
  });

  test('docs/state-machines.md is what the transition function does', () => {
    expect(readFileSync(new URL('../../../../docs/state-machines.md', import.meta.url), 'utf8')).toBe(stateMachinesPage());
  });
});
