import { sql } from 'kysely';
import { makeKeyText } from '../../../src/adapters/postgres/index.ts';
import type { HostId, ReleaseId } from '../../../src/domain/ids.ts';
import { startApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { startPostgres } from '../../support/postgres.ts';
import type { TestPostgres } from '../../support/postgres.ts';
import { sampleArtifact, sampleInspection } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;

beforeAll(async () => {
  postgres = await startPostgres();
  api = await startApi(postgres);
});
afterAll(async () => {
  await api?.end();
  await postgres?.end();
});

const call = (method: 'GET' | 'POST' | 'DELETE' | 'PUT', url: string, payload?: object, headers: Record<string, string> = { authorization: `Bearer ${api.adminKey}` }) => api.app.inject({ method, url, headers, ...(payload ? { payload } : {}) });
const make = async (body: object): Promise<{ id: string; text: string; masked: string }> => (await call('POST', '/api/keys', { name: 'ci', role: 'viewer', ...body })).json();
const status = async (text: string, header = 'authorization') => (await call('GET', '/api/runs', undefined, { [header]: header === 'authorization' ? `Bearer ${text}` : text })).statusCode;
const listed = async (id: string) => ((await call('GET', '/api/keys')).json() as { keys: { id: string; masked: string; lastUsedAt: string | null; previous: { masked: string; endsAt: string } | null }[] }).keys.find((key) => key.id === id)!;
const pass = (column: string, id: string, interval: string) => api.database.query('letting time pass', (db) => sql`update api_keys set ${sql.ref(column)} = ${sql.ref(column)} - ${interval}::interval where id = ${id}`.execute(db));

test('clients of the older kind send the key in X-RUNTIME-API-KEY; Authorization wins where both are there', async () => {
  const { text } = await make({});
  expect([await status(text, 'x-runtime-api-key'), await status(makeKeyText('viewer'), 'x-runtime-api-key')]).toEqual([200, 401]);
  expect((await call('GET', '/api/runs', undefined, { 'x-runtime-api-key': text, authorization: 'Bearer wrong' })).statusCode).toBe(401);
});

test('rotated: both texts work for a day and are listed masked; then only the new one', async () => {
  const made = await make({});
  const rotated = (await call('POST', `/api/keys/${made.id}/rotate`, {})).json() as { id: string; text: string; previousEndsAt: string };
  expect(rotated.id).toBe(made.id);
  expect(Date.parse(rotated.previousEndsAt) - Date.now()).toBeGreaterThan(23.9 * 3_600_000);
  expect([await status(made.text), await status(rotated.text)]).toEqual([200, 200]);
  expect(await listed(made.id)).toMatchObject({ masked: expect.not.stringContaining(made.masked), previous: { masked: made.masked, endsAt: rotated.previousEndsAt } });
  await pass('previous_ends_at', made.id, '24 hours');
  expect([await status(made.text), await status(rotated.text)]).toEqual([401, 200]);
  expect((await listed(made.id)).previous).toBeNull();
});

test('rotated twice: the second one is refused while the oldest text works, unless that is to end now', async () => {
  const made = await make({});
  const first = (await call('POST', `/api/keys/${made.id}/rotate`, {})).json() as { text: string };
  expect((await call('POST', `/api/keys/${made.id}/rotate`, {})).json()).toMatchObject({ status: 409, code: 'key_rotating', hint: expect.stringContaining('--end-old') });
  const last = (await call('POST', `/api/keys/${made.id}/rotate`, { graceSeconds: 0 })).json() as { text: string };
  expect([await status(made.text), await status(first.text), await status(last.text)]).toEqual([401, 401, 200]);
});

test('revoked in the grace of a rotation: both texts end at once', async () => {
  const made = await make({});
  const { text } = (await call('POST', `/api/keys/${made.id}/rotate`, {})).json() as { text: string };
  await call('DELETE', `/api/keys/${made.id}`);
  expect([await status(made.text), await status(text)]).toEqual([401, 401]);
  expect((await call('POST', `/api/keys/${made.id}/rotate`, {})).json()).toMatchObject({ code: 'unknown_key' });
});

test('expired: opens nothing any more', async () => {
  const made = await make({ expiresSeconds: 60 });
  expect(await status(made.text)).toBe(200);
  await pass('expires_at', made.id, '60 seconds');
  expect([await status(made.text), await api.stores.keys.isValid(made.id)]).toEqual([401, false]);
});

test('used: noted to the minute, not with every request', async () => {
  const made = await make({});
  expect((await listed(made.id)).lastUsedAt).toBeNull();
  await status(made.text);
  await eventually('the use is noted', async () => (await listed(made.id)).lastUsedAt !== null);
  const first = (await listed(made.id)).lastUsedAt;
  await status(made.text);
  await pass('created_at', made.id, '0 seconds');
  expect((await listed(made.id)).lastUsedAt).toBe(first);
  await pass('last_used_at', made.id, '61 seconds');
  await status(made.text);
  await eventually('the use is noted again', async () => Date.parse((await listed(made.id)).lastUsedAt ?? '') >= Date.parse(first ?? ''));
});

test.each([
  ['an admin with a scope', { role: 'admin', scope: { products: ['lab'] } }, 'scope_not_for_role'],
  ['a selector that selects nothing', { scope: { hosts: ['prod'] } }, 'invalid_scope'],
  ['a role that there is not', { role: 'root' }, 'invalid_request'],
])('%s is refused', async (_what, body, code) => expect((await call('POST', '/api/keys', { name: 'x', role: 'viewer', ...body })).json()).toMatchObject({ status: 400, code }));

test('a label that is the host itself is refused', async () => {
  await api.stores.hosts.hello({ host: 'h7' as HostId, role: 'node', agentVersion: '0', bootId: 'b', products: [] });
  expect((await call('PUT', '/api/hosts/h7/labels', { labels: { host: 'h1' } })).json()).toMatchObject({ code: 'own_label' });
  expect((await call('PUT', '/api/hosts/h7/labels', { labels: { env: 'prod', site: 'east' } })).json()).toEqual({ host: 'h7', labels: { env: 'prod', site: 'east' } });
  expect((await call('PUT', '/api/hosts/h7/labels', { labels: { env: null } })).json()).toEqual({ host: 'h7', labels: { site: 'east' } });
  await api.stores.hosts.hello({ host: 'h7' as HostId, role: 'node', agentVersion: '0', bootId: 'b', products: [] });
  expect((await api.stores.hosts.find('h7' as HostId))?.labels).toEqual({ site: 'east' });
});

test('50 identical requests at once with one Idempotency-Key start one run, and whoever is answered hears of that one', async () => {
  const host = 'h8' as HostId;
  await api.stores.hosts.hello({ host, role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [sampleInspection('r1')] });
  await api.stores.releases.publish(sampleArtifact('r2'), 'ci');
  const before = api.runs.started.length;
  const headers = { authorization: `Bearer ${api.adminKey}`, 'idempotency-key': 'deploy-1' };
  const payload = { host, product: sampleArtifact('r2').product, releaseId: 'r2' as ReleaseId };
  const answers = await Promise.all(Array.from({ length: 50 }, () => call('POST', '/api/updates/apply', payload, headers)));
  expect(api.runs.started.length - before).toBe(1);
  const started = answers.filter(({ statusCode }) => statusCode === 202).map((answer) => (answer.json() as { runId: string }).runId);
  expect(new Set(started).size).toBe(1);
  for (const answer of answers.filter(({ statusCode }) => statusCode !== 202)) expect(answer.json()).toMatchObject({ status: 409, code: 'request_under_way', retryable: true });
  const later = await call('POST', '/api/updates/apply', payload, headers);
  expect([later.statusCode, (later.json() as { runId: string }).runId, later.headers['idempotent-replayed']]).toEqual([202, started[0], 'true']);
});
