import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { ApiServerSettings } from '../../src/api/index.ts';
import type { HostId, RunId } from '../../src/domain/ids.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { product, sampleArtifact, sampleInspection } from '../support/samples.ts';

let postgres: TestPostgres;
let api: TestApi;
let port: number;
const sockets: Socket[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.end();
});
async function listen(settings: Partial<ApiServerSettings> = {}): Promise<void> {
  api = await startApi(postgres, { settings });
  await api.app.listen({ host: '127.0.0.1', port: 0 });
  port = (api.app.server.address() as AddressInfo).port;
}
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await api?.end();
});

const get = (url: string, headers: Record<string, string> = {}) => api.app.inject({ url, headers: { authorization: `Bearer ${api.adminKey}`, ...headers } });

/** Sends a text and then one byte after the other; gives what came back once the connection was closed. */
async function drip(head: string, byteMs: number): Promise<{ answer: string; bytes: number }> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let answer = '';
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  socket.on('error', () => undefined);
  // Not by `once`: a connection that is cut off while a byte is on its way ends with an error, and closes all the same.
  const closed = new Promise((resolve) => socket.on('close', resolve));
  await once(socket, 'connect');
  socket.write(head);
  const timer = setInterval(() => {
    if (socket.writable) socket.write('x');
    bytes += 1;
  }, byteMs);
  await closed;
  clearInterval(timer);
  return { answer, bytes };
}

describe('a client that sends one byte after the other is cut off', () => {
  const times = { requestTimes: { headersMs: 600, bodyMs: 600, spanMs: 600, leastBytes: 4_096, lingerMs: 200 } };
  const head = (path: string, type: string, length: number, key: string) => `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`;

  test('in its headers', async () => {
    await listen(times);
    const { answer } = await drip('GET /health HTTP/1.1\r\nx-slow: ', 20);
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ status: 408, code: 'request_too_slow' });
  });

  test('in a body of JSON, with a problem that says so', async () => {
    await listen(times);
    const { answer } = await drip(head('/api/updates/apply', 'application/json', 100_000, api.adminKey), 20);
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ status: 408, code: 'request_too_slow' });
  });

  test('in a bundle, where less comes than a bundle needs; the upload is gone', async () => {
    await listen(times);
    expect((await drip(head('/api/releases', 'application/octet-stream', 100_000, api.adminKey), 20)).answer).toMatch(/^HTTP\/1.1 408 /);
    expect((await get('/api/releases')).json()).toMatchObject({ releases: [] });
  });

  test('after it was refused: the connection is not held open for the rest of the body', async () => {
    await listen(times);
    expect((await drip(head('/api/releases', 'application/octet-stream', 100_000, 'nobody'), 20)).answer).toMatch(/^HTTP\/1.1 401 /);
  });

  test('a bundle that comes steadily may take longer than any of these', async () => {
    await listen({ requestTimes: { ...times.requestTimes, spanMs: 1_500 } });
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await once(socket, 'connect');
    const [pieces, bytes] = [60, 1_024];
    socket.write(head('/api/releases', 'application/octet-stream', pieces * bytes, api.adminKey));
    const startedAt = performance.now();
    for (let piece = 0; piece < pieces; piece += 1) {
      socket.write(Buffer.alloc(bytes));
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    await eventually('an answer', () => answer !== '');
    expect(performance.now() - startedAt).toBeGreaterThan(1_500);
    // Whole, and no bundle: this suite's reader takes none.
    expect(answer).toMatch(/^HTTP\/1.1 500 /);
  });
});

test('a body of JSON above 1 MiB is refused', async () => {
  await listen();
  const answer = await api.app.inject({ method: 'POST', url: '/api/keys', headers: { authorization: `Bearer ${api.adminKey}`, 'content-type': 'application/json' }, payload: `{"name":"${'x'.repeat(1_100_000)}"}` });
  expect(answer.json()).toMatchObject({ status: 413, code: 'body_too_large' });
});

describe('behind a proxy', () => {
  const ask = (forwarded: string, remoteAddress: string) => api.app.inject({ method: 'PUT', url: '/api/hosts/h1/labels', remoteAddress, headers: { authorization: `Bearer ${api.adminKey}`, 'x-forwarded-for': forwarded }, payload: { labels: {} } });
  const address = async () => (await api.stores.audit.list({ limit: 1, afterSequence: (await api.stores.audit.head()).sequence - 2 }))[0]?.detail['address'];

  test.each([
    ['a proxy that is trusted names the client', '203.0.113.7', '127.0.0.1', '203.0.113.7'],
    ['what a client put before is not believed', '8.8.8.8, 203.0.113.7', '127.0.0.1', '203.0.113.7'],
    ['two proxies, both trusted', '203.0.113.7, 10.1.2.3', '127.0.0.1', '203.0.113.7'],
    ['who is no trusted proxy is the client', '203.0.113.7', '198.51.100.9', '198.51.100.9'],
  ])('%s', async (_what, forwarded, from, client) => {
    await listen({ trustedProxies: ['127.0.0.1', '10.1.0.0/16'] });
    await ask(forwarded, from);
    expect(await address()).toBe(client);
  });

  test('none is trusted: the header means nothing', async () => {
    await listen();
    await ask('203.0.113.7', '127.0.0.1');
    expect(await address()).toBe('127.0.0.1');
  });

  test('limits count clients, not the proxy', async () => {
    await listen({ trustedProxies: ['127.0.0.1'], rateLimits: { perKey: null, perAddress: 5, failures: null } });
    const asked = async (client: string) => (await api.app.inject({ url: '/api/hosts', remoteAddress: '127.0.0.1', headers: { authorization: `Bearer ${api.adminKey}`, 'x-forwarded-for': client } })).statusCode;
    for (let time = 0; time < 12; time += 1) await asked('203.0.113.7');
    expect([await asked('203.0.113.7'), await asked('203.0.113.8')]).toEqual([429, 200]);
  });
});

describe('entity tags', () => {
  test.each(['/api/openapi.json', '/api/hosts', '/api/releases', `/api/releases/${product}/r1`])('%s: the same answer is not sent twice, another one is', async (url) => {
    await listen();
    await api.stores.releases.publish(sampleArtifact('r1'), 'ci');
    const first = await get(url);
    const etag = first.headers.etag as string;
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    for (const named of [etag, `W/${etag}`, `"other", ${etag}`, '*']) expect(await get(url, { 'if-none-match': named })).toMatchObject({ statusCode: 304, payload: '' });
    expect(await get(url, { 'if-none-match': '"other"' })).toMatchObject({ statusCode: 200, payload: first.payload });
  });

  test('a host that came changes the tag of the list', async () => {
    await listen();
    const { etag } = (await get('/api/hosts')).headers;
    await api.stores.hosts.hello({ host: 'h1' as HostId, role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [sampleInspection('r1')] });
    expect((await get('/api/hosts', { 'if-none-match': etag as string })).statusCode).toBe(200);
  });
});

describe('lists have pages', () => {
  /** What has a list in its answer and none to page through. */
  const whole = new Set(['/health/ready', '/health/detailed', '/api/updates/status', '/api/services/status', '/api/hosts/{id}', '/api/runs/{id}', '/api/releases/{product}/{releaseId}', '/api/rollouts/{id}', '/api/webhooks/{id}']);

  test('every GET whose answer has a list takes a limit, and says how to go on', async () => {
    await listen();
    const { paths, components } = (await get('/api/openapi.json')).json() as { paths: Record<string, { get?: { parameters?: { name: string }[]; responses: Record<string, { content?: Record<string, { schema: { $ref?: string; properties?: object } }> }> } }>; components: { schemas: Record<string, { properties?: Record<string, { type?: string }> }> } };
    const lacking = Object.entries(paths).flatMap(([path, { get: operation }]) => {
      const schema = operation?.responses['200']?.content?.['application/json']?.schema;
      const properties = (components.schemas[schema?.$ref?.split('/').at(-1) ?? ''] ?? schema)?.properties ?? {};
      if (!Object.values(properties).some((each) => (each as { type?: string }).type === 'array')) return [];
      const paged = operation?.parameters?.some(({ name }) => name === 'limit') === true && Object.keys(properties).some((name) => name.startsWith('next'));
      return paged || whole.has(path) ? [] : [path];
    });
    expect(lacking).toEqual([]);
  });

  test('hosts, heard and pending, come once each over all pages; a cursor that is gone is refused', async () => {
    await listen();
    for (const name of ['h5', 'h1', 'h3']) await api.stores.hosts.hello({ host: name as HostId, role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [] });
    const enrolled = await api.app.inject({ method: 'POST', url: '/api/enrolments', headers: { authorization: `Bearer ${api.adminKey}` }, payload: { host: 'h2' } });
    await api.app.inject({ method: 'POST', url: '/api/enrolments/exchange', payload: { token: (enrolled.json() as { token: string }).token } });
    const pages: string[][] = [];
    for (let after: string | null = ''; after !== null; ) {
      const { hosts, pending, nextAfter } = (await get(`/api/hosts?limit=2${after === '' ? '' : `&after=${after}`}`)).json() as { hosts: { host: string }[]; pending: { host: string }[]; nextAfter: string | null };
      pages.push([...hosts, ...pending].map(({ host }) => host).sort());
      after = nextAfter;
    }
    expect(pages).toEqual([['h1', 'h2'], ['h3', 'h5']]);
    expect((await get('/api/hosts?after=h9')).json()).toMatchObject({ status: 410, code: 'cursor_gone' });
  });
});

describe('event streams are bounded', () => {
  const run = async () => {
    await api.stores.runs.open({ runId: 'run-1' as RunId, workflowId: `host/h1/${product}`, kind: 'update-apply', host: 'h1' as HostId, product, toReleaseId: 'r1' as never, requestedBy: 'ci', requestedAt: '2026-11-21T10:00:00.000Z' });
  };
  const follow = async (key = api.adminKey): Promise<Response> => fetch(`http://127.0.0.1:${port}/api/runs/run-1/events`, { headers: { authorization: `Bearer ${key}` } });

  test('in their number, of a key and of all; one that ended makes room', async () => {
    await listen({ streams: { most: 3, mostOfKey: 2 } });
    await run();
    const other = (await api.stores.keys.create('other', 'viewer')).text;
    const open = [await follow(), await follow()];
    expect(open.map(({ status }) => status)).toEqual([200, 200]);
    const refused = await follow();
    expect([refused.status, refused.headers.get('retry-after'), ((await refused.json()) as { code: string }).code]).toEqual([429, expect.stringMatching(/^\d+$/), 'too_many_streams']);
    const third = await follow(other);
    expect([third.status, (await follow(other)).status]).toEqual([200, 429]);
    await open[0]!.body!.cancel();
    await eventually('there is room', async () => (await follow()).status === 200);
    await Promise.all([open[1]!.body!.cancel(), third.body!.cancel()]);
  });

  test('in their time: the stream ends, and goes on for whoever comes back', async () => {
    await listen({ streams: { longestMs: 300 } });
    await run();
    expect(await (await follow()).text()).toMatch(/^retry: 2000/);
    expect(await (await follow()).text()).toMatch(/^retry: 2000/);
  });
});
