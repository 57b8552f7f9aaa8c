import type { Finding } from '../../../../src/domain/host/drift.ts';
import { decideHealing, healingPauseMs, type HealingFacts, type HealingTry } from '../../../../src/domain/host/healing.ts';
import type { Intent } from '../../../../src/domain/host/state.ts';
import type { ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { sampleState } from '../../../support/host-samples.ts';

const now = '2026-01-03T12:00:00.000Z';
const ago = (ms: number) => new Date(Date.parse(now) - ms).toISOString();
const finding = (change: Partial<Finding> = {}): Finding => ({ kind: 'instance_dead', subject: 'api-b', expected: 'r1', seen: 'failed', since: ago(60_000), heal: 'run', message: 'dead', hint: 'look', ...change });
const tried = (change: Partial<HealingTry> = {}): HealingTry => ({ kind: 'instance_dead', subject: 'api-b', at: ago(600_000), by: 'run', runId: 'run-3' as RunId, outcome: 'succeeded', note: '', ...change });
const intent = (change: Partial<Intent> = {}): Intent => ({
  schema: 1, runId: 'run-7' as RunId, fence: 7, kind: 'update-apply', product: sampleState().product, phase: 'installed', fromReleaseId: 'r1' as ReleaseId, toReleaseId: 'r2' as ReleaseId, openedAt: ago(0), backupPath: null, stranded: null, ...change,
});
const decide = (change: Partial<HealingFacts> = {}) => {
  const findings = change.findings ?? [finding()];
  return decideHealing({ findings, before: findings, policy: 'heal', history: [], state: sampleState(), intent: null, ...change }, now);
};
const verdict = (change: Partial<HealingFacts> = {}) => {
  const { start, verdicts } = decide(change);
  return [start?.releaseId ?? null, verdicts[0]?.verdict, verdicts[0]?.why];
};

test('told twice: a run of the active release is started, for everything that is due at once', () => {
  const both = [finding(), finding({ kind: 'router_dead', subject: 'router' })];
  expect(decide({ findings: both }).start).toEqual({ releaseId: 'r1', findings: both });
});

test.each<[string, Partial<HealingFacts>, string, RegExp]>([
  ['told for the first time', { before: [] }, 'wait', /second time/],
  ['the policy is to report', { policy: 'report' }, 'person', /only reports/],
  ['a person has to look', { findings: [finding({ heal: 'person', hint: 'find out' })] }, 'person', /find out/],
  ['the agent does it itself', { findings: [finding({ kind: 'config_mode', heal: 'self' })] }, 'wait', /agent/],
  ['the host is stranded', { intent: intent({ stranded: { class: 'host', code: 'x', message: 'm' } }) }, 'person', /stranded since run run-7/],
  ['a run is at work', { intent: intent() }, 'wait', /run run-7 is at work/],
  ['nothing is installed', { state: null }, 'person', /no release is active/],
  ['the active release was never proven', { state: { ...sampleState(), activeReleaseId: 'r2' as ReleaseId } }, 'person', /r2 is active and was never proven here; the last good release is r1/],
  ['the active release is condemned', { state: { ...sampleState(), failedReleaseIds: ['r1' as ReleaseId] } }, 'person', /condemned/],
  ['tried within the hour, and it did not help', { history: [tried({ outcome: 'stranded' })] }, 'person', /tried at .*, run run-3, outcome stranded, and it is there again/],
  ['tried within the hour, helped, and it is there again', { history: [tried({ at: ago(healingPauseMs - 1) })] }, 'person', /not tried by itself before/],
  ['its run is under way', { history: [tried({ outcome: null })] }, 'wait', /run run-3 is at it/],
  ['its run is under way for longer than an hour', { history: [tried({ outcome: null, at: ago(healingPauseMs * 2) })] }, 'wait', /run run-3 is at it/],
])('nothing is started where %s', (_what, change, expected, why) => {
  expect(verdict(change)).toEqual([null, expected, expect.stringMatching(why)]);
});

test('files that nothing vouches for are not unpacked under what runs from them: no other finding starts a run either', () => {
  const { start, verdicts } = decide({ findings: [finding(), finding({ kind: 'current_incomplete', subject: 'current', heal: 'person' })] });
  expect([start, verdicts.map(({ verdict: each }) => each)]).toEqual([null, ['person', 'person']]);
});

test('an hour later it is tried again; what was tried of another finding does not count', () => {
  expect(verdict({ history: [tried({ at: ago(healingPauseMs) })] })).toEqual(['r1', 'heal', expect.anything()]);
  expect(verdict({ history: [tried({ subject: 'api-a' })] })).toEqual(['r1', 'heal', expect.anything()]);
});

test('a leftover intent is replaced by a run; one that leaves another behind is not followed by the next', () => {
  const leftover = finding({ kind: 'leftover_intent', subject: 'run-7' });
  expect(verdict({ findings: [leftover], intent: intent() })).toEqual(['r1', 'heal', expect.anything()]);
  expect(verdict({ findings: [leftover], intent: intent(), history: [tried({ kind: 'leftover_intent', subject: 'run-6' })] })).toEqual([null, 'person', expect.anything()]);
});
