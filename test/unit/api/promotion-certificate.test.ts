import type { UpdatePlanAnswer } from '../../../src/contract/index.ts';
import type { HostId, ReleaseId } from '../../../src/domain/ids.ts';
import type { PromotionRequest } from '../../../src/domain/promotion/request.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { sampleManifest as declared } from '../../support/host-samples.ts';
import { product, sampleArtifact, sampleInspection } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
const host = 'h1' as HostId;
const certificate = { names: ['App.Example.ORG'], issuer: { kind: 'acme', directoryUrl: 'https://ca.example.org/directory' } };
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.end());
beforeEach(async () => {
  api = await startApi(postgres);
  await api.stores.hosts.hello({ host, role: 'node', agentVersion: '0.1.0', bootId: 'boot', products: [sampleInspection('r1')] });
  await api.stores.releases.publish(sampleArtifact('r1'), 'ci');
});
afterEach(() => api?.end());

async function promote(more: object, key = api.adminKey) {
  const answer = await api.app.inject({ method: 'POST', url: '/api/promotions', headers: { authorization: `Bearer ${key}` }, payload: { host, product, ...more } });
  return { status: answer.statusCode, body: answer.json<{ code?: string }>() };
}

test('with a certificate, the run is told what is wanted as a certificate alone would be', async () => {
  expect((await promote({ certificate })).status).toBe(202);
  const asked = api.runs.started[0] as PromotionRequest | undefined;
  expect(asked?.certificate).toEqual({ originPort: 80, wish: { names: ['app.example.org'], keyType: 'ecdsa-p256', challenge: { kind: 'http-01' }, issuer: expect.objectContaining({ kind: 'acme', name: 'ca.example.org' }) } });
});

test('without one, nothing is said of any', async () => {
  await promote({});
  expect(api.runs.started[0]).not.toHaveProperty('certificate');
});

test('refused with nothing begun: an operator, because an issuer names files and commands of the host, and names that no CA takes', async () => {
  const { text } = await api.stores.keys.create('operator', 'operator');
  expect((await promote({ certificate }, text)).body.code).toBe('not_allowed');
  expect((await promote({ certificate: { ...certificate, names: ['localhost'] } })).body.code).toBe('certificate_name_invalid');
  expect(api.runs.started).toEqual([]);
  expect((await promote({}, text)).status).toBe(202);
});

describe('planned', () => {
  const plan = async (more: object, key = api.adminKey) => {
    const answer = await api.app.inject({ method: 'POST', url: '/api/promotions/plan', headers: { authorization: `Bearer ${key}` }, payload: { host, product, ...more } });
    return { status: answer.statusCode, body: answer.json<UpdatePlanAnswer & { code?: string }>() };
  };
  const stepsOf = ({ plan: planned }: UpdatePlanAnswer) => planned?.steps.map(({ name }) => name).filter((name) => name.includes('certificate'));
  /** r2, which declares TLS, runs in its setup phase. */
  async function inSetup(): Promise<void> {
    const releaseId = 'r2' as ReleaseId;
    const { state, ...inspection } = sampleInspection('r2');
    await api.stores.hosts.hello({ host, role: 'node', agentVersion: '0.1.0', bootId: 'boot', products: [{ ...inspection, state: state && { ...state, phase: 'setup' } }] });
    await api.stores.releases.publish(sampleArtifact('r2', { manifest: { ...declared({ releaseId }), product, certificates: { names: ['shop.example.org'], ports: [443], redirect: true, hsts: null } } }), 'ci');
  }

  test('with a certificate, the plan has its steps, what getting it consists of, and what was left out filled in; nothing is started', async () => {
    await inSetup();
    const { names: _, ...unnamed } = certificate;
    const { status, body } = await plan({ certificate: unnamed });
    expect([status, body.decision, stepsOf(body)]).toEqual([200, 'apply', ['obtain-certificate', 'serve-certificate', 'commit-certificate', 'keep-certificate']]);
    expect(body.certificate).toEqual({ names: ['shop.example.org'], issuer: 'ca.example.org', challenge: 'http-01', obtaining: ['check-origin', 'order', 'present-challenges', 'answer-challenges', 'await-validation', 'remove-challenges', 'finalize', 'await-certificate', 'download'] });
    expect((await plan({ certificate: { ...certificate, originPort: null } })).body.certificate).toMatchObject({ names: ['app.example.org'], obtaining: expect.not.arrayContaining(['check-origin']) });
    expect(api.runs.started).toEqual([]);
  });

  test('without one, nothing is said of any', async () => {
    await inSetup();
    const { body } = await plan({});
    expect([body.decision, stepsOf(body), 'certificate' in body]).toEqual(['apply', [], false]);
  });

  test('names that no CA takes, and a manifest without TLS, are told as the promotion itself would be', async () => {
    await inSetup();
    expect((await plan({ certificate: { ...certificate, names: ['localhost'] } })).body.code).toBe('certificate_name_invalid');
    await api.stores.releases.publish(sampleArtifact('r3', { manifest: { ...declared({ releaseId: 'r3' as ReleaseId }), product } }), 'ci');
    const { state, ...inspection } = sampleInspection('r3');
    await api.stores.hosts.hello({ host, role: 'node', agentVersion: '0.1.0', bootId: 'boot', products: [{ ...inspection, state: state && { ...state, phase: 'setup' } }] });
    expect((await plan({ certificate })).body).toMatchObject({ decision: 'refuse', reason: { code: 'certificates_undeclared' } });
  });
});
