import fc from 'fast-check';
import type { CertificateFacts } from '../../../../src/domain/certificate/facts.ts';
import { fraction, planRenewal, type RenewalInformation } from '../../../../src/domain/certificate/renewal.ts';

const day = 86_400_000;
const at = (days: number): string => new Date(Date.UTC(2026, 0, 1) + days * day).toISOString();
const facts = (lifetimeDays: number): CertificateFacts => ({ subject: '', issuer: 'CN=CA', notBefore: at(0), notAfter: at(lifetimeDays), fingerprintSha256: '00', signedByNext: null, names: ['a.example.org'], serial: '01', publicKeySha256: '00', chain: [], anchor: null });
const answer = (start: unknown, end: unknown, retryAfterMs: number | null = null): RenewalInformation => ({ start, end, retryAfterMs });
const now = Date.parse(at(10));

describe('without an answer of the CA', () => {
  test.each([
    { name: '90 days: at one third left', lifetime: 90, at: at(60), because: 'one_third_left' },
    { name: '10 days: still at one third left', lifetime: 10, at: new Date(Date.parse(at(10)) - (10 * day) / 3).toISOString(), because: 'one_third_left' },
    { name: '6 days: at half left', lifetime: 6, at: at(3), because: 'half_left' },
  ])('$name', ({ lifetime, at: expected, because }) => {
    expect(planRenewal(facts(lifetime), null, 'h1', now)).toEqual({ at: expected.replace(/\.\d+Z/, expected.slice(19)), because, window: null, refused: null, askAgainAt: new Date(now + 6 * 3_600_000).toISOString() });
  });
});

describe("the CA's window", () => {
  test('is followed at an instant within it, the same one each time, another one on another host', () => {
    const window = answer(at(50), at(52));
    const first = planRenewal(facts(90), window, 'h1', now);
    expect(first).toMatchObject({ because: 'ari', refused: null, window: { start: at(50), end: at(52) } });
    expect(Date.parse(first.at)).toBeGreaterThanOrEqual(Date.parse(at(50)));
    expect(Date.parse(first.at)).toBeLessThan(Date.parse(at(52)));
    expect(planRenewal(facts(90), window, 'h1', now + day).at).toBe(first.at);
    expect(planRenewal(facts(90), window, 'h2', now).at).not.toBe(first.at);
  });

  test('in the past means now', () => {
    expect(Date.parse(planRenewal(facts(90), answer(at(2), at(3)), 'h1', now).at)).toBeLessThan(now);
  });

  test('that begins with the certificate does not have a new one renewed at once', () => {
    expect(planRenewal(facts(90), answer(at(-1), new Date(Date.parse(at(0)) + 1_000).toISOString()), 'h1', now).at).toBe(new Date(Date.parse(at(0)) + 6 * 3_600_000).toISOString());
  });

  test.each([
    { name: 'inverted', given: answer(at(52), at(50)), refused: 'ari_inverted' },
    { name: 'of no length', given: answer(at(50), at(50)), refused: 'ari_inverted' },
    { name: 'without times', given: answer(undefined, undefined), refused: 'ari_malformed' },
    { name: 'with a number for a time', given: answer(1_790_000_000, at(50)), refused: 'ari_malformed' },
    { name: 'with a time that is none', given: answer('2026-02-31T99:00:00Z', at(50)), refused: 'ari_malformed' },
    { name: 'with a date in words', given: answer('May 2026', at(50)), refused: 'ari_malformed' },
    { name: 'far away, after the end', given: answer(at(4_000), at(4_001)), refused: 'ari_too_late' },
    { name: 'in the last tenth of the life', given: answer(at(88), at(89)), refused: 'ari_too_late' },
    { name: 'over before the certificate began', given: answer(at(-20), at(-19)), refused: 'ari_before_certificate' },
    { name: 'longer than the life', given: answer(at(1), at(300)), refused: 'ari_too_long' },
  ])('that is $name is not followed: one third left, asked again in six hours', ({ given, refused }) => {
    expect(planRenewal(facts(90), { ...given, retryAfterMs: 60_000 }, 'h1', now)).toMatchObject({ at: at(60), because: 'one_third_left', window: null, refused, askAgainAt: new Date(now + 6 * 3_600_000).toISOString() });
  });

  test.each([
    { name: 'a second: a minute', retryAfterMs: 1_000, waits: 60_000 },
    { name: 'two hours: as said', retryAfterMs: 7_200_000, waits: 7_200_000 },
    { name: 'ten years: a day', retryAfterMs: 3_650 * day, waits: day },
    { name: 'nothing said: six hours', retryAfterMs: null, waits: 21_600_000 },
  ])('is asked for again after $name', ({ retryAfterMs, waits }) => {
    expect(planRenewal(facts(90), answer(at(50), at(52), retryAfterMs), 'h1', now).askAgainAt).toBe(new Date(now + waits).toISOString());
  });

  test('whatever it is, the renewal lies within the life and leaves a tenth of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.integer({ min: -1_000, max: 1_000 }), fc.integer({ min: -10, max: 1_000 }), fc.string(), (lifetime, start, length, host) => {
        const certificate = facts(lifetime);
        const planned = Date.parse(planRenewal(certificate, answer(at(start), at(start + length)), host, now).at);
        expect(planned).toBeGreaterThan(Date.parse(certificate.notBefore));
        expect(planned).toBeLessThanOrEqual(Date.parse(certificate.notAfter) - (lifetime * day) / 10 + 1);
      }),
    );
  });
});

test('a thousand hosts are spread evenly', () => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let host = 0; host < 1_000; host += 1) tenths[Math.floor(fraction(`host-${host}/0abc`) * 10)]! += 1;
  expect(Math.min(...tenths)).toBeGreaterThan(60);
  expect(Math.max(...tenths)).toBeLessThan(150);
});
