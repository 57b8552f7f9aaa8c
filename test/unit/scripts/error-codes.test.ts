import { readFile } from 'node:fs/promises';
import { errorCodes, errorsModule, errorsPage } from '../../../scripts/error-codes.ts';
import { command } from '../../support/command-line.ts';

const read = (path: string): Promise<string> => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');
const codes = errorCodes();
const of = (text: string) => errorCodes([['src/x.ts', text]]);

test('every code of the sources stands in docs/errors.md and in what `explain` knows', async () => {
  expect(codes.length).toBeGreaterThan(300);
  // Where this fails: npm run docs
  expect(await read('docs/errors.md')).toBe(errorsPage(codes));
  expect(await read('src/cli/error-codes.ts')).toBe(errorsModule(codes));
});

test('every code that the API has a status for is found in the sources', async () => {
  const text = await read('src/api/problems.ts');
  const table = text.slice(text.indexOf('const statusOfCode'), text.indexOf('};', text.indexOf('const statusOfCode')));
  const named = [...table.matchAll(/^ {2}([a-z_]+): \d/gm)].map((match) => match[1]!);
  const known = new Set(codes.map(({ code }) => code));
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((code) => !known.has(code))).toEqual([]);
});

describe('a code is found where it is made', () => {
  test('in a literal, with names for what only the moment knows', () => {
    expect(of("throw new FairleadError({ class: 'host', code: 'disk_full', message: `No room in ${place.path}: ${a + b}`, hint: 'Make room.' })")).toEqual([
      { code: 'disk_full', class: 'host', where: ['src/x.ts'], message: 'No room in {path}: {…}', hint: 'Make room.' },
    ]);
  });
  test('on both sides of a condition', () => expect(of("const r = { class: 'host', code: full ? 'disk_full' : 'disk_slow', message: 'm' };").map(({ code }) => code)).toEqual(['disk_full', 'disk_slow']));
  test('in a call of a function that makes reasons, declared after it', () => {
    expect(of("refuse('too_old', `made ${when}`);\nconst refuse = (code: string, message: string) => ({ class: 'request', code, message, hint: 'Again.' });")).toEqual([
      { code: 'too_old', class: 'request', where: ['src/x.ts'], message: 'made {when}', hint: 'Again.' },
    ]);
  });
  test('a function of the same name in another file makes none', () => {
    expect(errorCodes([['src/x.ts', "export const refuse = (code: string) => ({ class: 'host', code, message: 'm' });"], ['src/y.ts', "refuse('not_this');"]])).toEqual([]);
  });
});

test('fairlead explain: prints a code without asking anybody, and names near ones where there is none', async () => {
  const known = await command(['explain', 'rate_limited', '--json']);
  expect([known.code, JSON.parse(known.out)]).toEqual([0, expect.objectContaining({ code: 'rate_limited', class: 'request' })]);
  const unknown = await command(['explain', 'rate_lost']);
  expect([unknown.code, unknown.notes]).toEqual([3, expect.stringContaining('rate_limited')]);
});
