import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keepTraffic, readTraffic, trimTraffic } from '../../../../src/adapters/router/nginx/traffic.ts';
import type { Pool } from '../../../../src/adapters/router/nginx/pools.ts';

const pools: Pool[] = [
  { socket: 'pool-3fa9c1aa00000000000f.sock', service: 'api', members: [{ instance: 'api-a', port: 4001 }, { instance: 'api-b', port: 4002 }] },
];
const line = (at: number, port = 4001, status = 200) => `${(at / 1000).toFixed(3)}|3fa9c1aa|127.0.0.1:${port}|${status}|0.010|${status}\n`;

describe('nginx: the log of requests', () => {
  let place: { traffic: string };
  let directory: string;
  beforeEach(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-traffic-'));
    place = { traffic: join(directory, 'traffic') };
  });
  afterEach(() => fs.rm(directory, { recursive: true, force: true }));

  /** A file as it is after its time: written to from `from` on. */
  const fill = async (period: number, text: string, from = period * 100_000) => {
    await fs.mkdir(place.traffic, { recursive: true });
    await fs.writeFile(`${place.traffic}/${period}.log`, `#${from}\n${text}`);
  };
  const requests = async (since: number, now: number) => (await readTraffic(place, since, now, pools))?.['api-a']?.requests ?? null;

  test('files for now and the next quarter of an hour are there; asking again, also at once, replaces none', async () => {
    const now = Date.now();
    await Promise.all([keepTraffic(place, null, now), keepTraffic(place, null, now)]);
    const names = (await fs.readdir(place.traffic)).sort();
    const current = Math.floor(now / 100_000);
    expect(names).toEqual(Array.from({ length: 11 }, (_none, ahead) => `${current + ahead}.log`));
    await fs.appendFile(`${place.traffic}/${current}.log`, line(now));
    await keepTraffic(place, null, now);
    expect(await fs.readFile(`${place.traffic}/${current}.log`, 'utf8')).toContain(line(now));
    expect(await readTraffic(place, now - 1, now, pools)).toBeNull();
  });

  test('a window over several files; one that begins before the first was written to, or meets a gap, cannot be told', async () => {
    await fill(100, line(10_050_000) + line(10_060_000), 10_050_000);
    await fill(101, line(10_110_000));
    expect(await requests(10_050_000, 10_150_000)).toBe(3);
    expect(await requests(10_055_000, 10_150_000)).toBe(2);
    expect(await requests(10_100_000, 10_150_000)).toBe(1);
    expect(await requests(10_049_999, 10_150_000)).toBeNull();
    await fill(103, '');
    expect(await requests(10_100_000, 10_310_000)).toBeNull();
    expect(await readTraffic(place, 10_300_000, 10_310_000, pools)).toEqual({});
  });

  test('more than its room is added up, oldest first, and says the same; what is very old goes', async () => {
    const many = line(10_010_000).repeat(Math.ceil((17 * 1024 * 1024) / line(10_010_000).length));
    await fill(100, many + line(10_020_000, 4002, 500));
    await fill(101, line(10_110_000));
    const now = 10_150_000;
    const before = await readTraffic(place, 10_000_000, now, pools);
    await trimTraffic(place, now, pools);
    expect((await fs.readdir(place.traffic)).sort()).toEqual(['100.json', '101.log']);
    expect(await readTraffic(place, 10_000_000, now, pools)).toEqual(before);
    expect(before?.['api-b']).toMatchObject({ requests: 1, errors: 1 });
    // Inside of what was added up: from its begin on.
    expect(await requests(10_090_000, now)).toBe(before?.['api-a']?.requests);
    const muchLater = now + 31 * 3_600_000;
    await trimTraffic(place, muchLater, pools);
    expect(await fs.readdir(place.traffic)).toEqual([]);
    expect(await requests(10_090_000, muchLater)).toBeNull();
  });

  test('the file of the running hundred seconds is never added up, however large', async () => {
    await fill(100, line(10_010_000).repeat(400_000));
    await trimTraffic(place, 10_050_000, pools);
    expect(await fs.readdir(place.traffic)).toEqual(['100.log']);
  });

  test('where all members are taken for dead, the error is of each in turn', async () => {
    await fill(100, '10010.000|3fa9c1aa|pool_3fa9|502|0.000|502\n'.repeat(4));
    expect(await readTraffic(place, 10_000_000, 10_050_000, pools)).toMatchObject({ 'api-a': { requests: 2, errors: 2 }, 'api-b': { requests: 2, errors: 2 } });
  });
});
