import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpGateSource } from '../../../../src/adapters/gate-source/http.ts';
import { createPrometheusSource } from '../../../../src/adapters/metric-source/prometheus.ts';
import { createOutgoingGet, refuseUrl, type LookUpAll } from '../../../../src/adapters/outgoing/get.ts';

let server: Server;
let port: number;
let asked: string[] = [];
let answer: { status: number; headers?: Record<string, string>; body: string };
const cancel = new AbortController().signal;
const options = { timeoutMs: 5_000, cancel };

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.headers.host ?? '');
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));
beforeEach(() => {
  asked = [];
  answer = { status: 200, body: '{}' };
});

/** A resolver that answers otherwise each time. */
const resolver = (...answers: string[][]): LookUpAll & { readonly names: string[] } => {
  const names: string[] = [];
  return Object.assign((name: string, found: Parameters<LookUpAll>[1]) => {
    names.push(name);
    found(null, (answers[names.length - 1] ?? answers.at(-1) ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
  }, { names });
};

test.each(['http://169.254.169.254/latest/meta-data', 'http://[fd00:ec2::254]/', 'http://[::ffff:169.254.169.254]/', 'http://0.0.0.0:1/', 'http://2852039166/', 'http://0xa9.0xfe.0xa9.0xfe/'])('%s is never connected to', async (url) => {
  await expect(createOutgoingGet()(url, options)).rejects.toMatchObject({ reason: { code: 'outgoing_refused' } });
  expect(refuseUrl(url, [])).toMatchObject({ reason: { code: 'outgoing_refused' } });
});

test('a name that leads to a metadata service, alone or beside a good address, is refused', async () => {
  for (const addresses of [['169.254.169.254'], ['127.0.0.1', '169.254.169.254']]) {
    await expect(createOutgoingGet([], resolver(addresses))(`http://gate.example:${port}/`, options)).rejects.toMatchObject({ reason: { code: 'outgoing_refused', message: expect.stringContaining('gate.example') } });
  }
  expect(asked).toEqual([]);
});

test('a name that changes after it was checked: connected to is the address that was checked, and the name is asked for once', async () => {
  const lookUp = resolver(['127.0.0.1'], ['169.254.169.254']);
  expect(await createOutgoingGet([], lookUp)(`http://gate.example:${port}/`, options)).toEqual({ status: 200, text: '{}' });
  expect([lookUp.names, asked]).toEqual([['gate.example'], [`gate.example:${port}`]]);
});

test('a redirect to a metadata service is an answer, and not followed', async () => {
  answer = { status: 302, headers: { location: 'http://169.254.169.254/' }, body: '' };
  expect(await createOutgoingGet()(`http://127.0.0.1:${port}/`, options)).toEqual({ status: 302, text: '' });
});

test('what the operator allows is asked', async () => {
  expect(refuseUrl('http://169.254.10.1/', ['169.254.10.0/24'])).toBeNull();
  await expect(createOutgoingGet(['127.0.0.0/8'], resolver(['127.0.0.1']))(`http://gate.example:${port}/`, options)).resolves.toMatchObject({ status: 200 });
});

test('gates and metrics go this way: a refused address is no data, and both say why', async () => {
  expect(await createHttpGateSource().ask('http://169.254.169.254/', cancel)).toEqual({ verdict: 'no_data', note: expect.stringContaining('a metadata service') });
  expect(await createPrometheusSource().query('http://169.254.169.254', 'up', cancel)).toEqual({ value: null, why: expect.stringMatching(/^address refused: 169\.254\.169\.254 is not asked: .*a metadata service/) });
  answer = { status: 200, body: '{"verdict":"pass","note":"fine"}' };
  expect(await createHttpGateSource().ask(`http://127.0.0.1:${port}/`, cancel)).toEqual({ verdict: 'pass', note: 'fine' });
  answer = { status: 200, body: '{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"0.5"]}]}}' };
  expect(await createPrometheusSource().query(`http://127.0.0.1:${port}`, 'up', cancel)).toEqual({ value: 0.5, why: null });
  answer = { status: 200, body: '{"status":"success","data":{"resultType":"vector","result":[]}}' };
  expect(await createPrometheusSource().query(`http://127.0.0.1:${port}`, 'up', cancel)).toEqual({ value: null, why: null });
});
