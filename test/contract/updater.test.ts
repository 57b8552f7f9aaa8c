import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpUpdater } from '../../src/adapters/updater/http.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';

/** An updater service that answers as it is told, and notes what it was asked. */
type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;
const token = 'the-token-of-the-updater-4711';
const asked: { method: string; path: string; key: string | undefined; authorization: string | undefined; body: string }[] = [];
let answer: Answer;
let service: Server;
let directory: string;
let postgres: TestPostgres;
let api: TestApi;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fairlead-updater-'));
  await writeFile(join(directory, 'token'), `${token}\n`, { mode: 0o600 });
  postgres = await startPostgres();
  service = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked.push({ method: request.method ?? '', path: request.url ?? '', key: request.headers['idempotency-key'] as string | undefined, authorization: request.headers.authorization, body });
      answer(request, response, body);
    });
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  api = await startApi(postgres, { updater: createHttpUpdater({ url, tokenFile: join(directory, 'token'), limitMs: 4_000, backoffMs: 10 }) });
});
afterAll(async () => {
  await api?.end();
  service?.closeAllConnections();
  service?.close();
  await postgres?.end();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  asked.length = 0;
});

const json = (status: number, body: unknown): Answer => (_request, response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const target = { host: 'h1', product: 'lab' };
const history = { runs: [], nextBefore: null };
const run = { runId: 'run-1', workflowId: 'w', ...target, releaseId: 'r2', links: { self: 'http://inside.example/runs/1', events: 'http://inside.example/runs/1/events', temporalUi: null } };
const call = (method: 'GET' | 'POST', what: string, body?: object, headers: Record<string, string> = {}) => api.app.inject({ method, url: `/api/updates/${what}`, headers: { authorization: `Bearer ${api.adminKey}`, ...headers }, ...(body === undefined ? {} : { payload: body }) });

test('a question is asked with the token of the server, and never with the key of the client; the answer is passed on', async () => {
  answer = json(200, { ...history, more: 'left out' });
  const got = await call('GET', 'history?host=h1&limit=5');
  expect([got.statusCode, got.json()]).toEqual([200, history]);
  expect(asked).toMatchObject([{ method: 'GET', path: '/api/updates/history?host=h1&limit=5', authorization: `Bearer ${token}`, key: undefined }]);
});

test('a mutation: accepted, noted in the audit with intent and result, repeated by its Idempotency-Key without asking again', async () => {
  answer = json(202, run);
  const key = { 'idempotency-key': 'deploy-1' };
  const first = await call('POST', 'apply', { ...target, releaseId: 'r2', reason: 'now' }, key);
  expect([first.statusCode, first.json()]).toEqual([202, { ...run, links: { self: '/api/updates/status?host=h1&product=lab', events: '/api/updates/status?host=h1&product=lab', temporalUi: null } }]);
  expect((await call('POST', 'apply', { ...target, releaseId: 'r2', reason: 'now' }, key)).headers['idempotent-replayed']).toBe('true');
  expect(asked).toHaveLength(1);
  // The service hears a key of this caller's own, not the text that another caller may use as well.
  expect(asked[0]?.key).toMatch(/^idem-[0-9a-f]{32}$/);
  const rows = await api.stores.audit.list({ limit: 10, afterSequence: 0 });
  expect(rows.slice(0, 2)).toMatchObject([{ event: 'request.intended', detail: { request: 'POST /api/updates/apply', reason: 'now' } }, { event: 'request.ended', runId: 'run-1', detail: { outcome: 'accepted', workflowId: 'w' } }]);
});

describe('what fails is asked again where that is safe, with pauses, and not for ever', () => {
  const failing = (times: number, then: Answer): Answer => {
    let left = times;
    return (...given) => (left-- > 0 ? json(500, { detail: 'oh' })(...given) : then(...given));
  };
  test.each([
    ['GET: twice 500, then an answer', 2, 'GET', {}, 200, 3],
    ['GET: always 500', 99, 'GET', {}, 502, 4],
    ['POST with a key: once 500, then an answer', 1, 'POST', { 'idempotency-key': 'deploy-2' }, 202, 2],
    ['POST without a key: 500, and asked once', 1, 'POST', {}, 502, 1],
  ] as const)('%s', async (_what, failures, method, headers, status, times) => {
    answer = failing(failures, json(method === 'GET' ? 200 : 202, method === 'GET' ? history : run));
    const got = method === 'GET' ? await call('GET', 'history') : await call('POST', 'apply', { ...target, releaseId: 'r2' }, headers);
    expect([got.statusCode, asked.length]).toEqual([status, times]);
    if (status === 502) expect(got.json()).toMatchObject({ code: 'updater_failed', class: 'dependency', retryable: true });
    if (method === 'POST' && times > 1) expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
  });

  test('a connection that breaks off is asked again', async () => {
    let first = true;
    answer = (request, response, body) => {
      if (first) request.socket.destroy();
      else json(200, history)(request, response, body);
      first = false;
    };
    expect([(await call('GET', 'history')).statusCode, asked.length]).toEqual([200, 2]);
  });
});

test.each<[string, Answer, number, string]>([
  ['slower than the limit', () => undefined, 504, 'updater_slow'],
  ['an answer that never ends', (_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{"runs":'), 504, 'updater_slow'],
  ['no JSON', (_request, response) => void response.end('<h1>It works!</h1>'), 502, 'updater_answer_invalid'],
  ['JSON of another shape', json(200, { runs: [{ id: 1 }], secret: token }), 502, 'updater_answer_invalid'],
  ['more than anybody needs', (_request, response) => void response.end(`"${'x'.repeat(1_100_000)}"`), 502, 'updater_answer_invalid'],
  ['a redirect', (_request, response) => void response.writeHead(302, { location: 'http://127.0.0.1:9/steal' }).end(), 502, 'updater_answer_invalid'],
  ['it refuses our token', json(401, { detail: `bad token ${token}` }), 502, 'updater_failed'],
  ['it refuses what was asked', json(404, { code: 'unknown_host', detail: `no h1 here; you came with ${token} and http://me:pass@inside.example` }), 422, 'updater_refused'],
])('%s: a problem of ours, and no secret in it', async (_what, given, status, code) => {
  answer = given;
  const got = await call('GET', 'history');
  expect(got.json()).toMatchObject({ status, code });
  const shown = JSON.stringify([got.payload, got.headers]);
  expect(shown).not.toContain(token);
  expect(shown).not.toContain('pass@');
  expect(api.log.join('')).not.toContain(token);
});

test('a token file that is not there: nothing is asked, and the problem says what to do', async () => {
  answer = json(200, history);
  const without = createHttpUpdater({ url: 'http://127.0.0.1:9', tokenFile: join(directory, 'none') });
  await expect(without.ask({ method: 'GET', what: 'history', idempotencyKey: null }, AbortSignal.timeout(5_000))).rejects.toMatchObject({ reason: { code: 'updater_token_missing' } });
  expect(asked).toEqual([]);
});

test('keys and roles are as ever: a viewer may ask and not change, nobody may do either', async () => {
  answer = json(200, history);
  const viewer = (await api.stores.keys.create('viewer', 'viewer')).text;
  expect((await call('POST', 'apply', { ...target, releaseId: 'r2' }, { authorization: `Bearer ${viewer}` })).json()).toMatchObject({ code: 'not_allowed' });
  expect((await call('GET', 'history', undefined, { authorization: `Bearer ${viewer}` })).statusCode).toBe(200);
  expect((await call('GET', 'history', undefined, { authorization: 'Bearer nobody' })).statusCode).toBe(401);
  expect(asked).toHaveLength(1);
});
