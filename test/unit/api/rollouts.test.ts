import type { InjectOptions } from 'fastify';
import type { Freeze, Rollout, RolloutAccepted, RolloutPlanAnswer } from '../../../src/contract/index.ts';
import type { HostId } from '../../../src/domain/ids.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { product, sampleArtifact, sampleInspection } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.end());
beforeEach(async () => {
  api = await startApi(postgres);
  for (const name of ['h1', 'h2']) await tell(name);
  for (const releaseId of ['r1', 'r2']) await api.stores.releases.publish(sampleArtifact(releaseId), 'ci');
});
afterEach(() => api?.end());

async function tell(name: string, releaseId = 'r1'): Promise<void> {
  await api.stores.hosts.hello({ host: name as HostId, role: 'node', agentVersion: '0.1.0', bootId: `boot-${name}`, products: [sampleInspection(releaseId)] });
}
async function call<Body = { code?: string }>(method: InjectOptions['method'], url: string, body?: InjectOptions['payload'], headers: Record<string, string> = {}): Promise<{ status: number; body: Body }> {
  const answer = await api.app.inject({ method, url, headers: { authorization: `Bearer ${api.adminKey}`, ...headers }, ...(body === undefined ? {} : { payload: body }) });
  return { status: answer.statusCode, body: answer.json() };
}
const ask = { product, releaseId: 'r2' };
const start = (more: object = {}, headers: Record<string, string> = {}) => call<RolloutAccepted & { code?: string }>('POST', '/api/rollouts', { ...ask, ...more }, headers);

describe('rollouts over HTTP', () => {
  test('started: the row, the audit row and the workflow are there; it can be read, and lists its hosts once it was planned', async () => {
    const { status, body } = await start({ strategy: { maxParallel: 3 } });
    expect(status).toBe(202);
    expect(api.rollouts.started).toMatchObject([{ rolloutId: body.rolloutId, request: { product, releaseId: 'r2', strategy: { maxParallel: 3, controllerFirst: true }, requestedBy: 'ci (admin)' } }]);
    expect((await api.stores.audit.list({ limit: 50 })).map(({ event }) => event)).toContain('rollout.requested');
    expect((await call<Rollout>('GET', body.links.self)).body).toMatchObject({ rolloutId: body.rolloutId, outcome: null, ok: null, waves: [], standing: { status: 'requested' } });
    expect((await call('GET', body.links.hosts)).body).toEqual({ hosts: [], nextAfter: null });
  });

  test('the same request with the same key starts one rollout; another rollout follows from another key', async () => {
    const answers = [await start({}, { 'idempotency-key': 'one' }), await start({}, { 'idempotency-key': 'one' }), await start({}, { 'idempotency-key': 'two' })];
    expect(new Set(answers.map(({ body }) => body.rolloutId)).size).toBe(2);
    expect(api.rollouts.started).toHaveLength(2);
  });

  test('a plan shows waves and the steps of a run; started with its digest it is refused once a host has changed', async () => {
    const { body: plan } = await call<RolloutPlanAnswer>('POST', '/api/rollouts/plan', ask);
    expect(plan).toMatchObject({ decision: 'plan', waves: [{ number: 1, role: 'node' }, { number: 2 }], hostSteps: [{ host: 'h1' }, { host: 'h2' }] });
    expect(plan.hostSteps[0]?.steps).toContain('activate');
    expect((await start({ planDigest: plan.planDigest })).status).toBe(202);
    await tell('h2', 'r2');
    const moved = await start({ planDigest: plan.planDigest });
    expect([moved.status, moved.body.code]).toEqual([409, 'fleet_moved']);
  });

  test.each([
    ['a product that no host has', { product: 'nothing' }, 400, 'no_hosts'],
    ['a host that nobody knows', { hosts: ['h9'] }, 400, 'host_unknown'],
    ['tiers that do not rise to the whole', { strategy: { waves: { by: 'tiers', percents: [50, 10] } } }, 400, 'waves_unusable'],
    ['a window that no calendar can read', { strategy: { gates: [{ kind: 'window', name: 'night', window: { cron: 'whenever', zone: 'UTC', durationSeconds: 60 } }] } }, 400, 'cron_unusable'],
    ['a window in no zone', { strategy: { gates: [{ kind: 'window', name: 'night', window: { cron: '0 2 * * *', zone: 'Middle/Earth', durationSeconds: 60 } }] } }, 400, 'zone_unknown'],
    ['a metric without limits', { strategy: { gates: [{ kind: 'metric', name: 'errors', url: 'http://127.0.0.1:9090', query: 'up' }] } }, 400, 'metric_without_limit'],
  ])('%s: refused, nothing is started', async (_what, more, status, code) => {
    const answer = await start(more);
    expect([answer.status, answer.body.code, api.rollouts.started]).toEqual([status, code, []]);
  });

  test('commands are passed on with who gave them; a rollout that nobody knows has none', async () => {
    const { rolloutId } = (await start()).body;
    for (const [verb, body] of [['pause', { comment: 'lunch' }], ['resume', { comment: 'lunch is over' }], ['abort', { updated: 'roll-back-all' }], ['approve', { gate: 'go', comment: 'fine' }]] as const) expect((await call('POST', `/api/rollouts/${rolloutId}/${verb}`, body)).status).toBe(200);
    expect(api.rollouts.commands.map(({ command }) => command)).toEqual([
      { command: 'pause', by: 'ci (admin)', comment: 'lunch' },
      { command: 'resume', by: 'ci (admin)' },
      { command: 'abort', by: 'ci (admin)', comment: null, updated: 'roll-back-all' },
      { command: 'approve', gate: 'go', approval: { by: 'ci (admin)', role: 'admin', comment: 'fine' } },
    ]);
    expect(await call('POST', '/api/rollouts/00000000-0000-4000-8000-000000000000/pause', {})).toMatchObject({ status: 404, body: { code: 'unknown_rollout' } });
  });

  test('a freeze is set and lifted with audit rows, and open rollouts are told', async () => {
    const { rolloutId } = (await start()).body;
    const { status, body: freeze } = await call<Freeze>('POST', '/api/freezes', { product, reason: 'Christmas', until: new Date(Date.now() + 60_000).toISOString() });
    expect([status, api.rollouts.toldOfFreezes]).toEqual([201, [rolloutId]]);
    expect((await call<{ freezes: Freeze[] }>('GET', '/api/freezes')).body.freezes.map(({ reason }) => reason)).toEqual(['Christmas']);
    expect((await call<{ code: string }>('DELETE', `/api/freezes/${freeze.id}`)).body.code).toBe('reason_required');
    expect((await call<{ freezes: Freeze[] }>('DELETE', `/api/freezes/${freeze.id}`, undefined, { 'fairlead-reason': 'the%20sale%20is%20over' })).body.freezes).toEqual([]);
    expect((await api.stores.audit.list({ limit: 50 })).map(({ event }) => event)).toEqual(expect.arrayContaining(['freeze.set', 'freeze.lifted']));
    expect(await call('POST', '/api/freezes', { reason: 'late', until: '2020-01-01T00:00:00Z' })).toMatchObject({ status: 400, body: { code: 'freeze_over' } });
  });
});
