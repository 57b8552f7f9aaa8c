import { makeKeyText } from '../../../src/adapters/postgres/index.ts';
import { createRateLimits, defaultRateLimits } from '../../../src/api/rate-limits.ts';
import { startApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { startPostgres } from '../../support/postgres.ts';
import type { TestPostgres } from '../../support/postgres.ts';

const refusal = /may fail to authenticate 5 times a minute/;
const clocked = (changes: object = {}) => {
  const clock = { now: 0 };
  return { clock, limits: createRateLimits({ perKey: 10, perAddress: 100, failures: 5, ...changes }, () => clock.now) };
};
const good = makeKeyText('viewer');

describe('failed authentication', () => {
  const fail = (limits: ReturnType<typeof createRateLimits>, address: string, text: string | null, times = 10) => {
    for (let time = 0; time < times; time += 1) limits.failed(address, text);
  };
  test('an address that failed ten times is refused before its next key is looked up, and let through later', () => {
    const { limits, clock } = clocked();
    fail(limits, 'a', null, 9);
    expect(() => limits.beforeLookup('a', good)).not.toThrow();
    fail(limits, 'a', null, 1);
    expect(() => limits.beforeLookup('a', good)).toThrow(refusal);
    expect(() => limits.beforeLookup('b', good)).not.toThrow();
    clock.now = 12_000;
    expect(() => limits.beforeLookup('a', good)).not.toThrow();
  });
  test('guesses that begin alike are counted together, from wherever they come', () => {
    const { limits } = clocked();
    const alike = good.slice(0, 14);
    for (let time = 0; time < 10; time += 1) limits.failed(`a${time}`, alike + makeKeyText('viewer').slice(14));
    expect(() => limits.beforeLookup('new', good)).toThrow(refusal);
    expect(() => limits.beforeLookup('new', makeKeyText('admin'))).not.toThrow();
  });
  test('a key that was good within an hour is let through, whatever others tried from its address', () => {
    const { limits, clock } = clocked();
    limits.succeeded(good);
    fail(limits, 'a', good);
    expect(() => limits.beforeLookup('a', good)).not.toThrow();
    clock.now = 3_600_000;
    fail(limits, 'a', good);
    expect(() => limits.beforeLookup('a', good)).toThrow(refusal);
  });
});

test('by default, 1,000 hosts behind one address connect and download at once, and say hello over HTTP every 15 s', () => {
  let now = 0;
  const limits = createRateLimits(defaultRateLimits, () => now);
  for (let burst = 0; burst < 3; burst += 1) for (let host = 0; host < 1_000; host += 1) limits.address('nat');
  for (; now < 120_000; now += 15) limits.address('nat');
});

test('without limits nothing is refused', () => {
  const limits = createRateLimits({ perKey: null, perAddress: null, failures: null });
  for (let time = 0; time < 100_000; time += 1) limits.address('a');
});

describe('the API', () => {
  let postgres: TestPostgres;
  let api: TestApi;
  beforeAll(async () => {
    postgres = await startPostgres();
    api = await startApi(postgres, { settings: { rateLimits: { perKey: 25, perAddress: 10_000, failures: 10 }, trustedProxies: ['127.7.0.0/16'] } });
  });
  afterAll(async () => {
    await api?.end();
    await postgres?.end();
  });
  const ask = (url: string, key: string, remoteAddress = '127.0.0.1') => api.app.inject({ url, headers: { authorization: `Bearer ${key}` }, remoteAddress });

  test('a key that asks too much is told when to come back; another one is not touched', async () => {
    const statuses: number[] = [];
    for (let time = 0; time < 6; time += 1) statuses.push((await ask('/api/runs', api.adminKey)).statusCode);
    expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
    const refused = await ask('/api/runs', api.adminKey);
    expect(refused.json()).toMatchObject({ status: 429, code: 'rate_limited', retryable: true });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    const other = await api.stores.keys.create('other', 'viewer');
    expect((await ask('/api/runs', other.text)).statusCode).toBe(200);
  });

  test('health and metrics are never limited', async () => {
    for (let time = 0; time < 30; time += 1) {
      expect((await ask('/metrics', api.adminKey)).statusCode).toBe(200);
      expect((await ask('/health/ready', '')).statusCode).toBe(200);
    }
  });

  test('guessing keys ends in 429 without the store being asked; the agent behind the same address goes on', async () => {
    const address = '127.0.0.9';
    expect((await ask('/api/artifacts/' + 'a'.repeat(64), api.agentKey, address)).statusCode).toBe(404);
    const statuses: number[] = [];
    for (let time = 0; time < 12; time += 1) statuses.push((await ask('/api/runs', makeKeyText('admin'), address)).statusCode);
    expect(statuses).toEqual([...Array<number>(10).fill(401), 429, 429]);
    expect((await ask('/api/artifacts/' + 'a'.repeat(64), api.agentKey, address)).statusCode).toBe(404);
  });

  test('guessing enrolment tokens ends in 429 as well', async () => {
    const statuses: number[] = [];
    for (let time = 0; time < 11; time += 1) statuses.push((await api.app.inject({ method: 'POST', url: '/api/enrolments/exchange', payload: { token: 'fl_enrol_x' }, remoteAddress: '127.0.0.8' })).statusCode);
    expect(statuses).toEqual([...Array<number>(10).fill(401), 429]);
  });

  test('behind a proxy that is trusted each client has a limit of its own; behind one that is not, they share one', async () => {
    const guess = async (proxy: string, client: string) => (await api.app.inject({ url: '/api/runs', headers: { authorization: `Bearer ${makeKeyText('admin')}`, 'x-forwarded-for': client }, remoteAddress: proxy })).statusCode;
    for (let time = 0; time < 10; time += 1) await guess('127.7.0.1', '192.0.2.1');
    expect([await guess('127.7.0.1', '192.0.2.1'), await guess('127.7.0.1', '192.0.2.2')]).toEqual([429, 401]);
    for (let time = 0; time < 10; time += 1) await guess('127.6.0.1', `198.51.100.${time}`);
    expect(await guess('127.6.0.1', '198.51.100.99')).toBe(429);
  });
});
