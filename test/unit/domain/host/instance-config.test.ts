import { spawnSync } from 'node:child_process';
import { parseInstanceConfig, renderInstanceConfig } from '../../../../src/domain/host/instance-config.ts';

const awkward = {
  PORT: '4011',
  EMPTY: '',
  SPACES: '  two  words ',
  QUOTES: `it's "quoted" ''twice''`,
  SHELL: '$HOME `id` $(id) \\ & ; | < > * ? #',
  JSON: '{"crashAtStart":true,"text":"it\'s"}',
  URL: 'postgres://user:p%40ss@127.0.0.1/db?a=b&c=d',
  EQUALS: 'a=b=c',
  UNICODE: 'Grüße',
};

/** What a POSIX shell makes of the text. */
function sourced(text: string, names: readonly string[]): Record<string, string> {
  const script = `set -a\n${text}\nset +a\n${names.map((name) => `printf '%s\\0' "$${name}"`).join('\n')}`;
  const { stdout, status } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8', env: {} });
  expect(status).toBe(0);
  const values = stdout.split('\0');
  return Object.fromEntries(names.map((name, index) => [name, values[index] as string]));
}

test('what is written is read back, by this and by a shell alike', () => {
  const text = renderInstanceConfig(awkward);
  expect(parseInstanceConfig(text)).toEqual(awkward);
  expect(sourced(text, Object.keys(awkward))).toEqual(awkward);
  expect(renderInstanceConfig(parseInstanceConfig(text))).toBe(text);
});

test.each([
  ['a bare word', 'A=bare', { A: 'bare' }],
  ['single quotes', "A='a b'", { A: 'a b' }],
  ['double quotes with escapes', 'A="a \\"b\\" \\$c \\\\ \\`d\\`"', { A: 'a "b" $c \\ `d`' }],
  ['quotes side by side', `A='it'"'"'s'`, { A: "it's" }],
  ['an escaped character', 'A=a\\ b', { A: 'a b' }],
  ['export and blanks in front', '  export A=b', { A: 'b' }],
  ['a comment behind the value', 'A=b # why', { A: 'b' }],
  ['a later line wins', 'A=1\nA=2', { A: '2' }],
  ['comments and empty lines', '# A=no\n\nB=yes\n', { B: 'yes' }],
])('a line that a person wrote is read as a shell reads it: %s', (_how, text, values) => {
  expect(parseInstanceConfig(text)).toEqual(values);
  expect(sourced(text, Object.keys(values))).toEqual(values);
});

test('what is no assignment is not read', () => {
  expect(parseInstanceConfig('echo A=b\n1A=b\nA-B=c\nA =b\n[section]\n')).toEqual({});
});
