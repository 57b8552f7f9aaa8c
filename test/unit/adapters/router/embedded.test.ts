import type { IncomingMessage } from 'node:http';
import { createBalancer, routeOf } from '../../../../src/adapters/router/embedded/balance.ts';
import { parseConfig, type RouterConfig } from '../../../../src/adapters/router/embedded/config.ts';
import { endToEnd, hasBody, isIdempotent } from '../../../../src/adapters/router/embedded/headers.ts';

const config: RouterConfig = {
  schema: 1,
  generation: 'g',
  listen: { host: '127.0.0.1', port: 1 },
  routes: [
    { path: '/api/', service: 'api' },
    { path: '/', service: 'web' },
  ],
  members: [
    { service: 'api', instance: 'api-a', port: 2, admitted: true },
    { service: 'api', instance: 'api-b', port: 3, admitted: true },
    { service: 'api', instance: 'api-c', port: 4, admitted: false },
  ],
};
const none = new Set<string>();

describe('embedded router: choosing', () => {
  test('the longest route wins; the absolute form of a request counts by its path', () => {
    expect(routeOf(config, '/api/x')).toBe('api');
    expect(routeOf(config, '/apix')).toBe('web');
    expect(routeOf(config, 'http://example.test/api/x')).toBe('api');
    expect(routeOf({ ...config, routes: [{ path: '/api/', service: 'api' }] }, '/other')).toBeNull();
  });

  test('requests go in turn, to the less busy one first, and never to one that is not admitted', () => {
    const balancer = createBalancer(() => 0);
    const chosen = Array.from({ length: 10 }, () => balancer.choose(config, 'api', none)?.instance);
    expect(new Set(chosen)).toEqual(new Set(['api-a', 'api-b']));
    const end = balancer.begin('api-a');
    expect(Array.from({ length: 4 }, () => balancer.choose(config, 'api', none)?.instance)).toEqual(['api-b', 'api-b', 'api-b', 'api-b']);
    end();
    end();
    expect(balancer.inFlight()).toEqual({});
    expect(balancer.choose(config, 'api', new Set(['api-a', 'api-b']))).toBeNull();
  });

  test('a member that could not be reached is asked last for a while, and first again after it', () => {
    let now = 0;
    const balancer = createBalancer(() => now);
    balancer.suspect('api-a');
    expect(Array.from({ length: 4 }, () => balancer.choose(config, 'api', none)?.instance)).toEqual(['api-b', 'api-b', 'api-b', 'api-b']);
    expect(balancer.choose(config, 'api', new Set(['api-b']))?.instance).toBe('api-a');
    now = 10_000;
    expect(new Set(Array.from({ length: 4 }, () => balancer.choose(config, 'api', none)?.instance))).toEqual(new Set(['api-a', 'api-b']));
  });
});

describe('embedded router: headers', () => {
  const message = (headers: Record<string, string>) => ({ headers, rawHeaders: Object.entries(headers).flat() }) as unknown as IncomingMessage;

  test('what concerns one connection is not passed on, and neither is what Connection names', () => {
    expect(endToEnd(message({ connection: 'keep-alive, X-Hop', 'keep-alive': 'timeout=5', 'x-hop': '1', 'transfer-encoding': 'chunked', accept: '*/*' }))).toEqual(['accept', '*/*']);
  });

  test('which requests may be sent twice, and which have a body', () => {
    expect(['GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'PATCH'].filter(isIdempotent)).toEqual(['GET', 'HEAD', 'PUT', 'DELETE']);
    expect(hasBody(message({ 'content-length': '0' }))).toBe(false);
    expect(hasBody(message({ 'content-length': '1' }))).toBe(true);
    expect(hasBody(message({ 'transfer-encoding': 'chunked' }))).toBe(true);
  });
});

describe('embedded router: its configuration', () => {
  test.each<[string, (good: RouterConfig) => unknown]>([
    ['schema', (good) => ({ ...good, schema: 2 })],
    ['listen', (good) => ({ ...good, listen: { host: '127.0.0.1', port: 0 } })],
    ['route', (good) => ({ ...good, routes: [{ path: 'api', service: 'api' }] })],
    ['member', (good) => ({ ...good, members: [{ service: 'api', instance: 'a', port: 99_999, admitted: true }] })],
    ['twice', (good) => ({ ...good, members: [good.members[0], good.members[0]] })],
  ])('a wrong %s is refused by name', (what, change) => {
    expect(parseConfig(JSON.stringify(config))).toEqual(config);
    expect(() => parseConfig(JSON.stringify(change(config)))).toThrow(what);
  });
});
