import type { AddressInfo } from 'node:net';
import autocannon from 'autocannon';
import type { HostId, RunId } from '../../src/domain/ids.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { product, sampleArtifact, sampleInspection } from '../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
let url: string;
const hosts = 60;

beforeAll(async () => {
  postgres = await startPostgres();
  api = await startApi(postgres);
  await api.app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`;
  await api.stores.releases.publish(sampleArtifact('r1'), 'ci');
  for (let host = 0; host < hosts; host += 1) await api.stores.hosts.hello({ host: `h${host}` as HostId, role: 'node', agentVersion: '0', bootId: 'b', products: [sampleInspection('r0')] });
});
afterAll(async () => {
  await api?.end();
  await postgres?.end();
});

test('far more clients than connections to the database: health answers every time, and whatever was accepted is there, with intent and result', async () => {
  const accepted = { enrolments: [] as string[], runs: [] as string[] };
  const headers = { authorization: `Bearer ${api.adminKey}`, 'content-type': 'application/json' };
  const load = { url, timeout: 120, headers };
  let isOver = false;
  const health: number[] = [];
  const asking = (async () => {
    while (!isOver) health.push((await fetch(`${url}/health`)).status);
  })();
  let host = 0;
  const results = await Promise.all([
    autocannon({ ...load, connections: 40, amount: 400, requests: [{ method: 'POST', path: '/api/enrolments', body: '{}', onResponse: (status: number, body: string) => void (status === 201 && accepted.enrolments.push((JSON.parse(body) as { id: string }).id)) }] }),
    autocannon({ ...load, connections: 40, amount: 400, requests: [{ method: 'GET', path: '/api/audit?limit=100' }] }),
    autocannon({
      ...load,
      connections: 20,
      amount: hosts,
      requests: [
        {
          method: 'POST',
          path: '/api/updates/apply',
          setupRequest: (request: autocannon.Request) => ({ ...request, body: JSON.stringify({ host: `h${host++ % hosts}`, product, releaseId: 'r1' }) }),
          onResponse: (status: number, body: string) => void (status === 202 && accepted.runs.push((JSON.parse(body) as { runId: string }).runId)),
        },
      ],
    }),
  ]);
  isOver = true;
  await asking;
  expect(results.map(({ errors, non2xx }) => [errors, non2xx])).toEqual([[0, 0], [0, 0], [0, 0]]);
  expect([health.length > 0, health.filter((status) => status !== 200)]).toEqual([true, []]);

  expect([accepted.enrolments.length, accepted.runs.length]).toEqual([400, hosts]);
  const kept = new Set((await api.database.query('reading enrolments', (db) => db.selectFrom('enrolments').select('id').execute())).map(({ id }) => id));
  expect(accepted.enrolments.filter((id) => !kept.has(id))).toEqual([]);
  for (const runId of accepted.runs) expect(await api.stores.runs.find(runId as RunId)).not.toBeNull();
  const rows = [];
  for (let after = 0; ; after = rows.at(-1)?.sequence ?? after) {
    const page = await api.stores.audit.list({ limit: 1_000, afterSequence: after });
    rows.push(...page);
    if (page.length < 1_000) break;
  }
  const intents = rows.filter(({ event }) => event === 'request.intended').map(({ sequence }) => sequence);
  const ended = new Set(rows.filter(({ event }) => event === 'request.ended').map(({ detail }) => detail['intent']));
  expect([intents.length, intents.filter((sequence) => !ended.has(sequence))]).toEqual([400 + hosts, []]);
  expect(await api.stores.audit.verify()).toMatchObject({ ok: true, rows: rows.length });
}, 240_000);

test('fifty identical requests at once under one Idempotency-Key: one run, and every one that is answered names it', async () => {
  const started = api.runs.started.length;
  await api.stores.hosts.hello({ host: 'alone' as HostId, role: 'node', agentVersion: '0', bootId: 'b', products: [sampleInspection('r0')] });
  const ask = () => fetch(`${url}/api/updates/apply`, { method: 'POST', headers: { authorization: `Bearer ${api.adminKey}`, 'content-type': 'application/json', 'idempotency-key': 'once' }, body: JSON.stringify({ host: 'alone', product, releaseId: 'r1' }) });
  const answers = await Promise.all(Array.from({ length: 50 }, async () => {
    const answer = await ask();
    return { status: answer.status, body: (await answer.json()) as { runId?: string; code?: string } };
  }));
  expect(api.runs.started.length - started).toBe(1);
  const named = answers.filter(({ status }) => status === 202).map(({ body }) => body.runId);
  expect([named.length > 0, new Set(named).size]).toEqual([true, 1]);
  for (const { status, body } of answers) if (status !== 202) expect([status, body.code]).toEqual([409, 'request_under_way']);
  expect(await (await ask()).json()).toMatchObject({ runId: named[0] });
}, 60_000);
