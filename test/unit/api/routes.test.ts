import { readFile, readdir } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import type { Artifact } from '../../../src/domain/bundle/artifact.ts';
import { FairleadError } from '../../../src/domain/failure.ts';
import type { HostId, ReleaseId, RunId, Sha256 } from '../../../src/domain/ids.ts';
import type { RunEvent } from '../../../src/domain/run/event.ts';
import { eventually } from '../../support/eventually.ts';
import { startApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { startPostgres } from '../../support/postgres.ts';
import type { TestPostgres } from '../../support/postgres.ts';
import { digestOf, host, product, sampleArtifact, sampleInspection, sampleReport } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.end();
});
beforeEach(async () => {
  api = await startApi(postgres, { inspect });
  const other = await api.stores.keys.create('h2', 'agent');
  await api.stores.keys.bind(other.identity.id, 'h2' as HostId);
  otherKey = other.text;
});
afterEach(async () => {
  await api?.end();
});

/** Asks until it is so; says what was waited for where it never is. */
async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 10_000; !(await condition()); await setImmediate()) if (Date.now() > deadline) throw new Error(`not within 10 s: ${what}`);
}

/** Stands for the bundle reader: a "bundle" is JSON that names its release. */
async function inspect(file: string): Promise<Artifact> {
  const bytes = await readFile(file);
  const sha256 = createHash('sha256').update(bytes).digest('hex') as Sha256;
  if (bytes[0] !== 0x7b) throw new FairleadError({ class: 'request', code: 'bundle_invalid', message: 'This is no bundle', hint: 'fairlead bundle create' });
  return sampleArtifact((JSON.parse(bytes.toString('utf8')) as { releaseId: string }).releaseId, { sha256, sizeBytes: bytes.length });
}

const call = (method: InjectOptions['method'], url: string, body?: InjectOptions['payload'], headers: Record<string, string> = {}): Promise<LightMyRequestResponse> =>
  api.app.inject({ method, url, headers: { authorization: `Bearer ${api.adminKey}`, ...headers }, ...(body === undefined ? {} : { payload: body }) });
let otherKey: string;
const hello = (body: object = {}, id: string = host) =>
  call('POST', `/api/hosts/${id}/hello`, { role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [sampleInspection('r1')], ...body }, { authorization: `Bearer ${id === host ? api.agentKey : otherKey}` });
const publish = (releaseId: string) => api.stores.releases.publish(sampleArtifact(releaseId), 'ci');
const apply = (headers: Record<string, string> = {}, changes: object = {}) => call('POST', '/api/updates/apply', { host, product, releaseId: 'r2', ...changes }, headers);
/** Audit rows but for those that every request leaves. */
const deeds = async (query = ''): Promise<{ event: string }[]> => (await call('GET', `/api/audit${query}`)).json().rows.filter(({ event }: { event: string }) => !event.startsWith('request.'));
const ready = async (): Promise<void> => {
  await hello();
  await publish('r1');
  await publish('r2');
};

describe('what differs on a host', () => {
  const finding = (change: object = {}) => ({ kind: 'instance_dead', subject: 'api-a', expected: 'r1', seen: 'failed', since: '2026-11-21T10:00:00.000Z', heal: 'run', message: 'api-a does not run', hint: 'look at its log', ...change });
  const settled = () => {
    const inspection = sampleInspection('r1');
    return { ...inspection, intent: null, state: { ...inspection.state, activeReleaseId: 'r1', lastGoodReleaseId: 'r1', failedReleaseIds: [] } };
  };
  const tell = (drift: object[], more: object = {}) => hello({ products: [{ ...settled(), drift, healing: 'heal', ...more }] });
  const started = () => api.runs.started.filter(({ requestedBy }) => requestedBy === 'supervisor');
  const shown = async () => (await call('GET', `/api/hosts/${host}`)).json() as { healing: { tries: object[]; verdicts: object[] }; products: { drift: object[] }[] };
  const auditOf = async (event: string) => (await api.stores.audit.list({ limit: 200 })).filter((row) => row.event === event);

  test('told twice: a run of the active release is started once, whatever is told after, and the audit says for what', async () => {
    await tell([finding()]);
    expect((await shown()).healing.verdicts).toMatchObject([{ kind: 'instance_dead', subject: 'api-a', verdict: 'heal' }]);
    expect(started()).toEqual([]);
    await Promise.all([tell([finding()]), tell([finding()])]);
    await eventually('a run', () => started().length > 0);
    await tell([finding({ since: '2026-11-21T11:00:00.000Z' })]);
    await tell([finding({ since: '2026-11-21T11:00:00.000Z' })]);
    expect(started()).toMatchObject([{ host, releaseId: 'r1', strategy: 'rolling' }]);
    await eventually('its audit row', async () => (await auditOf('run.requested')).length === 1);
    expect((await auditOf('run.requested'))[0]).toMatchObject({ actor: 'supervisor', detail: { releaseId: 'r1', findings: [{ kind: 'instance_dead', subject: 'api-a' }] } });
    expect((await shown()).healing).toMatchObject({ tries: [{ kind: 'instance_dead', by: 'run', runId: 'run-1', outcome: null }], verdicts: [{ verdict: 'wait', why: expect.stringContaining('run-1 is at it') }] });
  });

  test.each([
    ['a host that only reports', { healing: 'report' }],
    ['a host whose agent says nothing of healing', { healing: undefined }],
    ['a stranded host', { intent: { schema: 1, runId: 'run-9', fence: 9, kind: 'update-apply', product: sampleInspection('r1').product, phase: 'installed', fromReleaseId: 'r1', toReleaseId: 'r2', openedAt: '2026-11-21T10:00:00.000Z', backupPath: null, stranded: { class: 'host', code: 'x', message: 'm' } } }],
  ])('%s: nothing is started', async (_what, more) => {
    for (const _time of [1, 2, 3]) await tell([finding()], more);
    expect((await shown()).healing).toMatchObject({ tries: [], verdicts: [{ verdict: 'person' }] });
    expect(started()).toEqual([]);
  });

  test('Temporal is away: the hello is answered, and the try does not count', async () => {
    api.runs.away = true;
    for (const _time of [1, 2]) expect((await tell([finding()])).statusCode).toBe(200);
    await eventually('the claim is withdrawn', async () => api.log.some((line) => line.includes('no run could be started')) && (await shown()).healing.tries.length === 0);
    api.runs.away = false;
    await tell([finding()]);
    await eventually('a run', () => started().length === 1);
  });

  test('what comes and goes is in the audit, once each; what the agent did is acknowledged, once in the audit and among the tries', async () => {
    const act = { id: 'act-1', at: '2026-11-21T10:00:00.000Z', act: 'healed', kind: 'config_mode', subject: '/etc/x.conf', note: 'mode 0644 -> 0600' };
    for (const _time of [1, 2]) expect((await tell([finding({ heal: 'person' })], { acts: [act] })).json()).toMatchObject({ acknowledgedActs: ['act-1'] });
    await tell([]);
    await tell([]);
    expect([await auditOf('host.drift_found'), await auditOf('host.drift_gone'), await auditOf('host.healed')].map((rows) => rows.length)).toEqual([1, 1, 1]);
    expect((await auditOf('host.healed'))[0]).toMatchObject({ actor: `agent on ${host}`, detail: { subject: '/etc/x.conf', at: act.at } });
  });

  test('a kind that control does not know yet is kept and shown', async () => {
    expect((await tell([finding({ kind: 'something_newer', heal: 'person', more: 1 })])).statusCode).toBe(200);
    expect((await shown()).products[0]?.drift).toMatchObject([{ kind: 'something_newer', more: 1 }]);
  });
});

describe('hosts', () => {
  test('a host that said hello is listed with what it told, and told when to speak again', async () => {
    const answer = await hello();
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ host, nextHelloSeconds: 15, acknowledgedRecoveries: [], unknownRuns: [] });
    expect((await call('GET', '/api/hosts')).json()).toMatchObject({ hosts: [{ host, status: 'connected', products: [sampleInspection('r1')] }] });
    expect((await call('GET', `/api/hosts/${host}`)).json()).toMatchObject({ host });
  });

  test('an unknown host: 404 that names those that are known', async () => {
    await hello();
    await hello({}, 'h2');
    const answer = await call('GET', '/api/hosts/h9');
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: 'unknown_host', hint: 'Known hosts: h1, h2.', type: 'urn:fairlead:problem:unknown_host' });
  });

  test('a recovery told twice: the run is marked, one audit row, one event, acknowledged both times', async () => {
    await ready();
    await apply();
    await api.stores.runs.close(sampleReport('run-1', { outcome: 'stranded' }));
    await api.stores.runs.appendEvents([{ runId: 'run-1' as RunId, sequence: 1, at: '2026-11-21T09:00:00.000Z', kind: 'run_ended', step: null, message: 'stranded', data: {} }]);
    const recovered = [{ runId: 'run-1', at: '2026-11-21T10:00:00.000Z', detail: { releaseId: 'r1' } }];
    for (const _time of [1, 2]) expect((await hello({ recovered })).json()).toMatchObject({ acknowledgedRecoveries: ['run-1'] });
    expect((await call('GET', '/api/runs/run-1')).json()).toMatchObject({ run: { recoveredAt: '2026-11-21T10:00:00.000Z' }, report: { outcome: 'stranded' } });
    const audit = (await call('GET', '/api/audit?runId=run-1')).json().rows.filter((row: { event: string }) => row.event === 'run.recovered');
    expect(audit).toHaveLength(1);
    expect((await api.stores.runs.events('run-1' as RunId, 1, 10)).map((event) => event.kind)).toEqual(['recovered']);
  });

  test("a recovery of an unknown run or of another host's: told back as unknown, nothing is marked", async () => {
    await ready();
    await apply();
    const told = await hello({ recovered: [{ runId: 'run-1', at: '2026-11-21T10:00:00.000Z', detail: {} }, { runId: 'nope', at: '2026-11-21T10:00:00.000Z', detail: {} }] }, 'h2');
    expect(told.json()).toMatchObject({ acknowledgedRecoveries: [], unknownRuns: ['run-1', 'nope'] });
    expect((await call('GET', '/api/runs/run-1')).json().run.recoveredAt).toBeNull();
  });
});

describe('updates', () => {
  /** Guarantee 8. */
  test('check: the newest release that is not condemned, by the order of publication', async () => {
    await ready();
    await publish('a-later-one');
    const check = async () => (await call('POST', '/api/updates/check', { host, product })).json();
    expect(await check()).toMatchObject({ activeReleaseId: 'r1', updateAvailable: true, newest: { releaseId: 'a-later-one' } });
    const inspection = sampleInspection('r1');
    await hello({ products: [{ ...inspection, state: { ...inspection.state, failedReleaseIds: ['a-later-one', 'r2'] } }] });
    expect(await check()).toMatchObject({ updateAvailable: false, newest: { releaseId: 'r1' }, candidates: [{ releaseId: 'a-later-one', condemned: true }, { releaseId: 'r2' }, { releaseId: 'r1', active: true }] });
  });

  /** Guarantee 8. */
  test('plan: what a run would do; a condemned release is refused with its reason', async () => {
    await ready();
    const plan = (await call('POST', '/api/updates/plan', { host, product, releaseId: 'r2' })).json();
    expect(plan).toMatchObject({ decision: 'apply', activeReleaseId: 'r1', reason: null, plan: { fromReleaseId: 'r1', toReleaseId: 'r2' } });
    expect(plan.plan.steps).toContainEqual({ name: 'restart', instance: 'api-a' });
    const inspection = sampleInspection('r1');
    await hello({ products: [{ ...inspection, state: { ...inspection.state, failedReleaseIds: ['r2'] } }] });
    expect((await call('POST', '/api/updates/plan', { host, product, releaseId: 'r2' })).json()).toMatchObject({ decision: 'refuse', plan: null, reason: { code: 'release_condemned' } });
    await hello({ products: [] });
    expect((await call('POST', '/api/updates/plan', { host, product, releaseId: 'r2' })).json()).toMatchObject({ decision: 'apply', plan: { fromReleaseId: null, instancesBefore: [] } });
  });

  test('apply: 202 with run and links, noted in the audit, seen in status, history and runs at once', async () => {
    await ready();
    const answer = await apply({}, { bakeSeconds: 3, allowFailed: true, reason: 'the disk was full' });
    expect(answer.statusCode).toBe(202);
    expect(answer.headers.location).toBe('/api/runs/run-1');
    const links = { self: '/api/runs/run-1', events: '/api/runs/run-1/events', temporalUi: 'http://127.0.0.1:8233/namespaces/default/workflows/host%2Fh1%2Flab/run-1' };
    expect(answer.json()).toEqual({ runId: 'run-1', workflowId: 'host/h1/lab', host, product, releaseId: 'r2', links });
    expect(api.runs.started).toEqual([{ host, product, releaseId: 'r2', strategy: 'rolling', bakeSeconds: 3, allowFailed: true, requestedBy: 'ci (admin)', requestId: expect.any(String) }]);
    expect(await deeds()).toMatchObject([{ event: 'run.requested', actor: 'ci (admin)', subject: 'host/h1/lab', runId: 'run-1' }]);
    expect((await call('GET', `/api/updates/status?host=${host}&product=${product}`)).json()).toMatchObject({ activeReleaseId: 'r1', run: { runId: 'run-1' }, lastRun: null, links });
    expect((await call('GET', `/api/updates/history?host=${host}`)).json()).toMatchObject({ runs: [{ runId: 'run-1', outcome: null }], nextBefore: null });
  });

  test('apply while another run holds the host: 409 with the run and where to watch it', async () => {
    await ready();
    await apply();
    const answer = await apply();
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'run_in_progress', holdingRunId: 'run-1', links: { run: '/api/runs/run-1', events: '/api/runs/run-1/events' }, retryable: false });
  });

  test.each<{ name: string; changes: object; status: number; code: string; hint: RegExp }>([
    { name: 'unknown host', changes: { host: 'h9' }, status: 404, code: 'unknown_host', hint: /h1/ },
    { name: 'unknown product', changes: { product: 'labb' }, status: 404, code: 'unknown_product', hint: /Known products: lab\./ },
    { name: 'unknown release', changes: { releaseId: 'r9' }, status: 404, code: 'unknown_release', hint: /newest first: r2, r1\./ },
    { name: 'release without an artifact for the role', changes: { role: 'controller' }, status: 404, code: 'unknown_release', hint: /fairlead release publish/ },
    { name: 'misspelt member', changes: { allowFaild: true }, status: 400, code: 'invalid_request', hint: /openapi/ },
    { name: 'a release id that is a path', changes: { releaseId: '../r2' }, status: 400, code: 'invalid_request', hint: /openapi/ },
  ])('apply with $name: $status $code, nothing is started', async ({ changes, status, code, hint }) => {
    await ready();
    const answer = await apply({}, changes);
    expect(answer.json()).toMatchObject({ status, code, hint: expect.stringMatching(hint) });
    expect(answer.statusCode).toBe(status);
    expect(api.runs.started).toEqual([]);
  });

  test('apply while Temporal is away: 503 with Retry-After; the same key works once it is back', async () => {
    await ready();
    api.runs.away = true;
    const away = await apply({ 'idempotency-key': 'k' });
    expect(away.statusCode).toBe(503);
    expect(away.headers['retry-after']).toBe('5');
    expect(away.json()).toMatchObject({ code: 'orchestrator_unavailable', retryable: true });
    api.runs.away = false;
    expect((await apply({ 'idempotency-key': 'k' })).statusCode).toBe(202);
  });

  /** Guarantee 8. */
  test('rollback: goes to the good release before; without one, or to a condemned one: 409', async () => {
    await ready();
    expect((await call('POST', '/api/updates/rollback', { host, product })).json()).toMatchObject({ status: 409, code: 'nothing_to_roll_back_to' });
    const inspection = sampleInspection('r2');
    await hello({ products: [{ ...inspection, state: { ...inspection.state, previousGoodReleaseId: 'r1', failedReleaseIds: ['r1'] } }] });
    expect((await call('POST', '/api/updates/rollback', { host, product })).json()).toMatchObject({ status: 409, code: 'release_condemned' });
    await hello({ products: [{ ...inspection, state: { ...inspection.state, previousGoodReleaseId: 'r1' } }] });
    expect((await call('POST', '/api/updates/rollback', { host, product })).json()).toMatchObject({ runId: 'run-1', releaseId: 'r1' });
    expect(await deeds()).toMatchObject([{ event: 'run.rollback_requested' }]);
  });
});

describe('Idempotency-Key', () => {
  test('the same request again: the same answer, one run, said in a header', async () => {
    await ready();
    const first = await apply({ 'idempotency-key': 'deploy-1' });
    const second = await apply({ 'idempotency-key': 'deploy-1' });
    expect([second.statusCode, second.json()]).toEqual([202, first.json()]);
    expect(second.headers['idempotent-replayed']).toBe('true');
    expect(api.runs.started).toHaveLength(1);
  });

  test('sent five times at once: one run; whoever came second is told to wait or gets the same run', async () => {
    await ready();
    const answers = await Promise.all(Array.from({ length: 5 }, () => apply({ 'idempotency-key': 'deploy-1' })));
    expect(api.runs.started).toHaveLength(1);
    for (const answer of answers) expect(answer.statusCode === 202 ? answer.json().runId : answer.json().code).toBe(answer.statusCode === 202 ? 'run-1' : 'request_under_way');
  });

  test('another body or another route under the key: 422, nothing is started', async () => {
    await ready();
    await apply({ 'idempotency-key': 'k' });
    const other = await apply({ 'idempotency-key': 'k' }, { releaseId: 'r1' });
    expect(other.json()).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    expect((await call('POST', '/api/runs/run-1/cancel', { reason: 'x' }, { 'idempotency-key': 'k' })).statusCode).toBe(422);
    expect(api.runs.started).toHaveLength(1);
  });

  test('a refusal is not kept: the same request works once its cause is mended', async () => {
    await hello();
    await publish('r1');
    expect((await apply({ 'idempotency-key': 'k' })).statusCode).toBe(404);
    await publish('r2');
    expect((await apply({ 'idempotency-key': 'k' })).statusCode).toBe(202);
  });

  test('a key made twice with one Idempotency-Key is one key, and its text is shown once and kept nowhere', async () => {
    const make = () => call('POST', '/api/keys', { name: 'new', role: 'agent' }, { 'idempotency-key': 'k' });
    const first = await make();
    expect(first.statusCode).toBe(201);
    expect(first.headers['cache-control']).toBe('no-store');
    const { text } = first.json() as { text: string };
    expect(await api.stores.keys.identify(text)).toMatchObject({ name: 'new', role: 'agent' });
    expect((await make()).json()).toEqual({ ...first.json(), text: null });
    const kept = await api.database.query('reading', (db) => db.selectFrom('idempotency').selectAll().execute());
    expect(JSON.stringify(kept)).not.toContain(text.slice(9));
  });
});

describe('keys', () => {
  test('revoked: refused from then on; its own key: 409; an unknown one: 404', async () => {
    const made = (await call('POST', '/api/keys', { name: 'second', role: 'admin' })).json() as { id: string; text: string };
    const mine = (await call('GET', '/api/keys')).json().keys.find((key: { name: string }) => key.name === 'ci');
    expect((await call('DELETE', `/api/keys/${mine.id}`)).json()).toMatchObject({ status: 409, code: 'own_key' });
    expect((await call('DELETE', `/api/keys/${made.id}`)).json()).toEqual({ id: made.id, state: 'revoked' });
    expect((await call('GET', '/api/keys', undefined, { authorization: `Bearer ${made.text}` })).statusCode).toBe(401);
    expect((await call('DELETE', '/api/keys/nope')).json()).toMatchObject({ status: 404, code: 'unknown_key' });
    expect((await deeds()).map(({ event }) => event)).toEqual(['key.created', 'key.revoked']);
  });
});

describe('runs', () => {
  test('under way: what it does and hangs on; Temporal away: what PostgreSQL holds, and why there is no more', async () => {
    await ready();
    await apply();
    const progress = { phase: 'roll', step: 'restart api-a', stepsDone: 3, stepsPlanned: 9, direction: 'do' as const, waiting: null, steps: [] };
    const pending = [{ activity: 'downloadBundle', attempt: 4, lastError: 'connection refused', nextAttemptAt: '2026-11-21T09:00:00.000Z' }];
    api.runs.progressOf.set('run-1', progress);
    api.runs.pendingOf.set('run-1', pending);
    expect((await call('GET', '/api/runs/run-1')).json()).toMatchObject({ run: { runId: 'run-1', endedAt: null }, report: null, progress, pending, liveError: null });
    api.runs.away = true;
    expect((await call('GET', '/api/runs/run-1')).json()).toMatchObject({ run: { runId: 'run-1' }, progress: null, pending: [], liveError: expect.stringContaining('Temporal at') });
    expect((await call('GET', `/api/updates/status?host=${host}&product=${product}`)).json()).toMatchObject({ run: { runId: 'run-1' }, progress: null });
  });

  test('ended: its report, without asking Temporal', async () => {
    await api.stores.runs.close(sampleReport('run-7'));
    api.runs.away = true;
    expect((await call('GET', '/api/runs/run-7')).json()).toMatchObject({ report: sampleReport('run-7'), progress: null, liveError: null });
  });

  test('cancelled: asked of the run and noted with the reason; of an ended one: said so, nothing is asked', async () => {
    await ready();
    await apply();
    const cancelled = await call('POST', '/api/runs/run-1/cancel', { reason: 'wrong release' });
    expect([cancelled.statusCode, cancelled.json().state]).toEqual([202, 'requested']);
    expect(api.runs.cancelled).toEqual([{ runId: 'run-1', reason: 'ci (admin): wrong release' }]);
    expect((await deeds('?runId=run-1')).map(({ event }) => event)).toEqual(['run.requested', 'run.cancel_requested']);
    await api.stores.runs.close(sampleReport('run-1'));
    const late = await call('POST', '/api/runs/run-1/cancel', { reason: 'again' });
    expect([late.statusCode, late.json().state]).toEqual([200, 'already_ended']);
    expect(api.runs.cancelled).toHaveLength(1);
  });

  test('listed page by page without losing or repeating one', async () => {
    for (let number = 1; number <= 5; number += 1) await api.stores.runs.close(sampleReport(`run-${number}`));
    const seen: string[] = [];
    for (let before: string | null = ''; before !== null; ) {
      const page = (await call('GET', `/api/runs?limit=2${before === '' ? '' : `&before=${before}`}`)).json() as { runs: { runId: string }[]; nextBefore: string | null };
      seen.push(...page.runs.map((run) => run.runId));
      before = page.nextBefore;
    }
    expect(seen).toEqual(['run-5', 'run-4', 'run-3', 'run-2', 'run-1']);
  });

  test('an unknown run: 404 that names the latest', async () => {
    await api.stores.runs.close(sampleReport('run-1'));
    expect((await call('GET', '/api/runs/nope')).json()).toMatchObject({ code: 'unknown_run', hint: 'Latest runs: run-1.' });
    expect((await call('GET', '/api/runs/nope/events')).json()).toMatchObject({ code: 'unknown_run' });
  });
});

describe('event streams', () => {
  const event = (sequence: number, kind: RunEvent['kind'] = 'step_ended'): RunEvent => ({ runId: 'run-1' as RunId, sequence, at: '2026-11-21T09:00:00.000Z', kind, step: null, message: `line\n${sequence}`, data: {} });
  let origin: string;

  beforeEach(async () => {
    await ready();
    await apply();
    origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
  });

  const connect = (headers: Record<string, string> = {}) => fetch(`${origin}/api/runs/run-1/events`, { headers: { authorization: `Bearer ${api.adminKey}`, ...headers } });
  const idsOf = (text: string): number[] => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));

  test('told while watched: each event once and in order, and the stream ends after run_ended', async () => {
    await api.stores.runs.appendEvents([event(1, 'run_started')]);
    const answer = await connect();
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('id: 1')) text += (await reader.read()).value ?? '';
    await api.stores.runs.appendEvents([event(2), event(3, 'run_ended')]);
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    expect(idsOf(text)).toEqual([1, 2, 3]);
    expect(text).toContain(`event: run_ended\ndata: ${JSON.stringify(event(3, 'run_ended'))}\n\n`);
  });

  test('resumed with Last-Event-ID: only what came after; after the end: ends at once', async () => {
    await api.stores.runs.appendEvents([event(1), event(2), event(3, 'run_ended')]);
    expect(idsOf(await (await connect({ 'last-event-id': '1' })).text())).toEqual([2, 3]);
    expect(idsOf(await (await connect({ 'last-event-id': '3' })).text())).toEqual([]);
  });

  test('more events than one batch: all of them', async () => {
    await api.stores.runs.appendEvents(Array.from({ length: 450 }, (_, index) => event(index + 1, index === 449 ? 'run_ended' : 'step_ended')));
    expect(idsOf(await (await connect()).text())).toEqual(Array.from({ length: 450 }, (_, index) => index + 1));
  });

  test('the API closes: the stream ends, a request under way is answered, a new one is not taken', async () => {
    await api.stores.runs.appendEvents([event(1)]);
    const stream = await connect();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let arrived = (): void => undefined;
    const begun = new Promise<void>((resolve) => (arrived = resolve));
    const list = api.stores.hosts.list;
    Object.assign(api.stores.hosts, { list: async () => (arrived(), await held, list()) });
    const slow = fetch(`${origin}/api/hosts`, { headers: { authorization: `Bearer ${api.adminKey}` } });
    await begun;
    const closed = api.app.close();
    expect(idsOf(await stream.text())).toEqual([1]);
    release();
    expect((await slow).status).toBe(200);
    await closed;
    await expect(fetch(`${origin}/health/live`)).rejects.toThrow();
  });

  test('the watcher leaves: the stream is let go of', async () => {
    const leaving = new AbortController();
    await fetch(`${origin}/api/runs/run-1/events`, { headers: { authorization: `Bearer ${api.adminKey}` }, signal: leaving.signal });
    const openStreams = async (): Promise<number> => (await call('GET', '/health/detailed')).json().openStreams;
    expect(await openStreams()).toBe(1);
    leaving.abort();
    await until('the stream is gone', async () => (await openStreams()) === 0);
  });
});

describe('releases and artifacts', () => {
  const bundle = (releaseId: string): Buffer => Buffer.from(JSON.stringify({ releaseId, padding: 'x'.repeat(2000) }));
  const upload = (body: Buffer, headers: Record<string, string> = {}) => call('POST', '/api/releases', body, { 'content-type': 'application/octet-stream', ...headers });
  const leftovers = (): Promise<string[]> => readdir(`${api.directory}/uploads`).catch(() => []);

  test('published: listed, shown with its manifest, downloadable by agents, in the audit once', async () => {
    const body = bundle('r5');
    const signature = { keyId: '0123456789abcdef', value: 'c2ln' };
    const first = await upload(body, { 'x-fairlead-signature': JSON.stringify(signature) });
    expect(first.statusCode).toBe(201);
    expect(first.json()).toMatchObject({ state: 'published', artifact: { releaseId: 'r5', sha256: digestOf(body), signature } });
    expect((await upload(body)).json()).toMatchObject({ state: 'already_published' });
    expect((await call('GET', '/api/releases?product=lab')).json()).toMatchObject({ releases: [{ releaseId: 'r5', publishedBy: 'ci (admin)' }], nextBefore: null });
    expect((await call('GET', first.json().links.self)).json()).toMatchObject({ artifacts: [{ manifest: { product: 'lab', releaseId: 'r5' } }] });
    const download = await call('GET', first.json().links.artifact, undefined, { authorization: `Bearer ${api.agentKey}` });
    expect(download.rawPayload).toEqual(body);
    expect((await deeds()).map(({ event }) => event)).toEqual(['release.published']);
    expect(await leftovers()).toEqual([]);
  });

  test.each<{ name: string; body: () => Buffer; headers?: Record<string, string>; status: number; code: string }>([
    { name: 'no bundle at all', body: () => Buffer.from('hello'), status: 400, code: 'bundle_invalid' },
    { name: 'nothing', body: () => Buffer.alloc(0), status: 400, code: 'no_bundle' },
    { name: 'more than the limit', body: () => Buffer.alloc(4 * 2 ** 20 + 1, 'x'), status: 413, code: 'artifact_too_large' },
    { name: 'a signature that is no JSON', body: () => bundle('r5'), headers: { 'x-fairlead-signature': '{' }, status: 400, code: 'invalid_signature_header' },
    { name: 'JSON instead of bytes', body: () => bundle('r5'), headers: { 'content-type': 'application/json' }, status: 400, code: 'no_bundle' },
    { name: 'a type that nobody knows', body: () => bundle('r5'), headers: { 'content-type': 'text/csv' }, status: 415, code: 'unsupported_media_type' },
  ])('publishing $name: $status $code, nothing is kept', async ({ body, headers, status, code }) => {
    const answer = await upload(body(), headers);
    expect(answer.json()).toMatchObject({ status, code });
    expect((await call('GET', '/api/releases')).json().releases).toEqual([]);
    expect(await leftovers()).toEqual([]);
  });

  test('another bundle under a published release id: 409, the first stays', async () => {
    await upload(bundle('r5'));
    const other = Buffer.concat([bundle('r5'), Buffer.from('\n')]);
    expect((await upload(other)).json()).toMatchObject({ status: 409, code: 'release_exists' });
    expect((await call('GET', '/api/releases')).json().releases).toHaveLength(1);
  });

  test('an unknown release and an unknown artifact: 404 with what there is', async () => {
    await upload(bundle('r5'));
    expect((await call('GET', '/api/releases/lab/r9')).json()).toMatchObject({ status: 404, code: 'unknown_release', hint: expect.stringContaining('r5') });
    expect((await call('GET', `/api/artifacts/${digestOf('x')}`)).json()).toMatchObject({ status: 404, code: 'unknown_artifact' });
  });

  test('ranges: the part that was asked for, whole where the copy is another one, 416 beyond the end', async () => {
    const body = bundle('r5');
    const path = (await upload(body)).json().links.artifact as string;
    const etag = `"${digestOf(body)}"`;
    const get = (headers: Record<string, string>, method: 'GET' | 'HEAD' = 'GET') => call(method, path, undefined, headers);

    const part = await get({ range: 'bytes=10-19', 'if-range': etag });
    expect([part.statusCode, part.headers['content-range'], part.headers['content-length'], part.headers.etag]).toEqual([206, `bytes 10-19/${body.length}`, '10', etag]);
    expect(part.rawPayload).toEqual(body.subarray(10, 20));
    expect((await get({ range: 'bytes=2000-' })).rawPayload).toEqual(body.subarray(2000));

    const stale = await get({ range: 'bytes=10-19', 'if-range': '"another"' });
    expect([stale.statusCode, stale.rawPayload.length, stale.headers['accept-ranges']]).toEqual([200, body.length, 'bytes']);

    const beyond = await get({ range: `bytes=${body.length}-` });
    expect([beyond.statusCode, beyond.headers['content-range'], beyond.json().code]).toEqual([416, `bytes */${body.length}`, 'range_not_satisfiable']);
    expect(beyond.headers['content-type']).toContain('application/problem+json');
    expect(beyond.headers['cache-control']).toBe('no-store');

    const head = await get({ range: 'bytes=10-19' }, 'HEAD');
    expect([head.statusCode, head.headers['content-length'], head.rawPayload.length]).toEqual([200, String(body.length), 0]);
    expect((await get({ 'if-none-match': etag })).statusCode).toBe(304);
  });

  test('an upload whose sender vanishes leaves nothing behind', async () => {
    const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
    const sender = request(`${origin}/api/releases`, { method: 'POST', agent: false, headers: { authorization: `Bearer ${api.adminKey}`, 'content-type': 'application/octet-stream' } });
    const cut = once(sender, 'error');
    sender.write(Buffer.alloc(64 * 1024));
    await until('the upload has begun', async () => (await leftovers()).length > 0);
    sender.destroy(new Error('cut'));
    await cut;
    await until('the upload is gone', async () => (await leftovers()).length === 0);
    expect((await call('GET', '/api/releases')).json().releases).toEqual([]);
  });
});

describe('audit, health and metrics', () => {
  test('the audit is read on from where one stopped, and verifies', async () => {
    await ready();
    await apply();
    const first = (await call('GET', '/api/audit?limit=1&afterSequence=0')).json();
    expect(first).toMatchObject({ rows: [{ sequence: 1 }], nextAfterSequence: 1 });
    const { sequence } = await api.stores.audit.head();
    expect((await call('GET', `/api/audit?afterSequence=${sequence}`)).json()).toEqual({ rows: [], nextAfterSequence: null });
    expect((await call('POST', '/api/audit/verify')).json()).toMatchObject({ ok: true, firstBroken: null, problems: [] });
  });

  test('everything answers: ready, and the details say where', async () => {
    expect((await api.app.inject('/health')).json()).toEqual({ status: 'ok', version: '0.1.0', releaseId: 'f1' });
    expect((await api.app.inject('/health/ready')).json()).toEqual({ ready: true, releaseId: 'f1', dependencies: [{ name: 'postgres', healthy: true }, { name: 'temporal', healthy: true }] });
    const detailed = (await call('GET', '/health/detailed')).json();
    expect(detailed).toMatchObject({ status: 'ok', controlWorkers: 1, dependencies: [{ name: 'postgres', detail: expect.stringMatching(/^postgres:\/\/postgres@127/) }, { detail: '127.0.0.1:7233: serving' }] });
  });

  test('Temporal away: alive, degraded, not ready (503); nothing about addresses is public', async () => {
    api.runs.away = true;
    expect((await api.app.inject('/health/live')).statusCode).toBe(200);
    expect((await api.app.inject('/health')).json()).toMatchObject({ status: 'degraded' });
    const answer = await api.app.inject('/health/ready');
    expect([answer.statusCode, answer.json().ready]).toEqual([503, false]);
    expect(answer.body).not.toContain('127.0.0.1');
  });

  test('PostgreSQL away: alive, not ready; requests get 503 with the address and no password', async () => {
    const password = /:([0-9a-f]{24})@/;
    await postgres.stop();
    try {
      expect((await api.app.inject('/health/live')).statusCode).toBe(200);
      expect((await api.app.inject('/health/ready')).statusCode).toBe(503);
      const answer = await call('GET', '/api/runs');
      expect(answer.statusCode).toBe(503);
      expect(answer.json()).toMatchObject({ code: 'database_unavailable', class: 'dependency', retryable: true, detail: expect.stringContaining('127.0.0.1') });
      expect(answer.body).not.toMatch(password);
      expect(api.log.join('')).not.toMatch(password);
    } finally {
      await postgres.restart();
    }
    await until('the pool is back', async () => (await call('GET', '/api/runs')).statusCode === 200);
  });

  test('metrics: runs by outcome, hosts by status, requests by route and never by path', async () => {
    await ready();
    await apply();
    await api.stores.runs.close(sampleReport('run-0', { outcome: 'stranded', host: 'h2' as HostId, toReleaseId: 'r"1\\' as ReleaseId }));
    await call('GET', '/api/runs/run-1');
    await call('GET', '/api/nothing/here');
    const answer = await call('GET', '/metrics');
    expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
    for (const line of [
      'fairlead_build_info{version="0.1.0",release="f1"} 1',
      'fairlead_runs{outcome="running"} 1',
      'fairlead_runs{outcome="stranded"} 1',
      'fairlead_hosts{status="connected"} 1',
      'fairlead_dependency_up{name="postgres"} 1',
      'fairlead_http_requests_total{method="GET",route="/api/runs/:id",status="200"} 1',
      'fairlead_http_requests_total{method="GET",route="unknown",status="404"} 1',
      'fairlead_http_request_duration_seconds_count{method="POST",route="/api/updates/apply"} 1',
    ]) {
      expect(answer.body.split('\n')).toContain(line);
    }
    expect(answer.body).not.toContain('run-1');
    for (const line of answer.body.trim().split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) .+|[a-z_]+(\{[^{}]*\})? -?[0-9.e+]+)$/);
  });

  test('what nobody serves: 404 as a problem; broken JSON: 400; too much JSON: 413', async () => {
    expect((await call('GET', '/api/nope?secret=1')).json()).toMatchObject({ status: 404, code: 'unknown_route', detail: 'There is no GET /api/nope.' });
    expect((await call('POST', '/api/updates/check', '{', { 'content-type': 'application/json' })).json()).toMatchObject({ status: 400, code: 'invalid_request' });
    expect((await call('POST', '/api/updates/check', { host: 'x'.repeat(2 ** 20) })).json()).toMatchObject({ status: 413, code: 'body_too_large' });
  });

  test('a mistake of ours: 500 without its words, which stand in the log under the request', async () => {
    Object.assign(api.stores.hosts, { list: () => Promise.reject(new Error('the secret sauce')) });
    const answer = await call('GET', '/api/hosts');
    expect(answer.json()).toMatchObject({ status: 500, code: 'internal_error', class: 'orchestrator' });
    expect(answer.body).not.toContain('sauce');
    const requestId = String(answer.headers['x-request-id']);
    expect(api.log.some((line) => line.includes('the secret sauce') && line.includes(requestId))).toBe(true);
  });
});
