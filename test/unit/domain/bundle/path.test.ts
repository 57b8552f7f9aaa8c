import { defaultExtractionLimits } from '../../../../src/domain/bundle/artifact.ts';
import { checkPath, clashKey, utf8Length } from '../../../../src/domain/bundle/path.ts';
import { shownPath } from '../../../../src/domain/bundle/refusal.ts';

test.each(['a', 'a/b', '.env', '..a', 'a..', '...', 'a b', 'na\u00efve', '\u65e5\u672c', 'a'.repeat(255), '-rf', '~', 'C:', '$(x)'])('%j is a path that may be written', (path) => {
  expect(() => checkPath(path, defaultExtractionLimits)).not.toThrow();
});

test.each(['', '/', '/a', '..', '../a', 'a/..', 'a/../b', '.', './a', 'a/.', 'a/', 'a//b', 'a\\b', 'a\0', '\n', '\u007f', '\ud800'])('%j is refused', (path) => {
  expect(() => checkPath(path, defaultExtractionLimits)).toThrow();
});

test.each([
  ['README', 'readme'],
  ['stra\u00dfe', 'STRASSE'],
  ['\u017f', 's'],
  ['caf\u00e9', 'CAFE\u0301'],
  ['\u00c5', '\u212b'],
  ['\u03a3', '\u03c2'],
])('%s and %s clash', (one, other) => {
  expect(clashKey(one)).toBe(clashKey(other));
});

test('bytes are counted as UTF-8 counts them', () => {
  for (const text of ['', 'abc', '\u00e9', '\u20ac', '\u{1f600}', 'a\u00e9\u20ac\u{1f600}']) expect(utf8Length(text)).toBe(Buffer.byteLength(text));
});

test('a hostile name cannot forge a line of a log or turn its direction', () => {
  expect(shownPath('a\nb\u202e\u0085')).toBe('"a\\nb\\u202e\\u0085"');
});
