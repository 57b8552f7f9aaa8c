import type { RunReport } from '../../../src/domain/run/report.ts';
import { renderReport } from '../../../src/cli/report-text.ts';
import { duration, renderTable } from '../../../src/cli/table.ts';
import { sampleReport } from './sample-report.ts';

const lineWith = (text: string, part: string): number => text.split('\n').findIndex((line) => line.includes(part));

test('an update that was rolled back: outcome first, then the state, the reason, the failing probe before the rest, what to type', () => {
  const text = renderReport(sampleReport('rolled_back'));
  expect(text.split('\n')[0]).toBe('ROLLED BACK  lab on h1: r1 -> r2');
  const order = ['ROLLED BACK', 'h1 is healthy on r1', 'Why: probe ready', 'FAILED  probe ready', 'last lines of', 'Steps:', 'Next:', 'run '].map((part) => lineWith(text, part));
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(order).not.toContain(-1);
  expect(text).toContain('500 out of memory');
  expect(text).toContain('fairlead update apply r2 --host h1 --product lab --allow-failed');
});

test('of many log lines the last ones are shown, of many answers of one probe the last one', () => {
  const text = renderReport(sampleReport('rolled_back'));
  expect(text).toContain('| line 30');
  expect(text).not.toContain('| line 18\n');
  expect(text.match(/FAILED {2}probe ready/g)).toHaveLength(1);
});

test('a stranded host: says so in the first line, where it is stuck, the backup, and every command of the record in order', () => {
  const text = renderReport(sampleReport('stranded'));
  expect(text.split('\n')[0]).toContain('STRANDED');
  expect(text).toContain('stuck at   activate: the disk is full');
  expect(text).toContain('/var/lib/lab/fairlead/backups/run-1');
  expect(lineWith(text, 'sh /var/lib/lab/fairlead/recovery/run-1.sh')).toBeLessThan(lineWith(text, 'fairlead recover --product lab'));
  expect(lineWith(text, 'sh /var/lib/lab/fairlead/recovery/run-1.sh')).toBeGreaterThan(lineWith(text, 'Next, on h1'));
});

test.each<[RunReport['outcome'], string]>([
  ['succeeded', 'h1 is healthy on r2.'],
  ['unchanged', 'h1 is on r2 already; nothing was done.'],
  ['refused', 'Nothing was touched: h1 is as it was.'],
  ['cancelled', 'The run was cancelled and undone: h1 is healthy on r1, as before.'],
])('%s: the second line says what state the host is in', (outcome, line) => {
  expect(renderReport(sampleReport(outcome)).split('\n')[1]).toBe(line);
});

test('a first install that failed does not claim that the host is healthy', () => {
  const text = renderReport({ ...sampleReport('rolled_back'), fromReleaseId: null });
  expect(text).toContain('h1 has nothing installed, as before.');
  expect(text).not.toContain('healthy on null');
});

test('times are as long as a person needs them', () => {
  expect([12, 999, 1_234, 59_400, 61_000, 3_600_000 * 2 + 300_000].map(duration)).toEqual(['12 ms', '999 ms', '1.2 s', '59 s', '1 min 1 s', '2 h 5 min']);
});

test('a table without rows is nothing, so that a program sees an empty output', () => {
  expect(renderTable(['A'], [])).toBe('');
  expect(renderTable(['A', 'B'], [['long', 'x'], ['s', 'y']])).toBe('A     B\nlong  x\ns     y\n');
});
