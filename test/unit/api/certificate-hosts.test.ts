import { createCertificateDistributionActivities } from '../../../activities/control/certificate-distributions.ts';
import { receivedWish } from '../../../src/domain/certificate/distribution.ts';
import type { HostId } from '../../../src/domain/ids.ts';
import type { CertificateList } from '../../../src/contract/index.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { sampleCertificateRequest, samplePair } from '../../support/certificate-run-samples.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { product, sampleArtifact, sampleInspection } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
const [h1, h2, h3] = ['h1', 'h2', 'h3'] as [HostId, HostId, HostId];
const keys = { h1: 'a'.repeat(43), h2: 'b'.repeat(43), h3: 'c'.repeat(43) };
const { wish } = sampleCertificateRequest();
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.end());
beforeEach(async () => {
  api = await startApi(postgres);
  for (const host of [h1, h2, h3]) await hello(host, keys[host as keyof typeof keys]);
  await api.stores.releases.publish(sampleArtifact('r1'), 'ci');
});
afterEach(() => api?.end());

const hello = (host: HostId, sealingKey: string | null, releaseId: string | null = 'r1') =>
  api.stores.hosts.hello({ host, role: 'node', agentVersion: '0.1.0', bootId: 'boot', products: [{ ...sampleInspection(releaseId ?? 'r1'), ...(releaseId === null ? { state: null } : {}), ...(sealingKey === null ? {} : { sealingKey }) }] });
async function call<Body = { code?: string; detail?: string }>(method: 'GET' | 'POST', url: string, payload?: object, key = api.adminKey): Promise<{ status: number; body: Body }> {
  const answer = await api.app.inject({ method, url, headers: { authorization: `Bearer ${key}` }, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, body: answer.json() };
}
const issue = (more: object = {}) => call('POST', '/api/certificates/issue', { host: h1, product, names: ['app.example.org'], issuer: { kind: 'acme', directoryUrl: 'https://ca.example.org/directory' }, ...more });

test('further hosts are wanted once each and without the first one; left out they stay as they were, and an empty list takes them away', async () => {
  expect((await issue({ alsoOn: [h2, h3, h2, h1] })).status).toBe(202);
  expect(api.runs.certificates.at(-1)?.wish.alsoOn).toEqual([h2, h3]);
  await api.stores.certificates.propose(h1, product, { ...wish, alsoOn: [h2] });
  api.runs.open.clear();
  await issue();
  expect(api.runs.certificates.at(-1)?.wish.alsoOn).toEqual([h2]);
  api.runs.open.clear();
  await issue({ alsoOn: [] });
  expect(api.runs.certificates.at(-1)?.wish.alsoOn).toEqual([]);
});

test('refused with nothing begun: a host that nobody knows, one without the product, and one whose agent has no key to seal for', async () => {
  expect((await issue({ alsoOn: ['h9'] })).status).toBe(404);
  await hello(h2, keys.h2, null);
  expect((await issue({ alsoOn: [h2] })).body.code).toBe('nothing_installed');
  await hello(h2, null);
  expect((await issue({ alsoOn: [h2] })).body.code).toBe('sealing_key_unknown');
  expect(api.runs.certificates).toEqual([]);
});

test('a host whose certificate another one orders is not renewed by itself, and the list says who orders it', async () => {
  await api.stores.certificates.propose(h1, product, { ...wish, alsoOn: [h2] });
  await api.stores.certificates.propose(h2, product, receivedWish({ ...wish, alsoOn: [h2] }, h1));
  const { body } = await call('POST', '/api/certificates/renew', { host: h2, product });
  expect([body.code, body.detail]).toEqual(['certificate_ordered_elsewhere', expect.stringContaining('h1')]);
  const list = await call<CertificateList>('GET', '/api/certificates');
  expect(list.body.certificates.map(({ host, alsoOn, orderedBy }) => [host, alsoOn, orderedBy])).toEqual([[h1, [h2], null], [h2, [], h1]]);
});

test('a key with a scope renews only where every host that gets the certificate is within it', async () => {
  await api.stores.certificates.propose(h1, product, { ...wish, alsoOn: [h2] });
  const narrow = await api.stores.keys.create('narrow', 'operator', { scope: { products: [product], hosts: ['host=h1'] } });
  const wide = await api.stores.keys.create('wide', 'operator', { scope: { products: [product], hosts: ['host=h1', 'host=h2'] } });
  expect((await call('POST', '/api/certificates/renew', { host: h1, product }, narrow.text)).body.code).toBe('out_of_scope');
  expect(api.runs.certificates).toEqual([]);
  expect((await call('POST', '/api/certificates/renew', { host: h1, product }, wide.text)).status).toBe(202);
});

test('a distribution finds each host with its key, its release and what it has; a host that has its own certificate keeps that as what is wanted until the new one is served', async () => {
  const { certificates } = api.stores;
  await certificates.propose(h2, product, wish);
  await certificates.noteLook(h2, product, { facts: samplePair, plan: null, lookedAt: new Date().toISOString() });
  const { readDistribution } = createCertificateDistributionActivities({ ...api.stores, now: () => new Date() });
  const request = { action: 'issue' as const, host: h1, product, wish: { ...wish, alsoOn: [h2, h3, 'h9' as HostId] }, requestedBy: 'ci', requestId: 'q1' };
  const expected = [
    { host: h2, sealingKey: keys.h2, releaseId: 'r1', fingerprint: samplePair.fingerprintSha256, orderedBy: null, failures: 0 },
    { host: h3, sealingKey: keys.h3, releaseId: 'r1', fingerprint: null, orderedBy: h1, failures: 0 },
    { host: 'h9', sealingKey: null, releaseId: null, fingerprint: null, orderedBy: h1, failures: 0 },
  ];
  expect([(await readDistribution(request)).members, (await readDistribution(request)).members]).toEqual([expected, expected]);
  expect((await certificates.find(h2, product))?.wish).toEqual(wish);
});

test('the audit has a host’s first sealing key and every other one after it, once each', async () => {
  const { text } = await api.stores.keys.create('agent', 'agent');
  const tell = (sealingKey: string, bootId = 'b1') => call('POST', '/api/hosts/h4/hello', { role: 'node', agentVersion: '0.1.0', bootId, products: [{ ...sampleInspection('r1'), sealingKey }] }, text);
  for (const key of ['d', 'd', 'e', 'e']) expect((await tell(key.repeat(43))).status).toBe(200);
  const rows = (await api.stores.audit.list({ limit: 50, subject: 'host/h4' })).filter(({ event }) => event.startsWith('host.sealing_key'));
  expect(rows.map(({ event, detail }) => [event, detail['was'], detail['now']]).sort()).toEqual([['host.sealing_key_changed', 'd'.repeat(43), 'e'.repeat(43)], ['host.sealing_key_told', null, 'd'.repeat(43)]]);
});
