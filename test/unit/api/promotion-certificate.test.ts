import type { HostId } from '../../../src/domain/ids.ts';
import type { PromotionRequest } from '../../../src/domain/promotion/request.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
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
