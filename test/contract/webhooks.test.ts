import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from 'kysely';
import { refuseUrl, type LookUpAll } from '../../src/adapters/outgoing/get.ts';
import { createSettingSealing } from '../../src/adapters/setting-keys/file.ts';
import { createHttpWebhookSender } from '../../src/adapters/webhook/http.ts';
import { createRolloutActivities, type RolloutDependencies } from '../../activities/control/rollouts.ts';
import type { HostId, ProductName, ReleaseId, RolloutId } from '../../src/domain/ids.ts';
import { rolloutRequest } from '../../src/domain/rollout/request.ts';
import { createDeliveries, webhookPart } from '../../src/runtime/webhook-part.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';

interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
let postgres: TestPostgres;
let api: TestApi;
let server: Server;
let received: Received[];
let answers: ((response: ServerResponse) => void)[];
/** Milliseconds since 1970; moved by hand. Ahead of the database's, by which a delivery is due when it is made. */
let clock: number;
const keyLine = `k1 ${randomBytes(32).toString('base64')}`;
let keys: string | null;
const answer = (status: number, headers: Record<string, string> = {}, body = '') => (response: ServerResponse): void => void response.writeHead(status, headers).end(body);
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

beforeAll(async () => {
  postgres = await startPostgres();
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => void parts.push(part));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(parts).toString('utf8') });
      (answers.shift() ?? answer(204))(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
beforeEach(async () => {
  [received, answers, keys] = [[], [], keyLine];
  api = await startApi(postgres, { refuseUrl: (url) => refuseUrl(url, []), settingSealing: () => createSettingSealing({ file: '/nowhere/settings.keys', text: keys })() });
  clock = Date.now() + 60_000;
});
afterEach(() => api?.end());
afterAll(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await postgres?.end();
});

const call = (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object, headers: Record<string, string> = {}) => api.app.inject({ method, url, headers: { authorization: `Bearer ${api.adminKey}`, ...headers }, ...(payload ? { payload } : {}) });
const origin = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
async function add(more: object = {}): Promise<{ id: string; secret: string }> {
  const made = await call('POST', '/api/webhooks', { url: `${origin()}/services/T0-a-secret-path`, ...more });
  expect(made.statusCode).toBe(201);
  return made.json();
}
const dependencies = (lookUpAll?: LookUpAll, timeoutMs = 10_000) => ({ ...api.stores, sender: createHttpWebhookSender({ now: () => clock, timeoutMs, ...(lookUpAll ? { lookUpAll } : {}) }), apiUrl: 'https://deploy.example.org', now: () => new Date(clock), logger: silent });
/** A control process looks once, `afterMs` later than the last one did. */
async function control(afterMs = 0, given = dependencies()): Promise<void> {
  clock += afterMs;
  const deliveries = createDeliveries(given, new AbortController().signal);
  await deliveries.look();
  await deliveries.settled();
}
const stranded = (runId = 'run-1') => api.stores.audit.append({ at: new Date().toISOString(), event: 'run.ended', actor: 'fairlead', subject: 'host/h1/lab', runId, detail: { outcome: 'stranded', reason: { class: 'host', code: 'undo_failed', message: 'the undo failed' } } }, `${runId}/ended`);
const deliveriesOf = async (id: string): Promise<Record<string, any>[]> => ((await call('GET', `/api/webhooks/${id}/deliveries`)).json() as { deliveries: Record<string, any>[] }).deliveries;
const auditOf = async (event: string) => (await api.stores.audit.list({ limit: 1_000, afterSequence: 0 })).filter((row) => row.event === event);

test('a run is stranded: it is told once, signed, with what to type; 500 is tried again after its wait, and not before', async () => {
  const { id, secret } = await add();
  await stranded();
  await stranded();
  answers = [answer(500, {}, 'later')];
  await control();
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'waiting', attempts: 1, lastAnswer: '500 later', message: { event: 'run.stranded' } }]);
  await control(9_000);
  expect(received).toHaveLength(1);
  await control(1_500);
  await control(60_000);
  expect(received).toHaveLength(2);
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'delivered', attempts: 2, lastAnswer: '204', nextAt: null }]);

  const [first, second] = received as [Received, Received];
  expect(JSON.parse(second.body)).toMatchObject({ schema: 1, event: 'run.stranded', host: 'h1', product: 'lab', runId: 'run-1', outcome: 'stranded', reason: { code: 'undo_failed' }, link: 'https://deploy.example.org/api/runs/run-1', next: 'fairlead runs show run-1', delivery: second.headers['webhook-id'] });
  expect([second.body, second.headers['webhook-id']]).toEqual([first.body, first.headers['webhook-id']]);
  const signed = createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64')).update(`${second.headers['webhook-id']}.${second.headers['webhook-timestamp']}.${second.body}`).digest('base64');
  expect(second.headers['webhook-signature']).toBe(`v1,${signed}`);
  expect(Number(second.headers['webhook-timestamp'])).toBeGreaterThan(Number(first.headers['webhook-timestamp']));
});

test('what was before it is not told, nor what it did not choose; two webhooks are each told once', async () => {
  await stranded('before');
  const [one, two, other] = [await add(), await add(), await add({ events: ['run.succeeded'] })];
  await stranded('after');
  await Promise.all([control(), control()]);
  await control();
  expect(received.map(({ body }) => (JSON.parse(body) as { runId: string }).runId)).toEqual(['after', 'after']);
  expect([await deliveriesOf(one.id), await deliveriesOf(two.id), await deliveriesOf(other.id)].map(({ length }) => length)).toEqual([1, 1, 0]);
});

test('410: the webhook is disabled, what waits for it is given up, and the audit says so', async () => {
  const { id } = await add();
  await stranded('a');
  await stranded('b');
  answers = [answer(410)];
  await control();
  await control(60_000);
  expect(received).toHaveLength(1);
  expect((await deliveriesOf(id)).map(({ state }) => state)).toEqual(['given_up', 'given_up']);
  expect((await call('GET', `/api/webhooks/${id}`)).json()).toMatchObject({ disabled: 'it answered 410', waiting: 0, givenUp: 2 });
  expect((await call('GET', '/metrics')).body).toMatch(/fairlead_webhook_deliveries\{state="waiting"\} 0\nfairlead_webhook_deliveries\{state="given_up"\} 2\n(.*\n)*fairlead_webhooks_disabled 1\n/);
  expect(await auditOf('webhook.disabled')).toMatchObject([{ subject: `webhook/${id}`, detail: { about: 'run.stranded' } }]);
  expect((await call('POST', `/api/webhooks/${id}/test`)).json()).toMatchObject({ code: 'webhook_disabled' });
});

test('Retry-After is waited for; after a day it is given up, once, and the audit says so', async () => {
  const { id } = await add();
  await stranded();
  answers = Array.from({ length: 20 }, (_, at) => answer(503, at === 0 ? { 'retry-after': '600' } : {}));
  await control();
  await control(599_000);
  expect(received).toHaveLength(1);
  await control(2_000);
  expect(received).toHaveLength(2);
  for (let hour = 0; hour < 26; hour += 1) await control(3_600_000);
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'given_up', lastAnswer: '503' }]);
  expect(await auditOf('webhook.given_up')).toMatchObject([{ detail: { why: expect.stringContaining('24 hours') } }]);
});

test('a redirect is not followed; an answer that does not come is a failure; neither answer nor list tells the secret', async () => {
  const { id, secret } = await add();
  await stranded();
  answers = [answer(302, { location: `${origin()}/elsewhere` }), () => undefined, answer(500, {}, `got ${secret} at /services/T0-a-secret-path password=hunter2222`)];
  await control();
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'waiting', lastAnswer: '302' }]);
  await control(11_000, dependencies(undefined, 1_500));
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'waiting', attempts: 2, lastAnswer: 'no complete answer within 1500 ms' }]);
  await control(31_000);
  expect(received).toHaveLength(3);
  const shown = [JSON.stringify(await deliveriesOf(id)), (await call('GET', '/api/webhooks')).body, (await call('GET', '/api/audit')).body, api.log.join('\n')].join('\n');
  expect(shown).toContain('500 got');
  for (const hidden of [secret.slice(6), 'T0-a-secret-path', 'hunter2222']) expect(shown).not.toContain(hidden);
  const kept = await api.database.query('reading', (db) => sql<{ all: string }>`select string_agg(x::text, ' ') as "all" from webhooks x`.execute(db));
  expect(kept.rows[0]?.all).not.toContain('T0-a-secret-path');
});

test('a slow receiver of one webhook does not hold up another', async () => {
  const slow = await add({ events: ['run.stranded'] });
  let release: ServerResponse | undefined;
  answers = [(response) => void (release = response)];
  await stranded('slow');
  const deliveries = createDeliveries(dependencies(undefined, 60_000), new AbortController().signal);
  await deliveries.look();
  while (release === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
  const quick = await add();
  await call('POST', `/api/webhooks/${quick.id}/test`);
  clock += 1_000;
  await deliveries.look();
  while ((await deliveriesOf(quick.id))[0]?.['state'] !== 'delivered') await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await deliveriesOf(slow.id)).toMatchObject([{ state: 'waiting', attempts: 1, lastAnswer: null }]);
  release.writeHead(204).end();
  await deliveries.settled();
  expect(await deliveriesOf(slow.id)).toMatchObject([{ state: 'delivered' }]);
});

test('eight that are dead and have long queues keep a ninth from nothing: whoever was asked longest ago is next', async () => {
  const [one, two] = [await add(), await add()];
  for (const runId of ['a', 'b', 'c']) await stranded(runId);
  answers = Array.from({ length: 6 }, () => answer(500));
  await control();
  const taken: string[] = [];
  clock += 3_600_000;
  for (let turn = 0; turn < 4; turn += 1) taken.push(...(await api.stores.webhooks.claim(new Date((clock += 1_000)), { limit: 1, leaseMs: 60_000, busy: [] })).map(({ webhookId }) => webhookId));
  expect(taken.map((id) => [one.id, two.id].indexOf(id)).toString()).toMatch(/^(0,1,0,1|1,0,1,0)$/);
});

test('a metadata address is refused when it is named, when it comes to sending, and when a name leads there later', async () => {
  for (const url of ['http://169.254.169.254/latest', 'http://[fd00:ec2::254]/']) {
    expect((await call('POST', '/api/webhooks', { url })).json()).toMatchObject({ status: 400, code: 'outgoing_refused' });
    const { id } = (await api.stores.webhooks.create({ url, events: ['run.stranded'], products: [], by: 'who can write to the database' })).webhook;
    await call('POST', `/api/webhooks/${id}/test`);
    await control(1_000);
    expect(await deliveriesOf(id)).toMatchObject([{ state: 'given_up', attempts: 1, lastAnswer: expect.stringContaining('metadata') }]);
  }
  const { id } = await add({ url: 'http://alerts.example.org/hook' });
  await stranded();
  await control(0, dependencies((_name, found) => found(null, [{ address: '169.254.169.254', family: 4 }])));
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'given_up', lastAnswer: expect.stringContaining('metadata') }]);
  expect(received).toEqual([]);
});

test('control dies after it has sent: the next one sends once more, when the lease is over, and then no more', async () => {
  const { id } = await add();
  await stranded();
  const given = dependencies();
  const dying = createDeliveries({ ...given, webhooks: { ...given.webhooks, conclude: () => Promise.reject(new Error('killed')) } }, new AbortController().signal);
  await dying.look();
  await dying.settled();
  await control(30_000);
  expect(received).toHaveLength(1);
  await control(31_000);
  await control(120_000);
  expect(received).toHaveLength(2);
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'delivered', attempts: 2 }]);
});

test('control is stopped while a receiver is slow: the attempt is cut off, and made again at once by the next', async () => {
  const { id } = await add();
  answers = [() => undefined];
  const stop = await webhookPart({ ...dependencies(undefined, 60_000) }).start();
  await stranded();
  while (received.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await stop?.();
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'waiting', lastAnswer: 'cut off by the end of control' }]);
  await control();
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'delivered' }]);
});

test('without a key of the settings none is made; where the key is gone later, it is delivered when it is back; rotated, it opens with the new one', async () => {
  keys = null;
  expect((await call('POST', '/api/webhooks', { url: origin() })).json()).toMatchObject({ code: 'settings_key_missing', hint: expect.any(String) });
  keys = keyLine;
  const { id } = await add();
  await stranded();
  keys = null;
  await control();
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'waiting', lastAnswer: expect.stringContaining('no key') }]);
  const second = `k2 ${randomBytes(32).toString('base64')}`;
  keys = `${second}\n${keyLine}`;
  expect((await call('POST', '/api/settings/rotate')).json()).toMatchObject({ keyId: 'k2', resealed: [`webhook/${id}`] });
  keys = second;
  await control(15_000);
  expect(await deliveriesOf(id)).toMatchObject([{ state: 'delivered' }]);
});

test('a rollout is halted: told once, with its product', async () => {
  const { id } = await add({ products: ['lab'] });
  const other = await add({ products: ['other'] });
  const rolloutId = '01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10' as RolloutId;
  const at = '2026-11-21T03:00:00.000Z';
  await api.stores.rollouts.open({ rolloutId, requestedAt: at, request: rolloutRequest({ product: 'lab' as ProductName, releaseId: 'r2' as ReleaseId, requestedBy: 'ci', requestId: 'x', target: { kind: 'hosts', hosts: ['h1' as HostId] } }) });
  const { noteRollout } = createRolloutActivities({ ...api.stores, now: () => new Date() } as unknown as RolloutDependencies);
  const standing = { phase: 'Halted' as const, status: 'halted' as const, wave: 1, behind: null, waiting: { for: 'a decision, because: 2 of 4 hosts failed', since: at, until: null, release: 'fairlead rollout retry, or abort' }, counts: [] };
  for (const phase of ['Rolling', 'Halted', 'Halted'] as const) await noteRollout({ rolloutId, standing: { ...standing, phase }, events: [] });
  await control();
  expect((await deliveriesOf(id)).map(({ state, message }) => [state, message])).toMatchObject([['delivered', { event: 'rollout.halted', rolloutId, product: 'lab', releaseId: 'r2', summary: expect.stringContaining('2 of 4 hosts failed'), next: `fairlead rollout why ${rolloutId}` }]]);
  expect(await deliveriesOf(other.id)).toEqual([]);
});

test('a rollout that people hold: told once for each pause and each gate of each wave, with what to type', async () => {
  const { id } = await add();
  const rolloutId = '01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a11' as RolloutId;
  const at = '2026-11-21T03:00:00.000Z';
  const later = '2026-11-21T04:00:00.000Z';
  await api.stores.rollouts.open({ rolloutId, requestedAt: at, request: rolloutRequest({ product: 'lab' as ProductName, releaseId: 'r2' as ReleaseId, requestedBy: 'ci', requestId: 'x', target: { kind: 'hosts', hosts: ['h1' as HostId] } }) });
  const { noteRollout } = createRolloutActivities({ ...api.stores, now: () => new Date() } as unknown as RolloutDependencies);
  const gated = (since: string, approvals = 0) => ({ phase: 'Gated' as const, status: 'gated' as const, wave: 2, behind: null, waiting: null, counts: [], approvals: [{ gate: 'go', role: 'approver', approvals, quorum: 2, since, until: null }] });
  const paused = { ...gated(at), status: 'paused' as const, waiting: { for: 'a person: paused by ada (graphs look odd)', since: at, until: null, release: 'fairlead rollout resume --reason TEXT, or abort' } };
  // It comes to the gate a second time after a retry.
  for (const standing of [gated(at), paused, paused, gated(at, 1), gated(later)]) await noteRollout({ rolloutId, standing, events: [] });
  for (let look = 0; look < 3; look += 1) await control(60_000);
  expect((await deliveriesOf(id)).map(({ state, message }) => [state, message.event, message.summary, message.next]).reverse()).toEqual([
    ['delivered', 'rollout.approval_needed', expect.stringContaining('gate go: 0 of 2 approvals'), `fairlead rollout approve go ${rolloutId}`],
    ['delivered', 'rollout.paused', expect.stringContaining('paused by ada (graphs look odd)'), `fairlead rollout why ${rolloutId}`],
    ['delivered', 'rollout.approval_needed', expect.stringContaining('gate go: 0 of 2 approvals'), `fairlead rollout approve go ${rolloutId}`],
  ]);
});

test('a host that was heard and is silent for five minutes is told once, also by the next control', async () => {
  const { id } = await add();
  await api.stores.fleet.apply('h1' as HostId, { type: 'SessionBegan' }, 'node');
  await api.stores.fleet.apply('h1' as HostId, { type: 'SessionLost', why: 'silent' }, 'node');
  await control();
  await control(301_000);
  await control(61_000);
  expect((await deliveriesOf(id)).map(({ message, state }) => [message.event, message.host, state])).toEqual([['host.away', 'h1', 'delivered']]);
});

test('made twice under one Idempotency-Key it is one webhook, and the secret is told once; a test arrives; removed, it is forgotten', async () => {
  const body = { url: `${origin()}/x` };
  const made = (await call('POST', '/api/webhooks', body, { 'idempotency-key': 'once' })).json() as { id: string; secret: string };
  const again = (await call('POST', '/api/webhooks', body, { 'idempotency-key': 'once' })).json() as { id: string; secret: null };
  expect([again.id, again.secret, made.secret]).toEqual([made.id, null, expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/)]);
  const tested = await call('POST', `/api/webhooks/${made.id}/test`);
  expect([tested.statusCode, tested.json()]).toMatchObject([202, { state: 'waiting', message: { event: 'webhook.test' } }]);
  await control();
  expect(await deliveriesOf(made.id)).toMatchObject([{ state: 'delivered' }]);
  expect((await call('GET', '/api/webhooks')).json()).toMatchObject({ webhooks: [{ id: made.id, address: `${origin()}/****`, waiting: 0, givenUp: 0 }], nextAfter: null });
  expect((await call('DELETE', `/api/webhooks/${made.id}`)).statusCode).toBe(200);
  await stranded();
  await control(10_000);
  expect([received.length, (await call('GET', `/api/webhooks/${made.id}`)).json()]).toMatchObject([1, { code: 'unknown_webhook' }]);
});
