import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { createSecureContext, createServer as createTlsServer } from 'node:tls';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import { createHttpProbe } from '../../src/adapters/health-probe/http.ts';
import type { Probe } from '../../src/domain/product/manifest.ts';
import { createTestAuthority, type IssuedPair, type TestAuthority } from '../support/certificates.ts';

let authority: TestAuthority;
let [a, b] = [] as unknown as [IssuedPair, IssuedPair];
let servers: Server[] = [];
beforeAll(async () => {
  authority = await createTestAuthority();
  [a, b] = await Promise.all([authority.issue({ names: ['a.example.test'] }), authority.issue({ names: ['b.example.test'], toDays: -0.5 })]);
});
afterEach(() => {
  for (const server of servers) server.close();
  servers = [];
});
const listen = async (server: Server): Promise<number> => {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};
const serve = (pair: IssuedPair, options: object = {}) => listen(createTlsServer({ key: pair.key, cert: pair.fullchain, ...options }, (socket) => socket.on('error', () => undefined)));
const shake = (port: number, name = 'a.example.test', limitMs = 20_000) => createTlsProbe({ limitMs }).handshake({ address: '127.0.0.1', port, name });

test('what is sent: the certificate first, then its chain, trusted here or not, expired or not; and the version of TLS', async () => {
  const answer = await shake(await serve(a));
  expect(answer).toMatchObject({ protocol: 'TLSv1.3', error: null });
  expect(answer.chain[0]).toBe(a.fingerprint);
  expect(answer.chain).toHaveLength(2);
  expect((await shake(await serve(b, { maxVersion: 'TLSv1.2' }))).protocol).toBe('TLSv1.2');
  expect((await shake(await serve(a, { cert: a.cert }))).chain).toEqual([a.fingerprint]);
});

test('the name that is asked for decides; a certificate that was changed is seen by the next handshake, without a session of the one before', async () => {
  const server = createTlsServer({ key: a.key, cert: a.fullchain, SNICallback: (name, done) => done(null, name.startsWith('b.') ? createSecureContext({ key: b.key, cert: b.fullchain }) : undefined) });
  const port = await listen(server);
  expect([(await shake(port)).chain[0], (await shake(port, 'b.example.test')).chain[0]]).toEqual([a.fingerprint, b.fingerprint]);
  server.setSecureContext({ key: b.key, cert: b.fullchain });
  expect((await shake(port)).chain[0]).toBe(b.fingerprint);
});

test.each<[string, () => Promise<number>, RegExp, number]>([
  ['nobody listens', async () => 1, /ECONNREFUSED/, 20_000],
  ['no TLS is spoken', () => listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))), /packet length|wrong version|ssl/i, 20_000],
  ['the connection is closed', () => listen(createServer((socket) => socket.destroy())), /closed|reset|disconnected/i, 20_000],
  ['nothing is said', () => listen(createServer((socket) => void socket.on('error', () => undefined))), /no answer within 300 ms/, 300],
])('%s: an answer that says so', async (_what, port, error, limitMs) => {
  const answer = await shake(await port(), 'a.example.test', limitMs);
  expect(answer).toMatchObject({ chain: [], protocol: null, error: expect.stringMatching(error) });
});

test('cancelled: it ends at once', async () => {
  const port = await listen(createServer((socket) => void socket.on('error', () => undefined)));
  expect(await createTlsProbe().handshake({ address: '127.0.0.1', port, name: 'a.example.test' }, AbortSignal.timeout(50))).toMatchObject({ error: 'cancelled' });
});

test('a health probe asks over TLS where it is told a name', async () => {
  const { createServer: createHttpsServer } = await import('node:https');
  const port = await listen(createHttpsServer({ key: b.key, cert: b.fullchain }, (request, response) => response.end(JSON.stringify({ releaseId: 'r1', host: request.headers.host }))));
  const probe: Probe = { name: 'route', target: 'router', path: '/', expectStatus: 200, releaseIdField: 'releaseId', expectBody: 'b.example.test', timeoutSeconds: 20 };
  expect(await createHttpProbe().ask(probe, { name: 'router', port, tlsName: 'b.example.test' }, null)).toMatchObject({ passed: true, releaseId: 'r1', evidence: { target: `router https://127.0.0.1:${port}/` } });
  expect((await createHttpProbe().ask(probe, { name: 'router', port }, null)).passed).toBe(false);
});
