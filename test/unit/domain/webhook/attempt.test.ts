import { afterAttempt, deliveryLifeMs, retryAfterMs, retryWaitsMs, type AttemptResult } from '../../../../src/domain/webhook/attempt.ts';

const createdAt = '2026-11-21T03:00:00.000Z';
const start = Date.parse(createdAt);
const answered = (status: number, retryAfter: string | null = null): AttemptResult => ({ kind: 'answered', status, retryAfter });
const waitOf = (result: AttemptResult, attempts = 1, afterMs = 0): number | string => {
  const verdict = afterAttempt(result, { createdAt, attempts }, start + afterMs);
  return verdict.next === 'again' ? Date.parse(verdict.at) - start - afterMs : verdict.next;
};

test.each([
  [200, 'delivered'],
  [204, 'delivered'],
  [302, 10_000],
  [400, 10_000],
  [404, 10_000],
  [410, 'given_up'],
  [429, 10_000],
  [500, 10_000],
] as const)('an answer of %i: %s', (status, then) => {
  expect(waitOf(answered(status))).toBe(then);
});

test('410 disables the webhook, and nothing else does', () => {
  const disables = (result: AttemptResult, afterMs = 0) => afterAttempt(result, { createdAt, attempts: 1 }, start + afterMs);
  expect([disables(answered(410)), disables(answered(500), deliveryLifeMs), disables({ kind: 'refused', why: 'link-local' })]).toMatchObject([{ disable: true }, { next: 'given_up', disable: false }, { next: 'given_up', disable: false }]);
});

test('waits grow, and the last one holds for all that follow', () => {
  expect(retryWaitsMs.map((_, at) => waitOf({ kind: 'failed', why: 'nobody there' }, at + 1))).toEqual([...retryWaitsMs]);
  expect(waitOf(answered(500), 40)).toBe(retryWaitsMs.at(-1));
});

test('a receiver that never answers is tried for a day and no longer', () => {
  let [now, attempts] = [start, 0];
  for (;;) {
    attempts += 1;
    const verdict = afterAttempt({ kind: 'failed', why: 'nobody there' }, { createdAt, attempts }, now);
    if (verdict.next !== 'again') break;
    now = Date.parse(verdict.at);
  }
  expect([attempts, now - start <= deliveryLifeMs, now - start > deliveryLifeMs / 2]).toEqual([13, true, true]);
});

test('Retry-After is honoured where it is longer than the wait, in seconds or as a date', () => {
  expect([waitOf(answered(503, '120')), waitOf(answered(429, '1')), waitOf(answered(503, new Date(start + 300_000).toUTCString()))]).toEqual([120_000, 10_000, 300_000]);
  expect(waitOf(answered(503, '86401'))).toBe('given_up');
});

test.each([[null, 0], ['', 0], ['soon', 0], ['-5', 0], ['1e3', 0], ['7', 7_000], ['Fri, 20 Nov 2026 00:00:00 GMT', 0], ['99999999999', 0]])('Retry-After %j is %i ms', (header, ms) => {
  expect(retryAfterMs(header, start)).toBe(ms);
});
