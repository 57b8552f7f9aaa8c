import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../../src/adapters/logger.ts';
import { hideSecrets } from '../../../src/domain/secret-text.ts';
import { createHostSecrets } from '../../../src/adapters/secrets/host.ts';
import { hiderOf } from '../../../src/adapters/secrets/known.ts';
import type { ProductName } from '../../../src/domain/ids.ts';
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

test.each([
  ['a field five deep', '{"a":{"dbPassword":"hunter2x","other":"stays"}}', '{"a":{"dbPassword":"[redacted]","other":"stays"}}'],
  ['JSON within JSON', '{"line":"{\\"apiToken\\":\\"hunter2x\\"}"}', '{"line":"{\\"apiToken\\":\\"[redacted]\\"}"}'],
  ['an assignment', 'DB_PASSWORD=hunter2x HOST=db', 'DB_PASSWORD=[redacted] HOST=db'],
  ['Basic authentication', 'Authorization: Basic dXNlcjpodW50ZXIyeA==', 'Authorization: Basic [redacted]'],
  ['a cookie', '"cookie":"session=hunter2x; a=b","x":1', '"cookie":"[redacted]","x":1'],
  ['a private key', 'before -----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY----- after', 'before -----BEGIN PRIVATE KEY----- [redacted] after'],
  ['a private key that was cut off', '{"line":"-----BEGIN PRIVATE KEY-----\\nMHcC","b":1}', '{"line":"-----BEGIN PRIVATE KEY----- [redacted]","b":1}'],
  ['a line of a private key', `["MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0123456789abcdef","${'0a'.repeat(32)}"]`, `["[redacted]","${'0a'.repeat(32)}"]`],
  ['a signed address', 'https://s3/x?a=b&sig=hunter2x&c=d', 'https://s3/x?a=b&sig=[redacted]&c=d'],
])('%s: only the secret is taken out', (_what, text, shown) => expect(hideSecrets(text)).toBe(shown));

test('what only sounds like one stays', () => {
  for (const text of ['"code":"payload_key_wrong"', 'unexpected token } in JSON at position 4', 'the passwords of two users', 'key k1 (ci, admin)', 'token bucket: full', '"secret":"yes"', '{"tokens":1234567,"secrets":["a"],"credentials":{"of":"b"}}']) expect(hideSecrets(text)).toBe(text);
});

test('what the process knows is taken out as it is, within JSON and addresses, and in base64 at any place', () => {
  const secret = 'p/ss "w+rd" \u00e4';
  const hide = hiderOf([secret, 'postgres://app:db%40pass-word@db/x', 'short']);
  const lines: string[] = [];
  const logger = createLogger({ name: 'test', level: 'trace', hide, destination: { write: (line) => void lines.push(line) } });
  for (const user of ['', 'a', 'ab', 'abc']) logger.info({ a: secret, b: encodeURIComponent(secret), c: Buffer.from(`${user}${secret}!`).toString('base64'), d: 'db@pass-word' }, 'said');
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({ a: '****', b: '****', c: expect.stringContaining('****'), d: '****', msg: 'said' });
    expect(line).not.toMatch(/w\+rd|pass-word/);
  }
  expect(hide('short words stay')).toBe('short words stay');
});

test("a host's own: secret names of its products' files, also once they have changed, and what was there before", async () => {
  const root = await mkdtemp(join(tmpdir(), 'fairlead-known-'));
  const config = join(root, 'etc/lab');
  await mkdir(config, { recursive: true });
  const write = (text: string) => writeFile(join(config, '.env.production'), text);
  await write("API_TOKEN='first-value-1'\nPUBLIC_ORIGIN=https://lab.example\n");
  await writeFile(join(config, 'api-a.conf'), "SESSION_SECRET='of-the-instance'\n");
  const secrets = createHostSecrets(root, async () => ['lab' as ProductName]);
  expect(await secrets.conceal('first-value-1 of-the-instance https://lab.example')).toBe('**** **** https://lab.example');
  await write("API_TOKEN='second-value-22'\n");
  expect(await secrets.conceal('first-value-1 second-value-22')).toBe('**** ****');
  expect(secrets.hide('second-value-22')).toBe('****');
  await rm(root, { recursive: true });
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
