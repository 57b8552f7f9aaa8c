import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createHttpProbe } from '../../src/adapters/health-probe/http.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';
import type { Probe } from '../../src/domain/product/manifest.ts';
import { freePort } from '../support/host-root.ts';

const probe = createHttpProbe();
const r1 = 'r1' as ReleaseId;
const declared = (change: Partial<Probe> = {}): Probe => ({ name: 'api-ready', target: 'router', path: '/health/ready', expectStatus: 200, releaseIdField: 'releaseId', expectBody: null, timeoutSeconds: 5, ...change });

describe('health probe over HTTP', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function serve(listener: RequestListener): Promise<{ name: string; port: number }> {
    server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    return { name: 'api-a', port: typeof address === 'object' && address ? address.port : 0 };
  }
  const json = (body: unknown, status = 200): RequestListener => (_request, response) => response.writeHead(status).end(JSON.stringify(body));

  test('the expected release answers: passed, with the answer as evidence', async () => {
    const target = await serve(json({ status: 'ready', releaseId: 'r1' }));
    const answer = await probe.ask(declared(), target, r1);
    expect(answer).toMatchObject({ passed: true, releaseId: 'r1', evidence: { kind: 'probe', probe: 'api-ready', passed: true, answer: '200 {"status":"ready","releaseId":"r1"}' } });
    expect(answer.evidence.target).toBe(`api-a http://127.0.0.1:${target.port}/health/ready`);
  });

  test.each<[string, unknown, Partial<Probe>, string]>([
    ['another release answers', { releaseId: 'r0' }, {}, 'names release r0, expected r1'],
    ['the release is not told', { status: 'ready' }, {}, 'no text in field releaseId'],
    ['the release is a number', { releaseId: 1 }, {}, 'no text in field releaseId'],
    ['the field is inherited, not told', {}, { releaseIdField: 'constructor.name' }, 'no text in field'],
    ['the body lacks its text', { releaseId: 'r1' }, { expectBody: 'dashboard' }, 'does not contain "dashboard"'],
  ])('%s: not passed, and why', async (_name, body, change, why) => {
    const answer = await probe.ask(declared(change), await serve(json(body)), r1);
    expect(answer.passed).toBe(false);
    expect(answer.evidence.answer).toContain(why);
  });

  test('a nested field, and any release where none is expected', async () => {
    const target = await serve(json({ build: { id: 'r9' } }));
    expect(await probe.ask(declared({ releaseIdField: 'build.id' }), target, null)).toMatchObject({ passed: true, releaseId: 'r9' });
  });

  test('another status: not passed, also where the release is right; a redirect is not followed', async () => {
    const busy = await probe.ask(declared(), await serve(json({ releaseId: 'r1' }, 503)), r1);
    expect(busy).toMatchObject({ passed: false, releaseId: 'r1' });
    server?.close();
    const moved = await probe.ask(declared({ releaseIdField: null }), await serve((_request, response) => response.writeHead(302, { location: '/' }).end()), r1);
    expect(moved.evidence.answer).toContain('302');
    expect(moved.passed).toBe(false);
  });

  test('nobody listens: an answer that did not pass', async () => {
    const answer = await probe.ask(declared(), { name: 'api-a', port: await freePort() }, r1);
    expect(answer).toMatchObject({ passed: false, releaseId: null });
    expect(answer.evidence.answer).toContain('ECONNREFUSED');
  });

  test.each<[string, RequestListener]>([
    ['never answers', () => {}],
    ['stops halfway', (_request, response) => void response.writeHead(200, { 'content-length': '100' }).write('{')],
  ])('an instance that %s: not passed at the limit', async (_name, listener) => {
    const answer = await probe.ask(declared({ timeoutSeconds: 0.2 }), await serve(listener), r1);
    expect(answer.passed).toBe(false);
    expect(answer.evidence.answer).toContain('no complete answer within 0.2 s');
  });

  test('cancelled: the answer says so at once', async () => {
    const cancel = new AbortController();
    const asking = probe.ask(declared({ timeoutSeconds: 60 }), await serve(() => {}), r1, cancel.signal);
    cancel.abort();
    expect((await asking).evidence.answer).toBe('cancelled');
  });

  test('an endless body: read up to a bound, judged by what came', async () => {
    const target = await serve((_request, response) => {
      const write = (): void => void (response.writable && response.write('dashboard'.repeat(2000), () => setImmediate(write)));
      write();
    });
    expect(await probe.ask(declared({ releaseIdField: null, expectBody: 'dashboard' }), target, null)).toMatchObject({ passed: true });
  });

  test('every question has a connection of its own', async () => {
    const ports = new Set<number | undefined>();
    const target = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      json({ releaseId: 'r1' })(request, response);
    });
    for (let count = 0; count < 3; count += 1) await probe.ask(declared(), target, r1);
    expect(ports.size).toBe(3);
  });
});
