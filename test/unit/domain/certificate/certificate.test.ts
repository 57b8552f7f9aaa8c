import { longestWaitMs, nextTryAt, readRetryAfter } from '../../../../src/domain/certificate/backoff.ts';
import { checkNewCertificate } from '../../../../src/domain/certificate/check.ts';
import type { CertificateFacts } from '../../../../src/domain/certificate/facts.ts';
import { parseNames, type ChallengeKind, type NameScope } from '../../../../src/domain/certificate/names.ts';
import { isCertificateName, orderIdentity, type CertificateRequest } from '../../../../src/domain/certificate/request.ts';
import { planRenewal } from '../../../../src/domain/certificate/renewal.ts';
import { certificateStatus, expiryEvent, thresholdsOf } from '../../../../src/domain/certificate/status.ts';
import type { Reason } from '../../../../src/domain/failure.ts';

const day = 86_400_000;
const hour = 3_600_000;
const start = Date.UTC(2026, 0, 1);
const at = (days: number): string => new Date(start + days * day).toISOString();
const link = { subject: 'CN=Intermediate', issuer: 'CN=Root', notBefore: at(-300), notAfter: at(3_000), fingerprintSha256: 'bb', signedByNext: null };
const facts: CertificateFacts = { subject: '', issuer: 'CN=Intermediate', notBefore: at(0), notAfter: at(90), fingerprintSha256: 'aa', signedByNext: true, names: ['a.example.org', 'b.example.org'], serial: '01', publicKeySha256: 'cc', chain: [link], anchor: 'dd' };

describe('a new certificate', () => {
  const expectation = { names: ['a.example.org'], publicKeySha256: 'cc', current: { fingerprintSha256: '99', serial: '99' }, now: start + day };

  test('that is what was asked for has nothing against it', () => {
    expect(checkNewCertificate(facts, expectation)).toEqual([]);
  });

  test.each<{ name: string; change?: Partial<CertificateFacts>; now?: number; code: string }>([
    { name: 'for another key', change: { publicKeySha256: 'ee' }, code: 'certificate_key_mismatch' },
    { name: 'without one of the names', change: { names: ['b.example.org'] }, code: 'certificate_names_missing' },
    { name: 'without its intermediate', change: { chain: [], signedByNext: null, anchor: null }, code: 'certificate_chain_incomplete' },
    { name: 'with a chain in the wrong order', change: { signedByNext: false }, code: 'certificate_chain_incomplete' },
    { name: 'with a chain that leads to no known root', change: { anchor: null }, code: 'certificate_chain_incomplete' },
    { name: 'with an intermediate that is over', change: { chain: [{ ...link, notAfter: at(0.5) }] }, code: 'certificate_chain_expired' },
    { name: 'seen with a clock that is two days behind', now: start - 2 * day, code: 'certificate_not_yet_valid' },
    { name: 'of six days, seen with a clock that is 40 days ahead', change: { notAfter: at(6) }, now: start + 40 * day, code: 'certificate_expired' },
    { name: 'that is the one in use', change: { fingerprintSha256: '99' }, code: 'certificate_same_as_current' },
    { name: 'that ends before it begins', change: { notBefore: at(0.5), notAfter: at(-1) }, now: start - 3 * day, code: 'certificate_lifetime_absurd' },
    { name: 'for a hundred years', change: { notAfter: at(36_500) }, code: 'certificate_lifetime_absurd' },
  ])('$name is refused: $code', ({ change, now, code }) => {
    const reasons = checkNewCertificate({ ...facts, ...change }, { ...expectation, now: now ?? expectation.now });
    expect(reasons.map((reason) => reason.code)).toContain(code);
    expect(reasons.every((reason) => reason.class === 'dependency' && reason.hint !== undefined)).toBe(true);
  });

  test('a minute ahead of the host is no fault of either', () => {
    expect(checkNewCertificate(facts, { ...expectation, now: start - 60_000 })).toEqual([]);
  });
});

describe('names', () => {
  test('are lower case, each once, in their order', () => {
    expect(parseNames(['App.Example.org', 'b.example.org', 'app.example.org '], 'http-01', 'public')).toEqual({ names: ['app.example.org', 'b.example.org'] });
  });

  test.each<{ name: string; challenge?: ChallengeKind; scope?: NameScope; code: string | null }>([
    { name: '*.example.org', challenge: 'dns-01', code: null },
    { name: '*.example.org', challenge: 'http-01', code: 'certificate_wildcard_needs_dns' },
    { name: '*.org', challenge: 'dns-01', code: 'certificate_name_invalid' },
    { name: 'a.*.example.org', challenge: 'dns-01', code: 'certificate_name_invalid' },
    { name: 'intranet', code: 'certificate_name_invalid' },
    { name: 'intranet', scope: 'private', code: null },
    { name: 'app.corp.internal', code: 'certificate_name_invalid' },
    { name: 'app.corp.internal', scope: 'private', code: null },
    { name: 'app.local', code: 'certificate_name_invalid' },
    { name: '10.0.0.1', scope: 'private', code: 'certificate_name_invalid' },
    { name: '[::1]', code: 'certificate_name_invalid' },
    { name: 'https://app.example.org/', code: 'certificate_name_invalid' },
    { name: 'app_1.example.org', code: 'certificate_name_invalid' },
    { name: '-app.example.org', code: 'certificate_name_invalid' },
    { name: `${'a'.repeat(64)}.example.org`, code: 'certificate_name_invalid' },
    { name: `${'a.'.repeat(130)}org`, code: 'certificate_name_invalid' },
    { name: 'münchen.example.org', code: 'certificate_name_invalid' },
    { name: 'xn--mnchen-3ya.example.org', code: null },
    { name: 'app.example.org.', code: 'certificate_name_invalid' },
    { name: 'a.example.org\nb.example.org', code: 'certificate_name_invalid' },
    { name: '../../etc', code: 'certificate_name_invalid' },
  ])('$name by $challenge in scope $scope: $code', ({ name, challenge = 'http-01', scope = 'public', code }) => {
    const parsed = parseNames([name], challenge, scope);
    expect('problems' in parsed ? parsed.problems.map((problem) => problem.code) : []).toEqual(code === null ? [] : [code]);
  });

  test('none, and a hundred and one, are refused', () => {
    const codes = (names: string[]) => { const parsed = parseNames(names, 'http-01', 'public'); return 'problems' in parsed ? parsed.problems.map(({ code }) => code) : []; };
    expect(codes([])).toEqual(['certificate_name_missing']);
    expect(codes(Array.from({ length: 101 }, (_, at) => `h${at}.example.org`))).toEqual(['certificate_names_too_many']);
  });
});

describe('Retry-After', () => {
  test.each([
    { header: '120', waits: 120_000 },
    { header: ' 120 ', waits: 120_000 },
    { header: '0', waits: 1_000 },
    { header: new Date(start + 2 * hour).toUTCString(), waits: 2 * hour },
    { header: new Date(start - 2 * hour).toUTCString(), waits: 1_000 },
    { header: '99999999999999999999', waits: day },
    { header: new Date(start + 4_000 * day).toUTCString(), waits: day },
    { header: String(longestWaitMs / 1_000), waits: longestWaitMs },
    { header: '-5', waits: null },
    { header: '1e9', waits: null },
    { header: '2026-01-02', waits: null },
    { header: 'soon', waits: null },
    { header: '', waits: null },
    { header: undefined, waits: null },
  ])('$header: $waits ms', ({ header, waits }) => {
    expect(readRetryAfter(header, start)).toBe(waits);
  });
});

describe('the next try', () => {
  const reason = (code: string, more: Partial<Reason> = {}): Reason => ({ class: 'dependency', code, message: '', ...more });
  const waits = (failures: number, given: Reason): number => Date.parse(nextTryAt({ failures, reason: given, seed: 'h1/app', now: start })) - start;

  test.each([
    { name: 'a CA that is away, first', failures: 1, given: reason('ca_away'), about: 60_000 },
    { name: 'a CA that is away, for long', failures: 40, given: reason('ca_away'), about: 6 * hour },
    { name: 'a failed validation, first', failures: 1, given: reason('validation_failed'), about: hour / 4 },
    { name: 'a failed validation, again and again', failures: 9, given: reason('validation_failed'), about: day },
    { name: 'what a person has to change', failures: 5, given: reason('names_rejected', { class: 'request' }), about: day },
  ])('after $name: about $about ms', ({ failures, given, about }) => {
    expect(waits(failures, given)).toBeGreaterThanOrEqual(0.9 * about);
    expect(waits(failures, given)).toBeLessThanOrEqual(1.1 * about);
  });

  test("a CA's own word is never shortened, up to a week", () => {
    expect(waits(1, reason('ca_rate_limited', { retryAt: at(3) }))).toBe(3 * day);
    expect(waits(1, reason('ca_rate_limited', { retryAt: at(300) }))).toBe(7 * day);
  });

  test("a CA's word that is shorter than our own does not make a storm", () => {
    expect(waits(4, reason('ca_unavailable', { retryAt: new Date(start + 1_000).toISOString() }))).toBeGreaterThan(0.9 * hour);
  });

  test('a year of failures is fewer than 400 tries', () => {
    let now = start;
    let tries = 0;
    for (; now < start + 365 * day; tries += 1) now = Date.parse(nextTryAt({ failures: tries + 1, reason: reason('validation_failed'), seed: 'h1/app', now }));
    expect(tries).toBeLessThan(420);
  });
});

describe('status', () => {
  test.each([
    { name: '90 days', lifetime: 90, expected: [14, 7, 3, 1] },
    { name: '30 days', lifetime: 30, expected: [7, 3, 1] },
    { name: '6 days', lifetime: 6, expected: [1] },
  ])('thresholds of $name: $expected', ({ lifetime, expected }) => {
    expect(thresholdsOf({ notBefore: at(0), notAfter: at(lifetime) })).toEqual(expected);
  });

  test.each([
    { name: 'long before', last: 10, now: 20, expected: null },
    { name: '14 days left', last: 75, now: 76, expected: 14 },
    { name: 'told already', last: 76.5, now: 77, expected: null },
    { name: 'away for a while, 7 and 3 passed', last: 80, now: 87.5, expected: 3 },
    { name: 'over', last: 89.5, now: 91, expected: 0 },
    { name: 'first look, one day left', last: null, now: 89.5, expected: 1 },
  ])('event: $name', ({ last, now, expected }) => {
    expect(expiryEvent(facts, last === null ? null : start + last * day, start + now * day)).toBe(expected);
  });

  test.each([
    { name: 'valid', now: 10, failed: false, state: 'valid', daysLeft: 80 },
    { name: 'due', now: 61, failed: false, state: 'due', daysLeft: 29 },
    { name: 'the last try failed', now: 61, failed: true, state: 'waiting', daysLeft: 29 },
    { name: 'one day left', now: 89.5, failed: true, state: 'expiring', daysLeft: 0 },
    { name: 'over', now: 91, failed: true, state: 'expired', daysLeft: -1 },
  ])('$name', ({ now, failed, state, daysLeft }) => {
    const plan = planRenewal(facts, null, 'h1', start);
    const lastTry = failed ? { at: at(60), succeeded: false, reason: { class: 'dependency' as const, code: 'ca_away', message: '' } } : null;
    expect(certificateStatus({ certificate: 'app', facts, plan, lastTry, nextTryAt: null, now: start + now * day })).toMatchObject({ state, daysLeft, serial: '01' });
  });

  test('missing', () => {
    expect(certificateStatus({ certificate: 'app', facts: null, plan: null, lastTry: null, nextTryAt: null, now: start })).toMatchObject({ state: 'missing', names: [], daysLeft: null });
  });
});

test('two requests are one order where what is ordered is the same', () => {
  const request: CertificateRequest = { certificate: 'app', names: ['a.example.org', 'b.example.org'], issuer: { kind: 'acme', name: 'le', scope: 'public', rootsFile: null, directoryUrl: 'https://ca/dir', contact: [], caBundleFile: null, externalAccountBinding: null, profile: null }, challenge: { kind: 'http-01', webroot: '/a' }, keyType: 'ecdsa-p256' };
  expect(orderIdentity({ ...request, names: ['b.example.org', 'a.example.org'], challenge: { kind: 'http-01', webroot: '/b' } })).toBe(orderIdentity(request));
  for (const other of [{ names: ['a.example.org'] }, { keyType: 'rsa-2048' as const }, { challenge: { kind: 'none' as const } }]) expect(orderIdentity({ ...request, ...other })).not.toBe(orderIdentity(request));
});

test.each(['app', 'app.example.org'])('%s can name a certificate', (name) => expect(isCertificateName(name)).toBe(true));
test.each(['../app', 'a/b', '.app', 'a..b', '', 'App'])('%j cannot name a certificate', (name) => expect(isCertificateName(name)).toBe(false));
