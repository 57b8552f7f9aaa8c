import type { HostId, ProductName, ReleaseId } from '../../../../src/domain/ids.ts';
import { budgetExceeded, countsAsFailure } from '../../../../src/domain/rollout/budget.ts';
import { freezeOf } from '../../../../src/domain/rollout/freeze.ts';
import { answered, approve, gatesBefore, judgeMetric, opened, refuseApproval, standingOf, timeoutAt, type Approval } from '../../../../src/domain/rollout/gate.ts';
import { braked, countsOf, IllegalShardTransition, nextHosts, nextShardState, openShard, releaseFor, shardOver, type ShardEvent, type ShardOrder, type ShardRow, type ShardState } from '../../../../src/domain/rollout/shard.ts';
import { turnOf, type OpenRollout } from '../../../../src/domain/rollout/turn.ts';
import { approvalGate, at, freeze, later, metricGate, windowGate } from '../../../support/rollout-samples.ts';

describe('the failure budget', () => {
  test.each<[string, number | null, number | null, number, number, boolean]>([
    ['as many as the count: not spent', 2, null, 2, 100, false],
    ['one more: spent', 2, null, 3, 100, true],
    ['none allowed, none failed', 0, 0, 0, 10, false],
    ['exactly the percent: not spent', null, 10, 3, 30, false],
    ['more than the percent', null, 10, 4, 30, true],
    ['a percent of few hosts bears none', null, 5, 1, 10, true],
    ['either limit is enough: the count', 1, 50, 2, 10, true],
    ['either limit is enough: the percent', 9, 10, 2, 10, true],
    ['no limit: never', null, null, 10, 10, false],
    ['a percent that floating point would round down: 29 % of 100', null, 29, 29, 100, false],
  ])('%s', (_name, count, percent, failed, total, exceeded) => {
    expect(budgetExceeded({ count, percent }, failed, total)).toBe(exceeded);
  });
  test('counts what went wrong, and not what was not wanted', () => {
    expect((['rolled_back', 'stranded', 'not_verified', 'offline'] as const).map((outcome) => countsAsFailure(outcome, null))).toEqual([true, true, true, true]);
    expect((['updated', 'unchanged', 'skipped', 'cancelled', 'returned'] as const).map((outcome) => countsAsFailure(outcome, null))).toEqual([false, false, false, false, false]);
    expect(countsAsFailure('refused', { class: 'request' })).toBe(false);
    expect(countsAsFailure('refused', { class: 'release' })).toBe(true);
  });
});

describe('an approval', () => {
  const standing = standingOf(approvalGate, at);
  const by = (name: string, more: Partial<Approval> = {}): Approval => ({ by: name, role: 'approver', comment: 'fine', at, ...more });
  test.each<[string, Partial<Approval>, string | null]>([
    ['by an approver', {}, null],
    ['by an admin', { role: 'admin' }, null],
    ['by another role', { role: 'operator' }, 'approver_role'],
    ['by who asked for the rollout', { by: 'ada' }, 'approver_is_requester'],
    ['by who asked, as an admin', { by: 'ada', role: 'admin' }, 'approver_is_requester'],
    ['without its comment', { comment: '  ' }, 'comment_required'],
  ])('%s', (_name, more, code) => {
    expect(refuseApproval(standing, by('bob', more), 'ada')?.code ?? null).toBe(code);
    expect(approve(standing, by('bob', more), 'ada').approvals).toHaveLength(code === null ? 1 : 0);
  });
  test('opens with the quorum; the same person twice counts once', () => {
    const one = approve(standing, by('bob'), 'ada');
    const twice = approve(one, by('bob', { comment: 'again' }), 'ada');
    expect([one.open, twice.open, twice.approvals.length]).toEqual([false, false, 1]);
    expect(approve(twice, by('cleo'), 'ada')).toMatchObject({ open: true, note: 'approved by bob, cleo' });
  });
  test('of a gate that people do not open is refused', () => {
    expect(refuseApproval(standingOf(metricGate, at), by('bob'), 'ada')).toMatchObject({ code: 'gate_takes_no_approval' });
  });
  test('a timeout that keeps waiting is none; an open gate has none', () => {
    expect(timeoutAt(standing)).toBe(later(3600));
    expect(timeoutAt(standingOf({ ...approvalGate, onTimeout: 'keep-waiting' }, at))).toBeNull();
    expect(timeoutAt(opened(standing, 'promoted'))).toBeNull();
  });
});

describe('gates', () => {
  test('stand between waves, before all, or before some', () => {
    const some = { ...metricGate, name: 'some', before: [2, 3] };
    const gates = [approvalGate, windowGate, some];
    expect([1, 2, 4].map((wave) => gatesBefore(gates, wave, 1).map(({ name }) => name))).toEqual([['night'], ['go', 'night', 'some'], ['go', 'night']]);
  });
  test.each<[string, number | null, string]>([
    ['no data: neither', null, 'no_data'],
    ['within', 5, 'pass'],
    ['past its limit', 5.01, 'fail'],
  ])('a metric with %s', (_name, value, verdict) => {
    expect(judgeMetric(metricGate, value).verdict).toBe(verdict);
    expect(judgeMetric({ ...metricGate, min: 5, max: null }, value === null ? null : 10 - value).verdict).toBe(verdict);
  });
  test('a metric whose address is refused: no data, and the gate says why there is none', () => {
    expect(judgeMetric(metricGate, null, 'address refused: it is a metadata service')).toEqual({ verdict: 'no_data', note: 'address refused: it is a metadata service' });
    expect(judgeMetric(metricGate, null).note).toContain('no value from');
  });
  test('a metric that failed to answer shuts a gate that it had opened; one that was promoted stays open', () => {
    const passed = answered(standingOf(metricGate, at), 'pass', '', at);
    expect([passed.open, answered(passed, 'no_data', '', at).open, answered(opened(passed, 'promoted'), 'no_data', '', at).open]).toEqual([true, false, true]);
  });
});

describe('a freeze', () => {
  const lab = 'lab' as ProductName;
  test.each<[string, Parameters<typeof freezeOf>[0], string, string | null]>([
    ['in force', [freeze], later(10), 'f1'],
    ['over at its end', [freeze], later(3600), null],
    ['not begun', [freeze], later(-1), null],
    ['of another product', [{ ...freeze, product: 'bloom' as ProductName }], later(10), null],
    ['two: the one that lasts longest', [freeze, { ...freeze, id: 'f2', until: later(7200) }], later(10), 'f2'],
  ])('%s', (_name, freezes, now, id) => {
    expect(freezeOf(freezes, lab, now)?.id ?? null).toBe(id);
  });
});

describe('the turn of a rollout', () => {
  const open = (rollout: string, more: Partial<OpenRollout> = {}): OpenRollout => ({ rollout, product: 'lab' as ProductName, phase: 'Rolling', requestedAt: at, ...more });
  const turn = (rollouts: OpenRollout[], whenBusy: 'refuse' | 'queue' | 'supersede') => turnOf(rollouts, { product: 'lab' as ProductName, whenBusy });
  test('begins where none of its product is open', () => {
    expect(turn([open('x', { product: 'bloom' as ProductName }), open('y', { phase: 'Ended' })], 'refuse')).toEqual({ kind: 'begin' });
  });
  test('is refused, queued behind the newest, or takes the place of all', () => {
    const rollouts = [open('second', { requestedAt: later(1), phase: 'Queued' }), open('first')];
    expect(turn(rollouts, 'refuse')).toMatchObject({ kind: 'refuse', reason: { code: 'rollout_open' } });
    expect(turn(rollouts, 'queue')).toEqual({ kind: 'queue', behind: 'second' });
    expect(turn(rollouts, 'supersede')).toEqual({ kind: 'supersede', rollouts: ['first', 'second'], behind: 'second' });
  });
  test('waits for one that is on its way back, whatever its policy', () => {
    expect(turn([open('back', { phase: 'RollingBack' })], 'supersede')).toEqual({ kind: 'queue', behind: 'back' });
  });
});

describe('a shard', () => {
  const go: ShardOrder = { mode: 'go', parallel: 2, failuresAllowed: null, retries: 0 };
  const row = (host: string, more: Partial<ShardRow> = {}): ShardRow => ({ host: host as HostId, role: 'node', artifactRole: 'node', fromReleaseId: 'r1' as ReleaseId, toReleaseId: 'r2' as ReleaseId, action: 'update', outcome: null, reasonClass: null, ...more });
  const open = (rows: ShardRow[], order = go, direction: 'forward' | 'back' = 'forward') => openShard(rows, order, direction, { policy: 'wait', waitSeconds: 60, then: 'fail' }, at);
  const after = (state: ShardState, ...events: ShardEvent[]): ShardState => events.reduce(nextShardState, state);
  const begun = (host: string): ShardEvent => ({ type: 'HostBegun', host: host as HostId });
  const settled = (host: string, outcome: 'updated' | 'rolled_back' = 'updated'): ShardEvent => ({ type: 'HostSettled', host: host as HostId, outcome, reasonClass: null });
  const next = (state: ShardState): string[] => nextHosts(state).map(({ host }) => host);
  const three = open([row('a'), row('b'), row('c')]);

  test('begins as many as its window has room for, in order, and each once', () => {
    expect(next(three)).toEqual(['a', 'b']);
    const two = after(three, begun('a'), begun('b'));
    expect(next(two)).toEqual([]);
    expect(next(after(two, settled('b')))).toEqual(['c']);
    expect(() => after(two, begun('a'))).toThrow(IllegalShardTransition);
    expect(() => after(two, settled('b'), settled('b'))).toThrow(IllegalShardTransition);
    expect(() => after(three, settled('a'))).toThrow(IllegalShardTransition);
  });
  test.each(['hold', 'stop'] as const)('told to %s: begins none, those in flight end; only a stop ends it', (mode) => {
    const told = after(three, begun('a'), { type: 'OrderCame', order: { ...go, mode } });
    expect([next(told), shardOver(told)]).toEqual([[], false]);
    const idle = after(told, settled('a'));
    expect([next(idle), shardOver(idle)]).toEqual([[], mode === 'stop']);
    expect(next(after(idle, { type: 'OrderCame', order: go }))).toEqual(['b', 'c']);
  });
  test('brakes by itself past what the budget bore when it began, and tries failed hosts again when told', () => {
    const failed = after(open([row('a'), row('b'), row('c')], { ...go, failuresAllowed: 0 }), begun('a'), settled('a', 'rolled_back'));
    expect([braked(failed), next(failed), countsOf(failed).failed]).toEqual([true, [], 1]);
    const again = after(failed, { type: 'OrderCame', order: { ...go, failuresAllowed: 1, retries: 1 } });
    expect([braked(again), next(again), countsOf(again).failed]).toEqual([false, ['a', 'b'], 0]);
    // The same order a second time changes nothing.
    expect(after(again, begun('a'), settled('a', 'rolled_back'), { type: 'OrderCame', order: { ...go, failuresAllowed: 1, retries: 1 } }).hosts[0]?.standing).toBe('settled');
  });
  test('waits for hosts that are away without giving them a place in the window', () => {
    const away = open([row('a', { action: 'wait' }), row('b'), row('c')]);
    expect([next(away), away.awayUntil]).toEqual([['b', 'c'], later(60)]);
    expect(next(after(away, { type: 'HostCame', host: 'a' as HostId }))).toEqual(['a', 'b']);
    const ended = after(away, { type: 'WaitEnded' });
    expect([ended.hosts[0]?.outcome, countsOf(ended).failed, next(ended)]).toEqual(['offline', 1, ['b', 'c']]);
  });
  test('of a later attempt leaves updated hosts alone, tries failed ones and those that were never begun', () => {
    const rows = [row('a', { outcome: 'updated' }), row('b', { outcome: 'stranded' }), row('c'), row('d', { outcome: 'refused', reasonClass: 'request' }), row('e', { outcome: 'refused', reasonClass: 'host' })];
    const again = open(rows, { ...go, parallel: 9 });
    expect([next(again), countsOf(again)]).toEqual([['b', 'c', 'e'], expect.objectContaining({ updated: 1, failed: 0, left: 1 })]);
  });
  test('on the way back takes the updated hosts to what they had; one that had nothing cannot be returned', () => {
    const back = open([row('a', { outcome: 'updated' }), row('b', { outcome: 'unchanged' }), row('c', { outcome: 'rolled_back' }), row('d', { outcome: 'updated', fromReleaseId: null })], go, 'back');
    expect([next(back), countsOf(back).notReturned, back.hosts.map((host) => releaseFor(back, host))[0]]).toEqual([['a'], 1, 'r1']);
  });
});
