import { randomBytes } from 'node:crypto';
import { FairleadError } from '../../../../src/domain/failure.ts';
import { readKeyLines, type SecretKey } from '../../../../src/adapters/sealed/key-lines.ts';
import { createSealing, SealError } from '../../../../src/adapters/sealed/sealing.ts';

const key = (id: string): SecretKey => ({ id, secret: randomBytes(32) });
const [k1, k2] = [key('k1'), key('k2')];
const plain = Buffer.from('a secret of some length');
const faultOf = (open: () => unknown): string | null => {
  try {
    open();
    return null;
  } catch (error) {
    return error instanceof SealError ? error.fault : String(error);
  }
};

test('sealed twice: different bytes, which both open, and nothing of the text is in them', () => {
  const sealing = createSealing([k1], 'test');
  const [one, two] = [sealing.seal(plain, 'a'), sealing.seal(plain, 'a')];
  expect(one.equals(two)).toBe(false);
  expect([sealing.open(one, 'a').equals(plain), sealing.open(two, 'a').equals(plain)]).toEqual([true, true]);
  expect(one.includes(plain.subarray(0, 8))).toBe(false);
});

test('a new key in front seals, and the old one opens still; without it, its name is told', () => {
  const sealed = createSealing([k1], 'test').seal(plain, 'a');
  const rotated = createSealing([k2, k1], 'test');
  expect([rotated.keyId, rotated.open(sealed, 'a').equals(plain)]).toEqual(['k2', true]);
  expect(() => createSealing([k2], 'test').open(sealed, 'a')).toThrow('unknown key (key k1)');
});

test.each<[string, () => unknown, string]>([
  ['another key of the same id', () => createSealing([{ id: 'k1', secret: randomBytes(32) }], 'test').open(createSealing([k1], 'test').seal(plain, 'a'), 'a'), 'wrong_key'],
  ['the same key for another purpose', () => createSealing([k1], 'other').open(createSealing([k1], 'test').seal(plain, 'a'), 'a'), 'wrong_key'],
  ['moved to another name', () => createSealing([k1], 'test').open(createSealing([k1], 'test').seal(plain, 'a'), 'b'), 'damaged'],
  ['nothing that was ever sealed', () => createSealing([k1], 'test').open(Buffer.from('hello'), 'a'), 'not_sealed'],
  ['empty', () => createSealing([k1], 'test').open(Buffer.alloc(0), 'a'), 'not_sealed'],
  ['cut off', () => createSealing([k1], 'test').open(createSealing([k1], 'test').seal(plain, 'a').subarray(0, -1), 'a'), 'damaged'],
])('%s: does not open', (_what, open, fault) => expect(faultOf(open)).toBe(fault));

test('one bit changed, wherever it is: does not open', () => {
  const sealing = createSealing([k1], 'test');
  const sealed = sealing.seal(plain, 'a');
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect([at, faultOf(() => sealing.open(changed, 'a'))]).not.toEqual([at, null]);
  }
});

test('an empty text is sealed and opened', () => {
  const sealing = createSealing([k1], 'test');
  expect(sealing.open(sealing.seal(Buffer.alloc(0), 'a'), 'a')).toHaveLength(0);
});

const invalid = (message: string): FairleadError => new FairleadError({ class: 'request', code: 'keys', message });
const line = (id: string): string => `${id} ${randomBytes(32).toString('base64')}`;

test('a file of keys: comments and empty lines are left out, the first key is the first', () => {
  expect(readKeyLines(`# new\n\n${line('k2')}\n${line('k1')}\n`, 'f', invalid).map(({ id }) => id)).toEqual(['k2', 'k1']);
});

test.each([
  ['too short', `k1 ${randomBytes(16).toString('base64')}`, 'line 1 of f is no key'],
  ['no id', randomBytes(32).toString('base64'), 'line 1 of f is no key'],
  ['twice', `${line('k1')}\n${line('k1')}`, 'line 2 of f has the id k1 a second time'],
  ['empty', '\n# nothing\n', 'f has no key'],
])('a file of keys, %s: the line is named, and the secret is not', (_what, text, told) => {
  const error = ((): Error => {
    try {
      readKeyLines(text, 'f', invalid);
    } catch (thrown) {
      return thrown as Error;
    }
    throw new Error('taken');
  })();
  expect(error.message).toContain(told);
  for (const word of text.split(/[\s#]/).filter(({ length }) => length > 20)) expect(error.message).not.toContain(word);
});
