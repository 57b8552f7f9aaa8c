import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createFilesystemArtifactStore } from '../../../src/adapters/artifact-store/filesystem.ts';
import type { Sha256 } from '../../../src/domain/ids.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { host, product, sampleArtifact, sampleInspection } from '../../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.end());
beforeEach(async () => {
  api = await startApi(postgres);
  await api.app.inject({ method: 'POST', url: `/api/hosts/${host}/hello`, headers: { authorization: `Bearer ${api.agentKey}` }, payload: { role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [sampleInspection('r1')] } });
});
afterEach(() => api?.end());

const call = (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object, headers: Record<string, string> = {}) => api.app.inject({ method, url, headers: { authorization: `Bearer ${api.adminKey}`, ...headers }, ...(payload ? { payload } : {}) });
async function publish(releaseId: string): Promise<Sha256> {
  const body = Buffer.from(`the bundle of ${releaseId}`);
  const sha256 = createHash('sha256').update(body).digest('hex') as Sha256;
  await createFilesystemArtifactStore(join(api.directory, 'artifacts')).put(sha256, body.length, Readable.from([body]));
  await api.stores.releases.publish(sampleArtifact(releaseId, { sha256, sizeBytes: body.length }), 'ci');
  return sha256;
}
const download = (releaseId: string, headers: Record<string, string> = {}) => call('POST', '/api/updates/download', { host, product, releaseId }, headers);
const status = async () => ((await call('GET', `/api/updates/status?host=${host}&product=${product}`)).json() as { download: object | null }).download;

test('a bundle is held and starts on its way: 202 with where to look; the status says how far it is; the host gets no manifest', async () => {
  const sha256 = await publish('r2');
  expect(await status()).toBeNull();
  const answer = await download('r2');
  expect([answer.statusCode, answer.json()]).toMatchObject([202, { releaseId: 'r2', sha256, verified: true, transfer: { workflowId: `prefetch/${host}/${product}`, joined: false, replaced: null, links: { status: `/api/updates/status?host=${host}&product=${product}`, temporalUi: expect.stringContaining('prefetch%2Fh1%2Flab') } } }]);
  expect(api.prefetcher.started).toMatchObject([{ host, product, requestedBy: 'ci (admin)', artifact: { releaseId: 'r2', sha256 } }]);
  expect(api.prefetcher.started[0]?.artifact).not.toHaveProperty('manifest');
  expect(await status()).toMatchObject({ releaseId: 'r2', state: 'running', progress: { what: 'bytes downloaded', done: 1 } });
});

test('asked again it joins; another bundle takes its place, and the audit says whose; under one Idempotency-Key it is asked once', async () => {
  await publish('r2');
  await publish('r3');
  const key = { 'idempotency-key': 'once' };
  const answers = [await download('r2', key), await download('r2', key), await download('r2'), await download('r3')];
  expect(answers.map((answer) => [answer.statusCode, answer.json().transfer.joined, answer.json().transfer.replaced])).toEqual([[202, false, null], [202, false, null], [202, true, null], [202, false, 'r2']]);
  expect(api.prefetcher.started.map(({ artifact }) => artifact.releaseId)).toEqual(['r2', 'r3']);
  const { rows } = (await call('GET', '/api/audit?limit=100')).json() as { rows: { event: string; detail: Record<string, unknown> }[] };
  expect(rows.filter(({ detail }) => 'before' in detail)).toMatchObject([{ event: 'request.ended', detail: { outcome: 'accepted', before: { onItsWay: 'r2' }, after: { onItsWay: 'r3' } } }]);
});

test('cancelled: 202 with whose bundle it was, noted; nothing under way: 200, also the second time', async () => {
  await publish('r2');
  await download('r2');
  const cancel = () => call('DELETE', `/api/updates/download?host=${host}&product=${product}`);
  const first = await cancel();
  expect([first.statusCode, first.json()]).toEqual([202, { host, product, state: 'requested', releaseId: 'r2' }]);
  expect(await status()).toMatchObject({ releaseId: 'r2', state: 'failed' });
  const second = await cancel();
  expect([second.statusCode, second.json()]).toEqual([200, { host, product, state: 'not_under_way', releaseId: null }]);
  const { rows } = (await call('GET', '/api/audit?limit=100')).json() as { rows: { detail: Record<string, unknown> }[] };
  expect(rows.filter(({ detail }) => 'before' in detail)).toMatchObject([{ detail: { outcome: 'accepted', before: { onItsWay: 'r2' }, after: { onItsWay: null } } }]);
});

test('a bundle that was altered where it is stored goes nowhere', async () => {
  const sha256 = await publish('r2');
  await fs.writeFile(join(api.directory, 'artifacts', sha256.slice(0, 2), sha256), 'THE bundle of r2');
  expect((await download('r2')).json()).toMatchObject({ code: 'artifact_digest_mismatch' });
  expect([api.prefetcher.started, await status()]).toEqual([[], null]);
});
