import { keyRoles, type KeyRole } from '../../../src/domain/access/role.ts';
import type { HostId, ProductName, RolloutId, RunId, Sha256 } from '../../../src/domain/ids.ts';
import { rolloutRequest } from '../../../src/domain/rollout/request.ts';
import { startApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { startPostgres } from '../../support/postgres.ts';
import type { TestPostgres } from '../../support/postgres.ts';
import { sampleArtifact, sampleInspection } from '../../support/samples.ts';

/**
 * Who may do what, once more and by hand: who. `V` viewer, `O` operator, `P` approver, `A` admin, `G` agent, `*` everybody, also without a key. Then what a scope that does not have
 * the subject does: `refused`, `filtered` (answered, without what is not in it), `-` (there is nothing to limit).
 */
const table: Readonly<Record<string, readonly [who: string, outOfScope: 'refused' | 'filtered' | '-', body?: object]>> = {
  'GET /health': ['*', '-'],
  'GET /health/live': ['*', '-'],
  'GET /health/ready': ['*', '-'],
  'GET /health/detailed': ['VOPA', '-'],
  'GET /metrics': ['VOPA', '-'],

  'GET /api/hosts': ['VOPA', 'filtered'],
  'GET /api/hosts/{id}': ['VOPA', 'refused'],
  'GET /api/hosts/{id}/sessions': ['VOPA', 'refused'],
  'PUT /api/hosts/{id}/maintenance': ['OA', 'refused', { reason: 'disks' }],
  'DELETE /api/hosts/{id}/maintenance': ['OA', 'refused'],
  'PUT /api/hosts/{id}/labels': ['A', '-', { labels: {} }],
  'POST /api/hosts/{id}/accept': ['A', '-', { bootId: 'b1' }],
  'GET /api/enrolments': ['A', '-'],
  'POST /api/enrolments': ['A', '-', {}],
  'POST /api/hosts/{id}/hello': ['G', '-', {}],
  'GET /api/fleet': ['G', '-'],

  'GET /api/releases': ['VOPA', 'filtered'],
  'GET /api/releases/{product}/{releaseId}': ['VOPA', 'refused'],
  'POST /api/releases': ['OA', 'refused', {}],
  'GET /api/artifacts/{sha256}': ['OAG', 'refused'],

  'PUT /api/releases/{product}/{releaseId}/channel': ['OA', 'refused', { channel: 'stable' }],
  'GET /api/updates/policies': ['VOPA', 'filtered'],
  'PUT /api/updates/policies': ['A', '-', { product: 'lab' }],
  'DELETE /api/updates/policies': ['A', '-'],
  'POST /api/updates/check': ['VOPA', 'refused', { host: 'h1', product: 'lab' }],
  'GET /api/updates/status': ['VOPA', 'refused'],
  'POST /api/updates/plan': ['VOPA', 'refused', { host: 'h1', product: 'lab', releaseId: 'r9' }],
  'GET /api/updates/history': ['VOPA', 'filtered'],
  'POST /api/updates/download': ['OA', 'refused', { host: 'h1', product: 'lab', releaseId: 'r9' }],
  'DELETE /api/updates/download': ['OA', 'refused'],
  'POST /api/updates/apply': ['OA', 'refused', { host: 'h1', product: 'lab', releaseId: 'r9' }],
  'POST /api/updates/rollback': ['OA', 'refused', { host: 'h1', product: 'lab' }],
  'POST /api/promotions/plan': ['VOPA', 'refused', { host: 'h1', product: 'lab' }],
  'POST /api/promotions': ['OA', 'refused', { host: 'h1', product: 'lab', releaseId: 'r9' }],
  'GET /api/services/status': ['VOPA', 'refused'],
  'POST /api/services/restart': ['OA', 'refused', { host: 'h1', product: 'lab', service: 'none' }],
  'POST /api/services/reload': ['OA', 'refused', { host: 'h1', product: 'lab', service: 'none' }],
  'POST /api/services/add-instance': ['OA', 'refused', { host: 'h1', product: 'lab', service: 'none', name: 'c' }],
  'POST /api/services/remove-instance': ['OA', 'refused', { host: 'h1', product: 'lab', service: 'none', name: 'c' }],

  'GET /api/certificates': ['VOPA', 'filtered'],
  // An issuer names commands of the host.
  'POST /api/certificates/issue': ['A', '-', { host: 'h1', product: 'lab' }],
  'POST /api/certificates/renew': ['OA', 'refused', { host: 'h1', product: 'lab' }],

  'GET /api/runs': ['VOPA', 'filtered'],
  'GET /api/runs/{id}': ['VOPA', 'refused'],
  'GET /api/runs/{id}/events': ['VOPA', 'refused'],
  'POST /api/runs/{id}/cancel': ['OA', 'refused', { reason: 'no' }],

  'POST /api/rollouts/plan': ['VOPA', 'refused', { product: 'lab', releaseId: 'r9', hosts: ['h1'] }],
  'POST /api/rollouts': ['OA', 'refused', { product: 'lab', releaseId: 'r9', hosts: ['h1'] }],
  'GET /api/rollouts': ['VOPA', 'filtered'],
  'GET /api/rollouts/{id}': ['VOPA', 'refused'],
  'GET /api/rollouts/{id}/hosts': ['VOPA', 'refused'],
  'GET /api/rollouts/{id}/events': ['VOPA', 'refused'],
  'POST /api/rollouts/{id}/pause': ['OA', 'refused', {}],
  'POST /api/rollouts/{id}/resume': ['OA', 'refused', {}],
  'POST /api/rollouts/{id}/retry': ['OA', 'refused', {}],
  'POST /api/rollouts/{id}/promote': ['OA', 'refused', {}],
  'POST /api/rollouts/{id}/abort': ['OA', 'refused', {}],
  'POST /api/rollouts/{id}/approve': ['PA', 'refused', { gate: 'go' }],
  'POST /api/rollouts/{id}/reject': ['PA', 'refused', { gate: 'go' }],
  'GET /api/freezes': ['VOPA', 'filtered'],
  'POST /api/freezes': ['A', '-', { reason: 'sale', until: '2020-01-01T00:00:00.000Z' }],
  'DELETE /api/freezes/{id}': ['A', '-'],

  // The audit is about everything, and so not for a key that is limited to something.
  'GET /api/audit': ['VOPA', 'refused'],
  'POST /api/audit/verify': ['VOPA', 'refused'],
  'GET /api/audit/checkpoints': ['VOPA', 'refused'],
  'GET /api/audit/export': ['VOPA', 'refused'],
  'GET /api/keys': ['A', '-'],
  'POST /api/keys': ['A', '-', { name: 'new', role: 'viewer' }],
  'POST /api/keys/{id}/rotate': ['A', '-', {}],
  'DELETE /api/keys/{id}': ['A', '-'],
  'POST /api/codec/decode': ['VOPA', 'refused', { payloads: [] }],
  'POST /api/codec/encode': ['VOPA', 'refused', { payloads: [] }],
  'GET /api/settings': ['A', '-'],
  'GET /api/settings/{name}': ['A', '-'],
  'PUT /api/settings/{name}': ['A', '-', { value: 'x' }],
  'DELETE /api/settings/{name}': ['A', '-'],
  'POST /api/settings/rotate': ['A', '-'],
  'GET /api/webhooks': ['A', '-'],
  'POST /api/webhooks': ['A', '-', { url: 'https://alerts.example.org/hook' }],
  'GET /api/webhooks/{id}': ['A', '-'],
  'DELETE /api/webhooks/{id}': ['A', '-'],
  'POST /api/webhooks/{id}/test': ['A', '-'],
  'GET /api/webhooks/{id}/deliveries': ['A', '-'],
};
/** Neither a key nor a scope: the body is the proof. Without a good one it answers 401, as others do without a key. */
const proofInBody = 'POST /api/enrolments/exchange';
const everythingOnly = new Set(['GET /api/audit', 'POST /api/audit/verify', 'GET /api/audit/checkpoints', 'GET /api/audit/export', 'POST /api/codec/decode', 'POST /api/codec/encode', 'PUT /api/releases/{product}/{releaseId}/channel']);

const letters: Readonly<Record<KeyRole, string>> = { viewer: 'V', operator: 'O', approver: 'P', admin: 'A', agent: 'G' };
const lab = 'lab' as ProductName;
const host = 'h1' as HostId;
const runId = 'run-1' as RunId;
const rolloutId = '01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10' as RolloutId;
const sha256 = 'a'.repeat(64) as Sha256;
const scopes = { none: null, in: { products: [lab], hosts: ['env=prod'] }, 'out by product': { products: ['other' as ProductName], hosts: [] }, 'out by host': { products: [], hosts: ['env=test'] } } as const;
type ScopeName = keyof typeof scopes;

let postgres: TestPostgres;
let api: TestApi;
const keys = new Map<string, string>();

beforeAll(async () => {
  postgres = await startPostgres();
  api = await startApi(postgres, { inspect: async () => ({ ...sampleArtifact('r1'), product: lab, sha256: uploaded }) });
  const { stores } = api;
  for (const [name, product, label] of [['h1', 'lab', 'prod'], ['h2', 'third', 'stage']] as const) {
    await stores.hosts.hello({ host: name as HostId, role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [{ ...sampleInspection('r1'), product: product as ProductName }] });
    await stores.hosts.label(name as HostId, { env: label });
    const at = '2026-11-21T10:00:00.000Z';
    const id = name === 'h1' ? runId : ('run-2' as RunId);
    await stores.runs.open({ runId: id, workflowId: `host/${name}/${product}`, kind: 'update-apply', host: name as HostId, product: product as ProductName, toReleaseId: 'r1' as never, requestedBy: 'ci', requestedAt: at });
    await stores.releases.publish({ ...sampleArtifact('r1'), product: product as ProductName, sha256: (name === 'h1' ? sha256 : 'b'.repeat(64)) as Sha256 }, 'ci');
    const request = rolloutRequest({ product: product as ProductName, releaseId: 'r1' as never, requestedBy: 'ci', requestId: name, target: { kind: 'hosts', hosts: [name as HostId] } });
    await stores.rollouts.open({ rolloutId: name === 'h1' ? rolloutId : ('01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a11' as RolloutId), request, requestedAt: at });
    // A stream of its events ends with it.
    await stores.runs.appendEvents([{ runId: id, sequence: 1, at, kind: 'run_ended', step: null, message: 'ended', data: {} }, { runId: rolloutId as string as RunId, sequence: 1, at, kind: 'run_ended', step: null, message: 'ended', data: {} }]);
    await stores.rollouts.setFreeze({ id: crypto.randomUUID(), product: product as ProductName, reason: 'sale', setBy: 'ci', since: at, until: '2999-01-01T00:00:00.000Z' });
  }
  for (const role of keyRoles) {
    for (const [name, scope] of Object.entries(scopes)) {
      if (scope !== null && (role === 'admin' || role === 'agent')) continue;
      const made = await stores.keys.create(`${role} ${name}`, role, { scope });
      if (role === 'agent') await stores.keys.bind(made.identity.id, host);
      keys.set(`${role} ${name}`, made.text);
    }
  }
});
afterAll(async () => {
  await api?.end();
  await postgres?.end();
});

// The digest of the upload of this test, `{}`.
const uploaded = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' as Sha256;

function urlOf(path: string): string {
  const url = path.replace('/api/runs/{id}', `/api/runs/${runId}`).replace('/api/rollouts/{id}', `/api/rollouts/${rolloutId}`).replace('/api/freezes/{id}', '/api/freezes/00000000-0000-4000-8000-000000000000').replace('{sha256}', sha256).replace('{product}/{releaseId}', 'lab/r1').replace('{id}', 'h1');
  return /\/(updates|services)\/status$|\/updates\/download$/.test(path) ? `${url}?host=h1&product=lab` : url;
}

async function ask(route: string, key: string | null) {
  const [method, path] = route.split(' ') as ['GET' | 'POST' | 'PUT' | 'DELETE', string];
  const body = table[route]?.[2];
  const upload = route === 'POST /api/releases';
  return api.app.inject({
    method,
    url: urlOf(path),
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...(body === undefined ? {} : { 'content-type': upload ? 'application/octet-stream' : 'application/json' }) },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  });
}

const verdictOf = ({ statusCode, json }: Awaited<ReturnType<typeof ask>>): string => (statusCode === 401 || statusCode === 403 ? String((json() as { code: string }).code) : 'passed');

function expected(route: string, role: KeyRole | null, scope: ScopeName): string {
  const [who, out] = table[route]!;
  if (who === '*') return 'passed';
  if (role === null) return 'key_missing';
  if (!who.includes(letters[role])) return 'not_allowed';
  if (scope === 'none') return 'passed';
  if (everythingOnly.has(route)) return 'out_of_scope';
  return out === 'refused' && scope !== 'in' && !(scope === 'out by host' && productOnly.has(route)) ? 'out_of_scope' : 'passed';
}
/** What belongs to a product and to no host. */
const productOnly = new Set(['GET /api/releases/{product}/{releaseId}', 'POST /api/releases', 'GET /api/artifacts/{sha256}', 'GET /api/rollouts/{id}', 'GET /api/rollouts/{id}/hosts', 'GET /api/rollouts/{id}/events']);

test('every route of the document stands in the table, and every route of the table in the document', async () => {
  const { paths } = (await api.app.inject('/api/openapi.json')).json() as { paths: Record<string, Record<string, unknown>> };
  const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  expect(routes.filter((route) => route !== proofInBody).sort()).toEqual(Object.keys(table).sort());
});

describe.each([null, ...keyRoles])('%s', (role) => {
  const names: ScopeName[] = role === null || role === 'admin' || role === 'agent' ? ['none'] : ['none', 'in', 'out by product', 'out by host'];
  test.each(names)('scope %s: opens what the table says, and nothing else', async (scope) => {
    const key = role === null ? null : keys.get(`${role} ${scope}`)!;
    const seen: Record<string, string> = {};
    const wanted: Record<string, string> = {};
    for (const route of Object.keys(table)) {
      seen[route] = verdictOf(await ask(route, key));
      wanted[route] = expected(route, role, scope);
    }
    expect(seen).toEqual(wanted);
  });
});

describe('lists show what is in the scope', () => {
  const ofList = async (path: string, scope: ScopeName) => JSON.stringify((await api.app.inject({ url: path, headers: { authorization: `Bearer ${keys.get(`viewer ${scope}`)}` } })).json());
  const lists = ['/api/hosts', '/api/releases', '/api/runs', '/api/updates/history', '/api/rollouts', '/api/freezes'];
  test.each(lists)('%s', async (path) => {
    const [whole, within, other] = [await ofList(path, 'none'), await ofList(path, 'in'), await ofList(path, 'out by product')];
    expect([whole.includes('"lab"'), whole.includes('"third"')]).toEqual([true, true]);
    expect([within.includes('"lab"'), within.includes('"third"')]).toEqual([true, false]);
    expect([other.includes('"lab"'), other.includes('"third"')]).toEqual([false, false]);
  });
  test.each(['/api/hosts', '/api/runs'])('%s, by host', async (path) => {
    expect(await ofList(path, 'out by host')).not.toMatch(/"h1"|"h2"/);
  });
});

test('what is not there and what is not in the scope are refused in the same words', async () => {
  const headers = { authorization: `Bearer ${keys.get('viewer in')}` };
  const [there, gone] = [await api.app.inject({ url: '/api/hosts/h2', headers }), await api.app.inject({ url: '/api/hosts/h9', headers })];
  expect(there.json()).toMatchObject({ status: 403, code: 'out_of_scope' });
  expect({ ...gone.json(), instance: '' }).toEqual({ ...there.json(), instance: '' });
});

test('a label that is taken away closes a host at once', async () => {
  const headers = { authorization: `Bearer ${keys.get('viewer in')}` };
  await api.stores.hosts.label(host, { env: null });
  expect((await api.app.inject({ url: '/api/hosts/h1', headers })).statusCode).toBe(403);
  await api.stores.hosts.label(host, { env: 'prod' });
  expect((await api.app.inject({ url: '/api/hosts/h1', headers })).statusCode).toBe(200);
});

test('a rollout of the whole fleet is not for a key that is limited to some hosts', async () => {
  const headers = { authorization: `Bearer ${keys.get('operator in')}` };
  const answer = await api.app.inject({ method: 'POST', url: '/api/rollouts', headers, payload: { product: 'lab', releaseId: 'r1' } });
  expect(answer.json()).toMatchObject({ status: 403, code: 'out_of_scope' });
});
