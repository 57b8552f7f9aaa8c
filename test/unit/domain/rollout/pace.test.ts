import { noHosts } from '../../../../src/domain/rollout/outcome.ts';
import { pauseBetween, reportNow } from '../../../../src/domain/rollout/shard.ts';

const hour = 3_600_000;
/** A history ends at 51,200 events; a report costs its rollout up to 18 when it comes alone, a look its shard 11. */
const mostEvents = 51_200;

/** How often something happens in so much time where there is always something to tell. */
function timesIn(what: 'reports' | 'looks', limitMs: number): number {
  let times = 0;
  for (let at = 0; at < limitMs; at += pauseBetween(what, at)) times += 1;
  return times;
}

describe('the pace of a shard', () => {
  test('a wave of 10,000 slow hosts takes a day, and the reports of its shards fit into one history', () => {
    expect(20 * timesIn('reports', 24 * hour) * 18).toBeLessThan(mostEvents);
  });

  test('hosts that stay away for a year are looked for, and the looks fit into one history', () => {
    expect(timesIn('looks', 366 * 24 * hour) * 11).toBeLessThan(mostEvents / 2);
  });

  test('a minute is told every five seconds, an hour not later than after a tenth of it', () => {
    expect([pauseBetween('reports', 0), pauseBetween('reports', 50_000), pauseBetween('reports', hour)]).toEqual([5_000, 5_000, hour / 10]);
  });

  test('a failure is told at once where a budget counts it, and with the rest where none does', () => {
    const counts = { ...noHosts, failed: 1 };
    expect([0, 5, null].map((failuresAllowed) => reportNow(noHosts, counts, { failuresAllowed }))).toEqual([true, true, false]);
  });
});
