import { createHash, randomUUID } from 'node:crypto';
import type { LightMyRequestResponse } from 'fastify';
import type { AuditRow } from '../../../src/domain/audit/chain.ts';
import { overrideRoutes } from '../../../src/domain/audit/override.ts';
import { isMutation } from '../../../src/domain/access/mutation.ts';
import { FairleadError } from '../../../src/domain/failure.ts';
import type { HostId, ProductName, RolloutId, RunId, Sha256 } from '../../../src/domain/ids.ts';
import { rolloutRequest } from '../../../src/domain/rollout/request.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { sampleArtifact, sampleInspection } from '../../support/samples.ts';

const lab = 'lab' as ProductName;
const host = 'h1' as HostId;
const uploaded = createHash('sha256').update('{}').digest('hex') as Sha256;
const ids = { run: 'run-9', rollout: '00000000-0000-4000-8000-000000000009', freeze: '00000000-0000-4000-8000-000000000008' };
const target = { host: 'h1', product: 'lab' };

/** A request of each mutating route that is good enough to be carried out, or to be refused by what it is about. */
const bodies: Readonly<Record<string, object | null>> = {
  'PUT /api/hosts/{id}/maintenance': { reason: 'disks' },
  'DELETE /api/hosts/{id}/maintenance': null,
  'PUT /api/hosts/{id}/labels': { labels: { env: 'prod' } },
  'POST /api/hosts/{id}/accept': { bootId: 'b1', reason: 'its serial number' },
  'POST /api/enrolments': {},
  'POST /api/enrolments/exchange': { token: 'fl_enrol_nobody-knows-this-one', host: 'h1' },
  'POST /api/releases': {},
  'POST /api/updates/download': { ...target, releaseId: 'r1' },
  'DELETE /api/updates/download': null,
  'POST /api/updates/apply': { ...target, releaseId: 'r1' },
  'POST /api/updates/rollback': target,
  'POST /api/promotions': { ...target, releaseId: 'r1' },
  'POST /api/services/restart': { ...target, service: 'api' },
  'POST /api/services/reload': { ...target, service: 'api' },
  'POST /api/services/add-instance': { ...target, service: 'api', name: 'c' },
  'POST /api/services/remove-instance': { ...target, service: 'api', name: 'c' },
  'POST /api/certificates/issue': { ...target, names: ['app.example.org'], issuer: { kind: 'acme', directoryUrl: 'https://ca.example.org/directory' } },
  'POST /api/certificates/renew': target,
  'POST /api/runs/{id}/cancel': { reason: 'no' },
  'POST /api/rollouts': { product: 'lab', releaseId: 'r1', hosts: ['h1'] },
  'POST /api/rollouts/{id}/pause': {},
  'POST /api/rollouts/{id}/resume': { comment: 'go on' },
  'POST /api/rollouts/{id}/retry': {},
  'POST /api/rollouts/{id}/promote': { comment: 'go on' },
  'POST /api/rollouts/{id}/abort': {},
  'POST /api/rollouts/{id}/approve': { gate: 'go' },
  'POST /api/rollouts/{id}/reject': { gate: 'go' },
  'POST /api/freezes': { reason: 'sale', until: '2999-01-01T00:00:00.000Z' },
  'DELETE /api/freezes/{id}': null,
  'PUT /api/releases/{product}/{releaseId}/channel': { channel: 'beta' },
  'PUT /api/updates/policies': { product: 'lab', host: null, channel: 'stable', action: 'notify', windows: [] },
  'DELETE /api/updates/policies': null,
  'PUT /api/settings/{name}': { value: 'a-value-that-is-long-enough' },
  'DELETE /api/settings/{name}': null,
  'POST /api/settings/rotate': null,
  'POST /api/webhooks': { url: 'https://alerts.example.org/hook' },
  'DELETE /api/webhooks/{id}': null,
  'POST /api/webhooks/{id}/test': null,
  'POST /api/keys': { name: 'new', role: 'viewer' },
  'POST /api/keys/{id}/rotate': { graceSeconds: 0 },
  'DELETE /api/keys/{id}': null,
};
/** The answer is a secret that is never stored, and the token itself is good for once. */
const withoutIdempotency = new Set(['POST /api/enrolments/exchange']);

let postgres: TestPostgres;
let api: TestApi;
let viewer: string;
let spare: string;

async function begin(changes: Parameters<typeof startApi>[1] = {}): Promise<void> {
  api = await startApi(postgres, { inspect: async () => sampleArtifact('r1', { product: lab, sha256: uploaded }), ...changes });
  const { stores } = api;
  await stores.hosts.hello({ host, role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [{ ...sampleInspection('r1'), product: lab }] });
  await stores.releases.publish(sampleArtifact('r1', { product: lab }), 'ci');
  const at = '2026-11-21T10:00:00.000Z';
  await stores.runs.open({ runId: ids.run as RunId, workflowId: 'host/h1/lab', kind: 'update-apply', host, product: lab, toReleaseId: 'r1' as never, requestedBy: 'ci', requestedAt: at });
  await stores.rollouts.open({ rolloutId: ids.rollout as RolloutId, requestedAt: at, request: rolloutRequest({ product: lab, releaseId: 'r1' as never, requestedBy: 'ci', requestId: 'x', target: { kind: 'hosts', hosts: [host] } }) });
  await stores.rollouts.setFreeze({ id: ids.freeze, product: null, reason: 'sale', setBy: 'ci', since: at, until: '2999-01-01T00:00:00.000Z' });
  viewer = (await stores.keys.create('viewer', 'viewer')).text;
  spare = (await stores.keys.create('spare', 'viewer')).identity.id;
}

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.end();
});
/** A suite on an API of its own, in whose memory no run is open when a test begins. */
function onOneApi(): void {
  beforeAll(() => begin());
  beforeEach(() => api.runs.open.clear());
  afterAll(() => api?.end());
}

function urlOf(path: string): string {
  return path.replace('/api/runs/{id}', `/api/runs/${ids.run}`).replace('/api/rollouts/{id}', `/api/rollouts/${ids.rollout}`).replace('/api/freezes/{id}', `/api/freezes/${ids.freeze}`).replace('/api/keys/{id}', `/api/keys/${spare}`).replace('{product}/{releaseId}', 'lab/r1').replace('{name}', 'bearer.https@gates.example').replace('{id}', 'h1') + (path === '/api/updates/policies' ? '?product=lab' : path === '/api/updates/download' ? '?host=h1&product=lab' : '');
}

function ask(route: string, key: string | null = api.adminKey, more: Record<string, string> = {}, change: object = {}): Promise<LightMyRequestResponse> {
  const [method, path] = route.split(' ') as ['POST', string];
  const body = bodies[route] ?? null;
  const type: Record<string, string> = body === null ? {} : { 'content-type': route === 'POST /api/releases' ? 'application/octet-stream' : 'application/json' };
  const headers = { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...type, 'fairlead-reason': 'a%20test', ...more };
  return api.app.inject({ method, url: urlOf(path), headers, ...(body === null ? {} : { payload: JSON.stringify({ ...body, ...change }) }) });
}

async function documented(): Promise<{ route: string; operation: { parameters?: { in: string; name: string }[] } }[]> {
  const { paths } = (await api.app.inject('/api/openapi.json')).json() as { paths: Record<string, Record<string, object>> };
  return Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ route: `${method.toUpperCase()} ${path}`, operation })));
}
const withColons = (route: string): string => route.replaceAll(/\{(\w+)\}/g, ':$1');
const requestRows = async (from = 0): Promise<AuditRow[]> => (await api.stores.audit.list({ limit: 1_000, afterSequence: from })).filter(({ event }) => event.startsWith('request.'));
const lastRow = async (): Promise<number> => (await api.stores.audit.head()).sequence;

describe('every mutation leaves an intent and a result', () => {
  onOneApi();

  test('the document has these mutations and no others', async () => {
    expect((await documented()).map(({ route }) => route).filter((route) => isMutation(withColons(route))).sort()).toEqual(Object.keys(bodies).sort());
  });

  test.each(Object.keys(bodies))('%s: an intent before whatever it does and a result after it; the same where it is refused by role, or fails', async (route) => {
    const from = await lastRow();
    const answer = await ask(route);
    const rows = await api.stores.audit.list({ limit: 1_000, afterSequence: from });
    const [intent, result] = [rows[0], rows.at(-1)];
    const isOpen = withoutIdempotency.has(route);
    expect(intent).toMatchObject({ event: 'request.intended', actor: isOpen ? 'an enrolment token' : 'ci (admin)', detail: { request: withColons(route), key: isOpen ? null : { name: 'ci', role: 'admin' }, address: '127.0.0.1', reason: expect.any(String) } });
    const outcome = answer.statusCode === 202 ? 'accepted' : answer.statusCode < 400 ? 'done' : answer.statusCode < 500 ? 'refused' : 'failed';
    expect(result).toMatchObject({ event: 'request.ended', subject: intent?.subject, detail: { intent: intent?.sequence, requestId: intent?.detail['requestId'], status: answer.statusCode, outcome } });
    // Whatever else it left stands between the two.
    expect(rows.filter(({ event }) => event.startsWith('request.'))).toHaveLength(2);
    const body = answer.json() as { runId?: string; workflowId?: string; rolloutId?: string };
    if (body.runId !== undefined || body.rolloutId !== undefined) expect(result?.runId).toBe(body.runId ?? body.rolloutId);
    if (body.workflowId !== undefined) expect(result?.detail['workflowId']).toBe(body.workflowId);

    if (!isOpen) {
      const at = await lastRow();
      expect((await ask(route, viewer)).statusCode).toBe(403);
      expect(await requestRows(at)).toMatchObject([{ event: 'request.intended', actor: 'viewer (viewer)' }, { event: 'request.ended', detail: { status: 403, outcome: 'refused', code: 'not_allowed' } }]);
      const then = await lastRow();
      expect((await ask(route, 'fl_admin_nobody-has-this-key')).statusCode).toBe(401);
      expect(await requestRows(then)).toEqual([]);
    }
  });
});

describe('what the rows say', () => {
  onOneApi();

  test('before and after stand in the result of what changes a record', async () => {
    const from = await lastRow();
    for (const route of ['PUT /api/hosts/{id}/labels', 'PUT /api/hosts/{id}/maintenance', 'DELETE /api/freezes/{id}', 'POST /api/keys/{id}/rotate', 'DELETE /api/keys/{id}', 'POST /api/rollouts/{id}/pause']) expect((await ask(route)).statusCode).toBe(200);
    const details = (await requestRows(from)).filter(({ event }) => event === 'request.ended').map(({ detail: { before, after } }) => ({ before, after }));
    expect(details).toMatchObject([
      { before: {}, after: { env: 'prod' } },
      { before: null, after: { phase: 'maintenance', reason: 'disks' } },
      { before: { id: ids.freeze, reason: 'sale' }, after: null },
      { before: { masked: expect.any(String) }, after: { masked: expect.any(String) } },
      { before: { revokedAt: null }, after: { revokedAt: expect.any(String) } },
      { before: { phase: 'Requested' }, after: { phase: 'Requested' } },
    ]);
  });

  test('what is kept of a request has no secret in it, and is bounded', async () => {
    const from = await lastRow();
    await ask('POST /api/enrolments/exchange');
    await ask('PUT /api/hosts/{id}/labels', api.adminKey, {}, { labels: Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`label-${at}`, 'v'.repeat(40)])) });
    const rows = await requestRows(from);
    expect(JSON.stringify(rows)).not.toContain('nobody-knows-this-one');
    expect(rows[0]?.detail['asked']).toEqual({ token: '[redacted]', host: 'h1' });
    expect(rows[2]?.detail['asked']).toEqual({ characters: expect.any(Number), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  test.each(overrideRoutes)('%s: an override without a reason is refused, and noted', async (colons) => {
    const from = await lastRow();
    const route = colons.replaceAll(/:(\w+)/g, '{$1}');
    const body = bodies[route];
    const { reason: _reason, comment: _comment, ...rest } = (body ?? {}) as { reason?: string; comment?: string };
    const [method, path] = route.split(' ') as ['POST', string];
    const answer = await api.app.inject({ method, url: urlOf(path), headers: { authorization: `Bearer ${api.adminKey}` }, ...(body === null ? {} : { payload: { ...rest, ...(/apply$|rollouts$/.test(route) ? { allowFailed: true } : /certificates/.test(route) ? { force: true } : {}) } }) });
    expect(answer.json()).toMatchObject({ status: 400, code: expect.stringMatching(/^(reason_required|invalid_request)$/) });
    expect(await requestRows(from)).toMatchObject([{ event: 'request.intended', detail: { reason: null } }, { event: 'request.ended', detail: { status: 400, outcome: 'refused' } }]);
  });
});

/** Guarantee 4. */
test('the audit cannot be written: every mutation is refused before it does anything', async () => {
  const away = () => Promise.reject(new FairleadError({ class: 'dependency', code: 'database_unavailable', message: 'away' }, { retryable: true }));
  await begin({ wrap: (stores) => ({ ...stores, audit: { ...stores.audit, append: away } }) });
  const state = async (): Promise<string> => {
    const { stores } = api;
    const known = [await stores.hosts.list(), await stores.fleet.list(), await stores.enrolments.list(), await stores.releases.list({ limit: 100 }), await stores.runs.list({ limit: 100 }), await stores.rollouts.list({ limit: 100 }), await stores.rollouts.freezes('2026-11-21T10:00:00.000Z'), (await stores.keys.list()).map(({ lastUsedAt: _used, ...key }) => key)];
    return JSON.stringify([known, api.runs.started, api.runs.services, api.runs.certificates, api.runs.cancelled, api.rollouts.started, api.rollouts.commands]);
  };
  const before = await state();
  const statuses: Record<string, number> = {};
  for (const route of Object.keys(bodies)) statuses[route] = (await ask(route)).statusCode;
  expect(statuses).toEqual(Object.fromEntries(Object.keys(bodies).map((route) => [route, 503])));
  expect(await state()).toBe(before);
  await api.end();
});

describe('every mutation may be repeated', () => {
  onOneApi();

  test('every mutation says in the document that it takes an Idempotency-Key', async () => {
    const lacking = (await documented()).filter(({ route, operation }) => isMutation(withColons(route)) && !(operation.parameters ?? []).some((each) => each.in === 'header' && each.name === 'idempotency-key'));
    expect(lacking.map(({ route }) => route)).toEqual([...withoutIdempotency]);
  });

  test.each(Object.keys(bodies).filter((route) => !withoutIdempotency.has(route)))('%s: the same Idempotency-Key again gets the same answer and acts once; another request under it is refused', async (route) => {
    const key = { 'idempotency-key': randomUUID() };
    const first = await ask(route, api.adminKey, key);
    const deeds = (): unknown[] => [api.runs.started.length, api.runs.services.length, api.runs.certificates.length, api.runs.cancelled.length, api.rollouts.started.length, api.rollouts.commands.length];
    const done = deeds();
    const second = await ask(route, api.adminKey, key);
    expect(second.statusCode).toBe(first.statusCode);
    if (first.statusCode >= 400) return;
    expect(second.headers['idempotent-replayed']).toBe('true');
    expect(deeds()).toEqual(done);
    const withoutOnce = (text: string): unknown => ({ ...(JSON.parse(text) as object), text: null, token: null });
    expect(withoutOnce(second.payload)).toEqual(withoutOnce(first.payload));
    expect((await requestRows()).at(-1)?.detail).toMatchObject({ replayed: true });
    const other = await ask(route === 'PUT /api/hosts/{id}/labels' ? 'POST /api/freezes' : 'PUT /api/hosts/{id}/labels', api.adminKey, key);
    expect(other.json()).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
  });
});
