import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { defaultPayloadConverter } from '@temporalio/common';
import { createSettingCredentials } from '../../../src/adapters/outgoing/credentials.ts';
import { createOutgoingGet } from '../../../src/adapters/outgoing/get.ts';
import { readKeyLines } from '../../../src/adapters/sealed/key-lines.ts';
import { createSettingSealing } from '../../../src/adapters/setting-keys/file.ts';
import { createPayloadCodec } from '../../../src/adapters/temporal/payload-codec.ts';
import { FairleadError } from '../../../src/domain/failure.ts';
import { settingName, type SettingName } from '../../../src/domain/setting/name.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';

const line = (id: string): string => `${id} ${randomBytes(32).toString('base64')}\n`;
const keyOf = (text: string) => readKeyLines(text, 'test', () => new FairleadError({ class: 'request', code: 'test', message: 'test' }));
const first = line('k1');
const name = 'bearer.https@prometheus.internal:9090' as SettingName;
const value = 'prom-token-0123456789-abcdefgh';
const codec = createPayloadCodec(keyOf(first));

let postgres: TestPostgres;
let api: TestApi;
let file: string;
beforeAll(async () => {
  file = join(await fs.mkdtemp(join(tmpdir(), 'fairlead-settings-')), 'settings.keys');
  postgres = await startPostgres();
  api = await startApi(postgres, { settingSealing: createSettingSealing({ file, text: null }), codec });
});
beforeEach(() => fs.writeFile(file, first, { mode: 0o600 }));
afterAll(async () => {
  await api?.end();
  await postgres?.end();
});

const call = (method: 'GET' | 'POST' | 'DELETE' | 'PUT' | 'OPTIONS', url: string, payload?: object, headers: Record<string, string> = {}) =>
  api.app.inject({ method, url, headers: { ...(method === 'OPTIONS' ? {} : { authorization: `Bearer ${api.adminKey}` }), ...headers }, ...(payload ? { payload } : {}) });
const path = `/api/settings/${encodeURIComponent(name)}`;
const inDatabase = async (): Promise<string> => {
  const tables = await api.database.query('reading everything', (db) => sql<{ t: string }>`select table_name as t from information_schema.tables where table_schema = current_schema()`.execute(db));
  const texts = await Promise.all(tables.rows.map(({ t }) => api.database.asOwner('reading', (db) => sql<{ all: string }>`select coalesce(string_agg(x::text, ' '), '') as "all" from ${sql.table(t)} x`.execute(db))));
  return texts.map(({ rows }) => rows[0]?.all ?? '').join('\n');
};

test('set, listed, shown: only ever masked; neither the database, the audit nor the log holds the value', async () => {
  const set = await call('PUT', path, { value }, { 'idempotency-key': 'once' });
  expect([set.statusCode, set.json()]).toMatchObject([200, { name, masked: 'prom****efgh', keyId: 'k1', setBy: 'ci (admin)', problem: null }]);
  expect((await call('PUT', path, { value }, { 'idempotency-key': 'once' })).headers['idempotent-replayed']).toBe('true');
  expect((await call('PUT', path, { value: 'another-token-0123456789' }, { 'idempotency-key': 'once' })).json()).toMatchObject({ code: 'idempotency_key_reused' });
  const shown = [set.body, (await call('GET', '/api/settings')).body, (await call('GET', path)).body, (await call('GET', '/api/audit')).body].join('\n');
  expect(shown).toContain('setting.set');
  const hex = Buffer.from(value).toString('hex');
  for (const place of [shown, await inDatabase(), api.log.join('\n')]) for (const form of [value, hex, Buffer.from(value).toString('base64')]) expect(place).not.toContain(form);
  expect(await api.stores.settings.read(name)).toBe(value);
});

test('a new key in front: what is there opens still; rotated, it opens without the old key', async () => {
  await call('PUT', path, { value });
  const second = line('k2');
  await fs.writeFile(file, `${second}${first}`);
  expect(await api.stores.settings.read(name)).toBe(value);
  expect((await call('POST', '/api/settings/rotate')).json()).toEqual({ keyId: 'k2', resealed: [name], already: 0 });
  expect((await call('POST', '/api/settings/rotate')).json()).toEqual({ keyId: 'k2', resealed: [], already: 1 });
  await fs.writeFile(file, second);
  expect(await api.stores.settings.read(name)).toBe(value);
  await call('DELETE', path);
});

test.each([
  ['no key', async () => fs.rm(file), 'settings_key_missing'],
  ['a file without a key', async () => fs.writeFile(file, 'hello'), 'settings_keys_invalid'],
  ['the key is gone', async () => fs.writeFile(file, line('k9')), 'setting_key_unknown'],
  ['another key has its name', async () => fs.writeFile(file, line('k1')), 'setting_key_wrong'],
  ['moved under another name by who can write to the database', async () => void (await api.database.query('moving', (db) => sql`update settings set sealed = (select sealed from settings where name = 'bearer.https@other')`.execute(db))), 'setting_damaged'],
])('%s: the use is refused by its code, the list shows it', async (_what, happens, code) => {
  await call('PUT', path, { value });
  await call('PUT', '/api/settings/bearer.https%40other', { value: 'other-token-0123456789' });
  await happens();
  await expect(api.stores.settings.read(name)).rejects.toMatchObject({ reason: { code, hint: expect.any(String) } });
  const { settings } = (await call('GET', '/api/settings')).json() as { settings: { name: string; masked: string | null; problem: { code: string } | null }[] };
  expect(settings.find((each) => each.name === name)).toMatchObject({ masked: null, problem: { code } });
});

test('one that does not open keeps the rotation from changing any', async () => {
  await call('PUT', path, { value });
  await fs.writeFile(file, line('k5'));
  await call('PUT', '/api/settings/bearer.https%40another', { value: 'another-token-0123456789' });
  await fs.writeFile(file, `${line('k6')}${first}`);
  expect((await call('POST', '/api/settings/rotate')).json()).toMatchObject({ status: 409, code: 'setting_key_unknown' });
  expect((await api.stores.settings.find(name))?.keyId).toBe('k1');
  await call('DELETE', '/api/settings/bearer.https%40another');
});

test.each([
  ['a name that nobody uses', 'PUT', '/api/settings/database.password', { value }, 400, 'setting_name_unknown'],
  ['a value with a line break', 'PUT', path, { value: 'two\r\nlines-of-0123456789' }, 400, 'setting_value_invalid'],
  ['an empty value', 'PUT', path, { value: '' }, 400, 'setting_value_invalid'],
  ['one that is not set', 'GET', '/api/settings/bearer.https%40nowhere', undefined, 404, 'unknown_setting'],
  ['removing one that is not set', 'DELETE', '/api/settings/bearer.https%40nowhere', undefined, 404, 'unknown_setting'],
] as const)('%s is refused, without the value', async (_what, method, url, body, status, code) => {
  const answer = await call(method, url, body);
  expect(answer.json()).toMatchObject({ status, code });
  expect(answer.body).not.toContain('lines-of');
});

test('names: the origin, as addresses write it', () => {
  for (const good of ['bearer.https@a', 'bearer.http@127.0.0.1:9090', 'bearer.https@[::1]:9090']) expect(settingName(good)).toBe(good);
  for (const bad of ['bearer.ftp@a', 'bearer.https@', 'bearer.https@a/b', 'bearer.https@u:p@a', 'bearer.https@A', 'x']) expect(settingName(bad)).toMatchObject({ code: 'setting_name_unknown' });
});

test('a token is shown at its origin, and at no other one', async () => {
  const shown: (string | undefined)[] = [];
  const servers = await Promise.all([0, 1].map(async () => {
    const server = createServer((request, response) => {
      shown.push(request.headers.authorization);
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { server, origin: `127.0.0.1:${(server.address() as AddressInfo).port}` };
  }));
  try {
    await api.stores.settings.set(`bearer.http@${servers[0]!.origin}` as SettingName, value, 'ci');
    const get = createOutgoingGet([], undefined, createSettingCredentials(api.stores.settings));
    for (const { origin } of servers) await get(`http://${origin}/x`, { timeoutMs: 5_000, cancel: new AbortController().signal });
    expect(shown).toEqual([`Bearer ${value}`, undefined]);
    await expect(get(`http://user:pass@${servers[0]!.origin}/`, { timeoutMs: 5_000, cancel: new AbortController().signal })).rejects.toMatchObject({ reason: { code: 'outgoing_password', message: expect.not.stringContaining('pass@') } });
  } finally {
    for (const { server } of servers) server.close();
  }
});

describe('the codec endpoint, as the Web UI calls it', () => {
  const ui = 'http://127.0.0.1:8233';
  const json = (payload: { metadata?: Record<string, Uint8Array> | null; data?: Uint8Array | null }) => ({ metadata: Object.fromEntries(Object.entries(payload.metadata ?? {}).map(([key, bytes]) => [key, Buffer.from(bytes).toString('base64')])), data: Buffer.from(payload.data ?? []).toString('base64') });
  const plain = json(defaultPayloadConverter.toPayload({ release: 'r7' }));

  test('encoded, it is encrypted; decoded, it is what it was', async () => {
    const encoded = (await call('POST', '/api/codec/encode', { payloads: [plain] }, { origin: ui, 'x-namespace': 'default' })).json() as { payloads: typeof plain[] };
    expect(Buffer.from(encoded.payloads[0]!.metadata['encoding']!, 'base64').toString()).toBe('binary/encrypted');
    const decoded = await call('POST', '/api/codec/decode', encoded, { origin: ui });
    expect([decoded.json(), decoded.headers['access-control-allow-origin']]).toEqual([{ payloads: [plain] }, ui]);
  });

  test('the browser asks first: the origin of the Web UI may, another one may not', async () => {
    const preflight = await call('OPTIONS', '/api/codec/decode', undefined, { origin: ui, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,x-namespace' });
    expect([preflight.statusCode, preflight.headers['access-control-allow-origin'], preflight.headers['access-control-allow-headers']]).toEqual([204, ui, 'authorization, content-type, x-namespace']);
    expect((await call('OPTIONS', '/api/codec/decode', undefined, { origin: 'https://evil.example' })).headers['access-control-allow-origin']).toBeUndefined();
    expect((await call('POST', '/api/codec/decode', { payloads: [] }, { origin: 'https://evil.example' })).headers['access-control-allow-origin']).toBeUndefined();
  });

  test('without a key it is refused, and the page may read why', async () => {
    const refused = await call('POST', '/api/codec/decode', { payloads: [] }, { origin: ui, authorization: '' });
    expect([refused.json(), refused.headers['access-control-allow-origin']]).toMatchObject([{ status: 401, code: 'key_missing' }, ui]);
  });

  test('what it has no key for is refused by its code', async () => {
    const [sealed] = await createPayloadCodec(keyOf(line('k8'))).encode([defaultPayloadConverter.toPayload(1)]);
    expect((await call('POST', '/api/codec/decode', { payloads: [json(sealed as never)] })).json()).toMatchObject({ status: 422, code: 'payload_key_unknown' });
  });
});
