import { createLogger, hideSecrets } from '../../../src/adapters/logger.ts';
import { makeKeyText } from '../../../src/adapters/postgres/index.ts';

const linesOf = (write: (logger: ReturnType<typeof createLogger>) => void): string[] => {
  const lines: string[] = [];
  write(createLogger({ name: 'test', level: 'trace', destination: { write: (line) => void lines.push(line) } }));
  return lines;
};

test.each([
  ['at the top', { authorization: 'Bearer hunter2' }],
  ['one deep', { headers: { authorization: 'Bearer hunter2', cookie: 'hunter2' } }],
  ['two deep', { req: { headers: { authorization: 'hunter2' } } }],
  ['three deep', { a: { b: { c: { taskToken: 'hunter2', password: 'hunter2', token: 'hunter2', key: 'hunter2' } } } }],
])('a secret in a field of its name, %s: not in the line', (_where, fields) => {
  const [line] = linesOf((logger) => logger.info(fields, 'said'));
  expect(line).toContain('said');
  expect(line).not.toContain('hunter2');
});

test('a key, a bearer token and a password in an address: not in the line, wherever they stand', () => {
  const key = makeKeyText('admin');
  const error = new Error(`cannot reach postgres://fairlead:hunter2@db/x with ${key}`, { cause: new Error(`sent "Bearer ${key}"`) });
  const lines = linesOf((logger) => {
    logger.error({ err: error, deep: { a: { b: { c: { d: { e: `Bearer abcdefgh12345678` } } } } } }, `key ${key}`);
  }).join('');
  for (const secret of [key, 'hunter2', 'abcdefgh12345678']) expect(lines).not.toContain(secret);
  expect(lines).toContain('postgres://fairlead:[redacted]@db/x');
});

test('addresses without a password stay as they are', () => {
  const text = 'http://127.0.0.1:8080/a and postgres://fairlead@db:5432/x, mail to a@b.c at 10:30';
  expect(hideSecrets(text)).toBe(text);
});

test('an error is written with every cause and its code', () => {
  const error = new Error('could not publish', { cause: Object.assign(new Error('could not write'), { code: 'ENOSPC', cause: 'disk' }) });
  const line = JSON.parse(linesOf((logger) => logger.error({ err: error }, 'failed'))[0]!);
  expect(line).toMatchObject({ level: 'error', name: 'test', err: { message: 'could not publish', cause: { message: 'could not write', code: 'ENOSPC', cause: { message: 'disk' } } } });
});

test('an error that is its own cause ends', () => {
  const error = new Error('loop');
  error.cause = error;
  expect(linesOf((logger) => logger.error({ err: error }, 'failed'))).toHaveLength(1);
});
