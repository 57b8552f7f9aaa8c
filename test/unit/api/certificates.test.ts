import type { CertificateList, CertificateRunAccepted } from '../../../src/contract/index.ts';
import { createCertificateRunActivities } from '../../../activities/control/certificate-runs.ts';
import type { HostId } from '../../../src/domain/ids.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { sampleCertificateRequest, samplePair } from '../../support/certificate-run-samples.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { product, sampleArtifact, sampleInspection } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
const host = 'h1' as HostId;
const { wish } = sampleCertificateRequest();
const day = 86_400_000;
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

async function call<Body = { code?: string; detail?: string }>(method: 'GET' | 'POST', url: string, payload?: object): Promise<{ status: number; body: Body }> {
  const answer = await api.app.inject({ method, url, headers: { authorization: `Bearer ${api.adminKey}` }, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, body: answer.json() };
}
const acme = { kind: 'acme', directoryUrl: 'https://ca.example.org/directory' };
const issue = (more: object = {}) => call<CertificateRunAccepted & { code?: string; detail?: string }>('POST', '/api/certificates/issue', { host, product, names: ['App.Example.ORG'], issuer: acme, ...more });

test('issued: the run, its row and the audit row are there, with names as a CA takes them and an issuer named after its host', async () => {
  const { status, body } = await issue();
  expect(status).toBe(202);
  expect(api.runs.certificates).toMatchObject([{ action: 'issue', host, product, releaseId: 'r1', originPort: 80, force: false, wish: { names: ['app.example.org'], issuer: { kind: 'acme', name: 'ca.example.org', scope: 'public' }, challenge: { kind: 'http-01' }, keyType: 'ecdsa-p256' } }]);
  expect((await api.stores.runs.find(body.runId))?.kind).toBe('cert-renewal');
  expect((await api.stores.audit.list({ limit: 20 })).map(({ event }) => event)).toContain('run.certificate_requested');
  expect((await issue({ names: ['other.example.org'] })).body.code).toBe('run_in_progress');
});

test.each([
  ['every name that no CA takes is named', { names: ['localhost', '10.0.0.1'] }, 'certificate_name_invalid', /localhost.*10\.0\.0\.1/],
  ['a star needs DNS', { names: ['*.example.org'] }, 'certificate_wildcard_needs_dns', /wildcard/],
  ['no name at all', { names: [] }, 'certificate_name_missing', /at least one name/],
  ['nobody said where from', { issuer: undefined }, 'issuer_missing', /come from/],
])('refused: %s', async (_what, more, code, detail) => {
  const { body } = await issue(more);
  expect([body.code, body.detail]).toEqual([code, expect.stringMatching(detail)]);
  expect(api.runs.certificates).toEqual([]);
});

test('a renewal goes by what was got before, and joins a run that is under way; one of an unknown certificate is refused', async () => {
  const renew = () => call<CertificateRunAccepted & { code?: string }>('POST', '/api/certificates/renew', { host, product });
  expect((await renew()).body.code).toBe('certificate_missing');
  await api.stores.certificates.propose(host, product, wish);
  const [first, second] = [await renew(), await renew()];
  expect([first.body.joined, second.body.joined, second.body.runId === first.body.runId]).toEqual([false, true, true]);
  expect(api.runs.certificates[0]).toMatchObject({ action: 'renew', wish });
});

test('what was got stays what is renewed until something else has succeeded', async () => {
  const { certificates } = api.stores;
  const other = { ...wish, names: ['other.example.org'] };
  await certificates.propose(host, product, other);
  await certificates.propose(host, product, wish);
  await certificates.noteLook(host, product, { facts: samplePair, plan: null, lookedAt: new Date().toISOString() });
  await certificates.propose(host, product, other);
  expect((await certificates.find(host, product))?.wish).toEqual(wish);
  await certificates.noteTry(host, product, { lastTry: { at: new Date().toISOString(), succeeded: true, reason: null }, failures: 0, nextTryAt: null, wish: other });
  expect((await certificates.find(host, product))?.wish).toEqual(other);
});

test('a certificate whose end comes near is told in the audit once for each threshold, and in the list and the metrics', async () => {
  const { certificates } = api.stores;
  const end = Date.parse(samplePair.notAfter);
  await certificates.propose(host, product, wish);
  await certificates.noteLook(host, product, { facts: samplePair, plan: null, lookedAt: new Date(end - 20 * day).toISOString() });
  let now = end - 20 * day;
  const { listCertificates } = createCertificateRunActivities({ ...api.stores, now: () => new Date(now) });
  for (const days of [20, 13.5, 13, 6.5, 2.5, 0.5, -0.5, -1]) {
    now = end - days * day;
    await listCertificates({});
  }
  const told = (await api.stores.audit.list({ limit: 100 })).filter(({ event }) => event.startsWith('certificate.')).map(({ event, detail }) => [event, detail['daysLeft']]);
  expect(told).toEqual([['certificate.expiring', 14], ['certificate.expiring', 7], ['certificate.expiring', 3], ['certificate.expiring', 1], ['certificate.expired', 0]].sort((a, b) => Number(b[1]) - Number(a[1])));
  const { body } = await call<CertificateList>('GET', '/api/certificates');
  expect(body.certificates).toMatchObject([{ host, product, issuerName: 'company', status: { certificate: 'app.example.org', serial: '0a', notAfter: samplePair.notAfter }, run: null }]);
  const metrics = (await api.app.inject({ method: 'GET', url: '/metrics', headers: { authorization: `Bearer ${api.adminKey}` } })).body;
  expect(metrics).toContain(`fairlead_certificate_not_after_seconds{host="h1",product="${product}",name="app.example.org"} ${end / 1000}`);
  // One whose next try lies ahead is not looked at.
  await certificates.noteTry(host, product, { lastTry: { at: new Date(now).toISOString(), succeeded: false, reason: null }, failures: 1, nextTryAt: new Date(now + day).toISOString() });
  expect((await listCertificates({})).certificates).toEqual([]);
});

test('one that was got, and not seen since because its host was lost just then, is looked at by the next sweep; one that never came about is not', async () => {
  const { certificates } = api.stores;
  const { listCertificates } = createCertificateRunActivities({ ...api.stores, now: () => new Date() });
  const tried = (succeeded: boolean) => certificates.noteTry(host, product, { lastTry: { at: new Date().toISOString(), succeeded, reason: null }, failures: succeeded ? 0 : 1, nextTryAt: null, wish });
  await certificates.propose(host, product, wish);
  await tried(false);
  expect((await listCertificates({})).certificates).toEqual([]);
  await tried(true);
  expect((await listCertificates({})).certificates).toMatchObject([{ host, product, facts: null }]);
});

test('a sweep reads them page by page, by host and product: each once, with and without those that are not looked at now', async () => {
  const { certificates } = api.stores;
  const places = ['h1', 'h10', 'h2'].flatMap((on) => ['a', 'b', 'c'].map((name) => ({ host: on as HostId, product: name as typeof product })));
  for (const place of [...places].reverse()) {
    await certificates.propose(place.host, place.product, wish);
    // One that never came about is left to whoever asked for it.
    if (place.product !== 'b') await certificates.noteLook(place.host, place.product, { facts: samplePair, plan: null, lookedAt: samplePair.notBefore });
  }
  const { listCertificates } = createCertificateRunActivities({ ...api.stores, now: () => new Date(samplePair.notBefore) });
  const pages: string[][] = [];
  for (let after: Awaited<ReturnType<typeof listCertificates>>['next'] | undefined = null; after !== undefined; ) {
    const page = await listCertificates({ after, limit: 4 });
    pages.push(page.certificates.map((row) => `${row.host}/${row.product}`));
    after = page.next ?? undefined;
  }
  expect(pages).toEqual([['h1/a', 'h1/c', 'h10/a'], ['h10/c', 'h2/a'], ['h2/c']]);
});
