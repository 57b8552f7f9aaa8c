import type { StepReport } from '../../../src/domain/run/report.ts';
import { brokenAudit, brokenRestarts } from '../../support/invariants.ts';

/** What the kill matrices read after every run has to be able to find something. */
const step = (name: string, direction: 'do' | 'undo', second: number): StepReport => ({ name, direction, startedAt: at(second), durationMs: 1, attempts: 1, outcome: 'done' }) as StepReport;
const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
const row = (event: string, second: number, detail: Record<string, unknown> = {}) => ({ event, at: at(second), detail });

const report = { outcome: 'rolled_back' as const, steps: [step('download', 'do', 2), step('restart', 'do', 4), step('restart', 'undo', 6)] };
const whole = [row('update.requested', 0), row('run.intended', 1), row('run.undo_intended', 5), row('run.ended', 9, { outcome: 'rolled_back' })];
const without = (event: string) => whole.filter((each) => each.event !== event);
const instead = (event: string, second: number, detail?: Record<string, unknown>) => whole.map((each) => (each.event === event ? row(event, second, detail ?? each.detail) : each));

test('an audit that tells all of a run is whole', () => expect(brokenAudit(whole, report)).toEqual([]));

test('a run that took no step needs only its end', () => expect(brokenAudit([row('run.ended', 1, { outcome: 'refused' })], { outcome: 'refused', steps: [] })).toEqual([]));

test.each([
  ['nothing was meant', without('run.intended'), 'the audit has no run.intended, and download was taken'],
  ['nothing was meant to be taken back', without('run.undo_intended'), 'the audit has no run.undo_intended, and restart was taken'],
  ['it was written after the first step', instead('run.intended', 3), `the audit has run.intended at ${at(3)}, and download began at ${at(2)}`],
  ['it was written after the first step back', instead('run.undo_intended', 7), `the audit has run.undo_intended at ${at(7)}, and restart began at ${at(6)}`],
  ['it has no end', without('run.ended'), 'the audit has run.ended 0 times'],
  ['it ended twice', [...whole, row('run.ended', 10, { outcome: 'rolled_back' })], 'the audit has run.ended 2 times'],
  ['it was meant twice', [row('run.intended', 1), ...whole], 'the audit has run.intended 2 times'],
  ['it ended otherwise', instead('run.ended', 9, { outcome: 'succeeded' }), 'the audit says succeeded, the report rolled_back'],
  ['it ended before it began', [...whole].reverse(), 'the audit has run.ended before what was intended'],
])('%s: found', (_what, rows, sentence) => expect(brokenAudit(rows, report)).toEqual([sentence]));

test('an instance that was started twice on a release is found', () => {
  const boot = { instance: 'api-a', releaseId: 'r2', at: at(1) };
  expect(brokenRestarts([boot, { ...boot, releaseId: 'r1' }])).toEqual([]);
  expect(brokenRestarts([boot, boot])).toEqual(['api-a on r2 was started 2 times in one run']);
});
