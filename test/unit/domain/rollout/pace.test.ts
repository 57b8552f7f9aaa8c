import { noHosts } from '../../../../src/domain/rollout/outcome.ts';
import { pauseBetween, reportNow } from '../../../../src/domain/rollout/shard.ts';
import { gatherStoryMs } from '../../../../src/domain/rollout/standing.ts';

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

test('a rollout all of whose 10,000 hosts fail, two a second, each told by itself, fits into one history', () => {
  // A report: its signal and a workflow task. What is written: a timer, an activity, and a workflow task for each.
  let events = 0;
  let writtenAt = 0;
  for (let host = 1; host <= 10_000; host += 1) {
    events += 4;
    const at = host * 500;
    if (at - writtenAt < gatherStoryMs(events)) continue;
    writtenAt = at;
    events += 11;
  }
  expect(events).toBeLessThan(mostEvents);
  expect(gatherStoryMs(0)).toBe(1_000);
});
