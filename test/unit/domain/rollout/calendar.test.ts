import { createCronerCalendar } from '../../../../src/adapters/calendar/croner.ts';
import { FairleadError } from '../../../../src/domain/failure.ts';
import type { Window } from '../../../../src/domain/rollout/window.ts';

const calendar = createCronerCalendar();
const window = (cron: string, zone: string, hours: number): Window => ({ cron, zone, durationSeconds: hours * 3600 });
const at = (text: string): string => new Date(text).toISOString();

describe('a window', () => {
  const berlin = window('0 2 * * SAT', 'Europe/Berlin', 3);
  test.each<[string, Window, string, { open: boolean; since?: string | null; until?: string | null; nextOpen?: string | null }]>([
    ['before it opens: closed until then', berlin, '2026-07-03T23:59:59Z', { open: false, since: '2026-06-27T03:00:00Z', until: '2026-07-04T00:00:00Z' }],
    ['at the instant at which it opens: open', berlin, '2026-07-04T00:00:00Z', { open: true, since: '2026-07-04T00:00:00Z', until: '2026-07-04T03:00:00Z', nextOpen: '2026-07-11T00:00:00Z' }],
    ['a moment before it closes: open', berlin, '2026-07-04T02:59:59Z', { open: true, until: '2026-07-04T03:00:00Z' }],
    ['at the instant at which it closes: closed', berlin, '2026-07-04T03:00:00Z', { open: false, since: '2026-07-04T03:00:00Z', until: '2026-07-11T00:00:00Z' }],
    ['across midnight', window('0 22 * * *', 'UTC', 4), '2026-05-02T01:00:00Z', { open: true, since: '2026-05-01T22:00:00Z', until: '2026-05-02T02:00:00Z' }],
    ['that opens again before it closes is one longer window', window('0 */2 * * *', 'UTC', 1.5), '2026-05-02T01:40:00Z', { open: false, since: '2026-05-02T01:30:00Z' }],
    ['whose openings meet never closes for the day', window('0 1,2,3 * * *', 'UTC', 1), '2026-05-02T02:30:00Z', { open: true, since: '2026-05-02T01:00:00Z', until: '2026-05-02T04:00:00Z' }],
    // Spring: the hour does not exist.
    ['Berlin, spring: 02:30 does not exist, opens at 03:00 summer time', window('30 2 * * *', 'Europe/Berlin', 1), '2026-03-29T01:00:00Z', { open: true, since: '2026-03-29T01:00:00Z', until: '2026-03-29T02:00:00Z' }],
    ['Berlin, spring: three hours from 01:00 are three hours that pass, to 05:00', window('0 1 * * *', 'Europe/Berlin', 3), '2026-03-29T02:30:00Z', { open: true, since: '2026-03-29T00:00:00Z', until: '2026-03-29T03:00:00Z' }],
    ['New York, spring: 02:30 opens at 03:00', window('30 2 * * *', 'America/New_York', 1), '2026-03-08T07:30:00Z', { open: true, since: '2026-03-08T07:00:00Z', until: '2026-03-08T08:00:00Z' }],
    ['Lord Howe, spring: the clock goes forward by half an hour at 02:00', window('15 2 * * *', 'Australia/Lord_Howe', 1), '2026-10-03T15:45:00Z', { open: true, since: '2026-10-03T15:30:00Z', until: '2026-10-03T16:30:00Z' }],
    // Autumn: the hour comes twice.
    ['Berlin, autumn: 02:30 comes twice, opens at the first', window('30 2 * * *', 'Europe/Berlin', 0.5), '2026-10-25T00:45:00Z', { open: true, since: '2026-10-25T00:30:00Z', until: '2026-10-25T01:00:00Z' }],
    ['Berlin, autumn: the second 02:30 opens nothing', window('30 2 * * *', 'Europe/Berlin', 0.5), '2026-10-25T01:30:00Z', { open: false, since: '2026-10-25T01:00:00Z', until: '2026-10-26T01:30:00Z' }],
    ['Berlin, autumn: three hours from 01:00 end at 03:00 on the wall', window('0 1 * * *', 'Europe/Berlin', 3), '2026-10-25T01:59:59Z', { open: true, since: '2026-10-24T23:00:00Z', until: '2026-10-25T02:00:00Z' }],
    ['New York, autumn: 01:30 opens once', window('30 1 * * *', 'America/New_York', 1), '2026-11-01T06:30:00Z', { open: false, since: '2026-11-01T06:30:00Z', until: '2026-11-02T06:30:00Z' }],
    ['Lord Howe, autumn: 01:45 comes twice, half an hour apart, opens at the first', window('45 1 * * *', 'Australia/Lord_Howe', 0.25), '2026-04-04T15:20:00Z', { open: false, since: '2026-04-04T15:00:00Z', until: '2026-04-05T15:15:00Z' }],
  ])('%s', (_name, each, now, expected) => {
    const wanted = Object.fromEntries(Object.entries(expected).map(([key, value]) => [key, typeof value === 'string' ? at(value) : value]));
    expect(calendar.windowAt(each, at(now))).toMatchObject(wanted);
  });

  test('that never closes says an end all the same, at which it is asked again', () => {
    const view = calendar.windowAt(window('* * * * *', 'UTC', 1), '2026-05-02T00:00:00.000Z');
    expect(view.open).toBe(true);
    expect(Date.parse(view.until ?? '')).toBeGreaterThan(Date.parse('2026-05-02T12:00:00Z'));
  });

  test('that opens on leap days only: closed for years, and says since when', () => {
    const view = calendar.windowAt(window('0 0 29 2 *', 'UTC', 1), at('2026-05-02T00:00:00Z'));
    expect(view).toEqual({ open: false, since: at('2024-02-29T01:00:00Z'), until: at('2028-02-29T00:00:00Z'), nextOpen: at('2028-02-29T00:00:00Z') });
  });

  test.each([
    ['a minute that no hour has', window('61 2 * * *', 'UTC', 1), 'cron_unusable'],
    ['three fields', window('0 2 *', 'UTC', 1), 'cron_unusable'],
    ['seconds', window('0 0 2 * * *', 'UTC', 1), 'cron_unusable'],
    ['nothing', window('', 'UTC', 1), 'cron_unusable'],
    ['a zone that is none', window('0 2 * * *', 'Mars/Olympus', 1), 'zone_unknown'],
    ['an empty zone', window('0 2 * * *', '', 1), 'zone_unknown'],
    ['an offset', window('0 2 * * *', '+02:00', 1), 'zone_unknown'],
    ['the 30th of February', window('0 2 30 2 *', 'UTC', 1), 'window_never_opens'],
  ])('with %s: refused as %s', (_name, each, code) => {
    const refused = (): string => {
      try {
        calendar.check(each, at('2026-05-02T00:00:00Z'));
      } catch (error) {
        if (error instanceof FairleadError) return `${error.reason.class} ${error.reason.code}`;
        throw error;
      }
      return 'accepted';
    };
    expect(refused()).toBe(`request ${code}`);
  });
});
