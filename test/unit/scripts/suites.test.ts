import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { longest, suiteOf, thorough } from '../../../scripts/suites.ts';

const project = join(import.meta.dirname, '../../..');
const suites = ['contract', 'e2e', 'workflows'].flatMap((folder) => readdirSync(join(project, 'test', folder)).filter((name) => name.endsWith('.test.ts')).map(suiteOf));

test('every suite of the tables is there', () => {
  expect([...longest, ...Object.keys(thorough), ...Object.values(thorough)].filter((name) => !suites.includes(name))).toEqual([]);
});

test('whatever is left out of `npm test` has a suite that stands for it and is run', () => {
  expect(Object.values(thorough).filter((name) => name in thorough)).toEqual([]);
});
