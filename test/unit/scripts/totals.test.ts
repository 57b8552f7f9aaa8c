import { suitesToRepeat, unsteady, withRepeated, type SuiteResult } from '../../../scripts/totals.ts';

const suite = (path: string, ...failures: string[]): SuiteResult => ({ path, passed: 2, failures: failures.map((name) => `${path}: ${name}`), skipped: [] });
const run = (...suites: SuiteResult[]): SuiteResult[] => suites;
const e2e = (name: string, ...failures: string[]): SuiteResult => suite(`test/e2e/${name}.test.ts`, ...failures);

test('a green run has nothing to repeat', () => {
  expect(suitesToRepeat(run(e2e('drift'), suite('test/unit/a.test.ts')))).toEqual([]);
});

test('what failed on real parts is run once more, and nothing else', () => {
  expect(suitesToRepeat(run(e2e('drift', 'killed'), suite('test/contract/router.test.ts', 'drained'), e2e('demo')))).toEqual(['test/e2e/drift.test.ts', 'test/contract/router.test.ts']);
});

test.each<[string, SuiteResult[]]>([
  ['a pure test failed beside it', run(e2e('drift', 'killed'), suite('test/unit/a.test.ts', 'adds'))],
  ['a workflow test failed', run(suite('test/workflows/update.test.ts', 'undoes'))],
  ['more than three suites failed', run(...['a', 'b', 'c', 'd'].map((name) => e2e(name, 'killed')))],
  ['somebody interrupted it', run(e2e('drift', 'killed'), suite('jest', 'jest ended with 1 and was interrupted'))],
  ['jest itself failed', run(e2e('drift', 'killed'), suite('jest', 'jest ended with 1'))],
])('nothing is repeated where %s', (_, result) => {
  expect(suitesToRepeat(result)).toEqual([]);
});

test('a suite that passes alone counts as passed and is named; one that fails again is failed and not unsteady', () => {
  const first = run(e2e('drift', 'killed'), e2e('demo', 'told'), e2e('dev'));
  const second = run(e2e('drift'), e2e('demo', 'told'));
  expect(withRepeated(first, second)).toEqual([e2e('drift'), e2e('demo', 'told'), e2e('dev')]);
  expect(unsteady(first, second)).toEqual(['test/e2e/drift.test.ts: killed']);
});

test('a suite that the second run did not reach stays failed', () => {
  const first = run(e2e('drift', 'killed'));
  expect(withRepeated(first, run())).toEqual([e2e('drift', 'killed')]);
  expect(unsteady(first, run())).toEqual([]);
});
