import type { IncomingMessage } from 'node:http';
import { createBalancer, routeOf } from '../../../../src/adapters/router/embedded/balance.ts';
import { redirectOf, strictOf } from '../../../../src/adapters/router/embedded/tls.ts';
import { parseConfig, type RouterConfig } from '../../../../src/adapters/router/embedded/config.ts';
import { createTrafficRecord } from '../../../../src/adapters/router/embedded/record.ts';
import { addAttempt, figuresOf, mergeTally, type Tally } from '../../../../src/adapters/router/figures.ts';
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

describe('embedded router: a split', () => {
  const split = (percent: number, members = config.members): RouterConfig => ({ ...config, schema: 2, members, split: { to: ['api-b', 'api-c'], percent } });
  const counts = (balancer: ReturnType<typeof createBalancer>, of: RouterConfig, requests: number, service = 'api') => {
    const seen: Record<string, number> = {};
    for (let count = 0; count < requests; count += 1) {
      const name = balancer.choose(of, service, none)?.instance ?? 'nobody';
      seen[name] = (seen[name] ?? 0) + 1;
    }
    return seen;
  };
  const withThree = config.members.map((member) => ({ ...member, admitted: true }));

  test.each([0, 1, 10, 33, 50, 99, 100])('%s percent: any requests in a row come within one request of it, from the first one on', (percent) => {
    const balancer = createBalancer(() => 0);
    let sent = 0;
    for (const requests of [1, 3, 7, 100, 250, 13]) {
      const toNew = counts(balancer, split(percent), requests)['api-b'] ?? 0;
      sent += requests;
      expect(Math.abs(toNew - (requests * percent) / 100)).toBeLessThanOrEqual(1);
    }
    expect(sent).toBe(374);
  });

  test('inside of a side it is even, also when two services are asked by turns', () => {
    const balancer = createBalancer(() => 0);
    const members = [...withThree, { service: 'web', instance: 'web-a', port: 5, admitted: true }, { service: 'web', instance: 'web-b', port: 6, admitted: true }];
    const seen: Record<string, number> = {};
    for (let count = 0; count < 200; count += 1) {
      const name = balancer.choose(split(10, members), count % 2 === 0 ? 'api' : 'web', none)?.instance ?? '';
      seen[name] = (seen[name] ?? 0) + 1;
    }
    expect(seen).toEqual({ 'api-a': 90, 'api-b': 5, 'api-c': 5, 'web-a': 50, 'web-b': 50 });
  });

  test('a service with members on one side only is not split', () => {
    expect(counts(createBalancer(() => 0), split(10, withThree.filter(({ instance }) => instance !== 'api-a')), 100)).toEqual({ 'api-b': 50, 'api-c': 50 });
  });

  test('a request that is tried again stays on its side', () => {
    const balancer = createBalancer(() => 0);
    expect(balancer.choose(split(0, withThree), 'api', new Set(['api-b']))?.instance).toBe('api-c');
    expect(balancer.choose(split(0, withThree), 'api', new Set(['api-b', 'api-c']))).toBeNull();
  });
});

describe('embedded router: what went through', () => {
  const api = { service: 'api', instance: 'api-a', failed: false, ms: 5 };

  test('a window holds what ended in it; before the router was there, nothing can be told', () => {
    let now = 1_000;
    const record = createTrafficRecord(() => now);
    record.add(api);
    now = 2_000;
    record.add({ ...api, failed: true });
    record.add({ ...api, instance: 'api-b' });
    expect(figuresOf(record.since(1_000) ?? {}, []).map(({ instance, requests, errors }) => [instance, requests, errors])).toEqual([['api-a', 2, 1], ['api-b', 1, 0]]);
    expect(figuresOf(record.since(1_001) ?? {}, []).map(({ instance, requests, errors }) => [instance, requests, errors])).toEqual([['api-a', 1, 1], ['api-b', 1, 0]]);
    expect(figuresOf(record.since(3_000) ?? {}, [{ service: 'api', instance: 'api-a' }])).toEqual([{ service: 'api', instance: 'api-a', requests: 0, errors: 0, latencyMs: null }]);
    expect(record.since(999)).toBeNull();
  });

  test('more than it remembers one by one: sums of parts, from the begin of a part on; older than it keeps: nothing', () => {
    let now = 0;
    const record = createTrafficRecord(() => now);
    const total = 800_000;
    for (let count = 0; count < total; count += 1) {
      now = count;
      record.add(api);
    }
    const since = (instant: number) => record.since(instant)?.['api-a']?.requests ?? 0;
    expect(since(0)).toBe(total);
    expect(since(total - 1_000)).toBe(1_000);
    expect(since(total - 400_000)).toBe(400_000);
    // Inside of a part that is only kept as a sum: the window begins with the part, which is not longer than 50,000 requests.
    expect(since(60_000)).toBe(total - 50_000);
    now += 31 * 3_600_000;
    expect(record.since(60_000)).toBeNull();
  });
});

describe('routers: figures', () => {
  const tallyOf = (latencies: readonly number[]) => {
    const tally: Tally = {};
    for (const ms of latencies) addAttempt(tally, { service: 'api', instance: 'api-a', failed: false, ms });
    return tally;
  };
  const latencyOf = (tally: Tally) => figuresOf(tally, [])[0]?.latencyMs;

  test('percentiles are within one percent', () => {
    const latency = latencyOf(tallyOf(Array.from({ length: 1_000 }, (_none, index) => index + 1)));
    for (const [percentile, exact] of [['p50', 500], ['p95', 950], ['p99', 990]] as const) expect(Math.abs((latency?.[percentile] ?? 0) - exact) / exact).toBeLessThan(0.011);
  });

  test('long polls do not drown the rest; where nearly everything takes so long, it is told', () => {
    const polls = Array.from({ length: 40 }, () => 25_000);
    expect(latencyOf(tallyOf([...Array.from({ length: 60 }, () => 5), ...polls]))?.p99).toBeLessThan(6);
    expect(latencyOf(tallyOf([5, 5, ...polls]))?.p95).toBeGreaterThan(24_000);
  });

  test('errors count, and not for latency', () => {
    const tally: Tally = {};
    addAttempt(tally, { service: 'api', instance: 'api-a', failed: true, ms: 1 });
    expect(figuresOf(tally, [])).toEqual([{ service: 'api', instance: 'api-a', requests: 1, errors: 1, latencyMs: null }]);
  });

  test('two spans of time add up to the figures of both', () => {
    const sum = tallyOf([1, 2, 3]);
    mergeTally(sum, tallyOf([100, 200]));
    expect(figuresOf(sum, [])).toEqual(figuresOf(tallyOf([1, 2, 3, 100, 200]), []));
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
    ['schema', (good) => ({ ...good, schema: 4 })],
    ['tls', (good) => ({ ...good, schema: 3, tls: { directory: '/d', names: ['a.example.org'], ports: [] } })],
    ['tls', (good) => ({ ...good, schema: 3, tls: { directory: '/d', names: ['a.example.org'], ports: [99_999] } })],
    ['listen', (good) => ({ ...good, listen: { host: '127.0.0.1', port: 0 } })],
    ['route', (good) => ({ ...good, routes: [{ path: 'api', service: 'api' }] })],
    ['member', (good) => ({ ...good, members: [{ service: 'api', instance: 'a', port: 99_999, admitted: true }] })],
    ['split', (good) => ({ ...good, schema: 2, split: { to: ['api-b'], percent: 101 } })],
    ['split', (good) => ({ ...good, schema: 2, split: { to: ['api-b'], percent: 0.5 } })],
    ['twice', (good) => ({ ...good, members: [good.members[0], good.members[0]] })],
  ])('a wrong %s is refused by name', (what, change) => {
    expect(parseConfig(JSON.stringify(config))).toEqual(config);
    expect(() => parseConfig(JSON.stringify(change(config)))).toThrow(what);
  });
});

describe('embedded router: https', () => {
  const tls = { names: ['*.b.example.org', 'a.example.org'], ports: [443] };
  test.each<[string, string, string | null]>([
    ['a.example.org', '/x?y=1', 'https://a.example.org/x?y=1'],
    ['C.b.example.org:80', '/', 'https://c.b.example.org/'],
    ['evil.example', '/', 'https://a.example.org/'],
    ['', '/', 'https://a.example.org/'],
    ['a.example.org', 'http://a.example.org/x', 'https://a.example.org/'],
  ])('plain HTTP for %j is sent on by a name of the certificate only', (host, path, to) => expect(redirectOf(tls, host, path)).toBe(to));

  test('another port is named; with nothing but a star there is no place to send to', () => {
    expect(redirectOf({ ...tls, ports: [8443, 443] }, 'a.example.org', '/')).toBe('https://a.example.org:8443/');
    expect(redirectOf({ ...tls, names: ['*.b.example.org'] }, 'evil.example', '/')).toBeNull();
  });

  test('Strict-Transport-Security as it was chosen', () => {
    expect([strictOf(undefined), strictOf({ hsts: null }), strictOf({ hsts: { maxAgeSeconds: 60, includeSubDomains: true, preload: true } })]).toEqual([null, null, 'max-age=60; includeSubDomains; preload']);
  });
});
