import { createOtlpTracing } from '../../../src/adapters/telemetry/otlp.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startCollector, type Collector } from '../../support/collector.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';

let postgres: TestPostgres;
let collector: Collector;
let api: TestApi;
let tracing: ReturnType<typeof createOtlpTracing>;
/** The trace that the store of keys was called within, each time. */
const within: (string | null)[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  collector = await startCollector();
  tracing = createOtlpTracing(collector.url, { 'service.name': 'fairlead-api' });
  const noting = <Method extends (...args: never[]) => unknown>(method: Method): Method => ((...args: never[]) => (within.push(tracing.current()), method(...args))) as Method;
  api = await startApi(postgres, { tracing, wrap: (stores) => ({ ...stores, keys: { ...stores.keys, create: noting(stores.keys.create) } }) });
  within.length = 0;
}, 120_000);
afterAll(async () => {
  await api?.end();
  await collector?.end();
  await postgres?.end();
}, 60_000);

test('a request that changes something has a span, within which it is carried out; reads, agents, strangers and refused bodies begin no other trace than their own', async () => {
  const headers = { authorization: `Bearer ${api.adminKey}` };
  const made = await api.app.inject({ method: 'POST', url: '/api/keys', headers, payload: { name: 'one', role: 'viewer' } });
  expect(made.statusCode).toBe(201);
  await api.app.inject({ method: 'GET', url: '/api/keys', headers });
  await api.app.inject({ method: 'POST', url: '/api/keys', headers: { authorization: 'Bearer wrong' }, payload: { name: 'two', role: 'viewer' } });
  await api.app.inject({ method: 'POST', url: '/api/hosts/h1/hello', headers: { authorization: `Bearer ${api.agentKey}` }, payload: {} });
  const refused = await api.app.inject({ method: 'POST', url: '/api/keys', headers, payload: { name: 'three', role: 'nobody' } });
  await tracing.close();
  expect(collector.spans.map(({ name, parentSpanId, status, attributes }) => [name, parentSpanId, status, attributes['http.response.status_code']])).toEqual([
    ['POST /api/keys', null, 0, 201],
    ['POST /api/keys', null, 0, refused.statusCode],
  ]);
  const [first] = collector.spans;
  expect(within).toEqual([`00-${first?.traceId}-${first?.spanId}-01`]);
  expect(first?.attributes['fairlead.request.id']).toBe(made.headers['x-request-id']);
}, 60_000);
