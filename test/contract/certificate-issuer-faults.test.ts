import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { maxNonceAttempts } from '../../src/adapters/certificate-issuer/acme/client.ts';
import { planRenewal } from '../../src/domain/certificate/renewal.ts';
import type { StagedCertificate } from '../../src/ports/certificate-issuer.ts';
import { createAuthority } from '../support/certificate-authority.ts';
import { startFaultProxy, type Answer, type Fault, type FaultProxy, type Seen } from '../support/fault-proxy.ts';
import { createIssuingBed, issue, pollUntil, reasonOf, type IssuingBed } from '../support/issuing.ts';
import { pebbleIsThere, startPebble, type TestPebble } from '../support/pebble.ts';
import { describeWith } from '../support/requirement.ts';

const isPost = (path: string) => (request: Seen): boolean => request.method === 'POST' && request.path.startsWith(path);
const [isNewOrder, isFinalize, isOrder, isCertificate, isAuthorization] = [isPost('/order-plz'), isPost('/finalize-order/'), isPost('/my-order/'), isPost('/certZ/'), isPost('/authZ/')];
const isNonce = ({ method }: Seen): boolean => method === 'HEAD';
const isRenewalInfo = ({ path }: Seen): boolean => path.includes('/renewalInfo/');
const problem = (status: number, type: string, headers: Record<string, string> = {}): Answer => ({ status, headers: { 'content-type': 'application/problem+json', ...headers }, body: JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: `injected ${type}` }) });
const json = (body: object, headers: Record<string, string> = {}): Answer => ({ status: 200, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const certificateOf = ({ directory }: StagedCertificate): Promise<string> => fs.readFile(join(directory, 'cert.pem'), 'utf8');
const isStaged = (bed: IssuingBed): Promise<boolean> => fs.access(join(bed.directory, 'staged/app/staged.json')).then(() => true, () => false);

describeWith([pebbleIsThere], 'an ACME server at fault', () => {
  let pebble: TestPebble;
  let proxy: FaultProxy;
  let bed: IssuingBed;
  beforeAll(async () => {
    pebble = await startPebble();
    proxy = await startFaultProxy(pebble.address, pebble.tls);
  }, 120_000);
  afterAll(async () => {
    await proxy?.stop();
    await pebble?.stop();
  });
  beforeEach(async () => {
    bed = await createIssuingBed(pebble, () => `${proxy.url}/dir`);
    proxy.inject();
    proxy.seen.length = 0;
  });
  afterEach(() => bed.end());

  /** Up to the point where the order can be finalized. */
  async function untilReady(profile: string | null = null) {
    const [issuer, request] = [bed.issuer(), await bed.request({ issuer: { profile } })];
    await issuer.order(request, null);
    await issuer.present(request);
    await issuer.answer(request);
    await pollUntil(issuer, request, ({ status }) => status === 'ready');
    return { issuer, request };
  }

  describe('busy or away: one request, and the time of the next from what it says', () => {
    const soon = (): string => new Date(Date.now() + 3_600_000).toUTCString();
    test.each<{ name: string; answer: () => Answer | null; code: string; waitsMs: number | null; retryable: boolean }>([
      { name: '429 with Retry-After in seconds', answer: () => problem(429, 'rateLimited', { 'retry-after': '7200' }), code: 'ca_rate_limited', waitsMs: 7_200_000, retryable: false },
      { name: '429 with Retry-After as a date', answer: () => problem(429, 'rateLimited', { 'retry-after': soon() }), code: 'ca_rate_limited', waitsMs: 3_600_000, retryable: false },
      { name: '429 without a type', answer: () => ({ status: 429, headers: { 'retry-after': '60' }, body: 'slow down' }), code: 'ca_rate_limited', waitsMs: 60_000, retryable: false },
      { name: '503 with Retry-After in seconds', answer: () => ({ status: 503, headers: { 'retry-after': '120' }, body: '' }), code: 'ca_unavailable', waitsMs: 120_000, retryable: false },
      { name: '503 with Retry-After as a date', answer: () => problem(503, 'serverInternal', { 'retry-after': soon() }), code: 'ca_unavailable', waitsMs: 3_600_000, retryable: false },
      { name: '503 with a Retry-After of ten years', answer: () => ({ status: 503, headers: { 'retry-after': '315360000' }, body: '' }), code: 'ca_unavailable', waitsMs: 86_400_000, retryable: false },
      { name: '500 without Retry-After', answer: () => problem(500, 'serverInternal'), code: 'ca_unavailable', waitsMs: null, retryable: true },
      { name: 'the connection is cut', answer: () => null, code: 'ca_away', waitsMs: null, retryable: true },
      { name: 'JSON that is cut off', answer: () => ({ status: 201, headers: { 'content-type': 'application/json', location: 'https://localhost/1' }, body: '{"status":' }), code: 'ca_answer_invalid', waitsMs: null, retryable: false },
      { name: 'a page of a proxy', answer: () => ({ status: 201, headers: { 'content-type': 'text/html', location: 'https://localhost/1' }, body: '<html>' }), code: 'ca_answer_invalid', waitsMs: null, retryable: false },
    ])('$name: $code', async ({ answer, code, waitsMs, retryable }) => {
      proxy.inject({ on: isNewOrder, answer });
      const reason = await reasonOf(bed.issuer().order(await bed.request(), null));
      expect(reason).toMatchObject({ class: 'dependency', code, retryable });
      if (waitsMs === null) expect(reason.retryAt).toBeUndefined();
      else expect(Math.abs(Date.parse(reason.retryAt ?? '') - Date.now() - waitsMs)).toBeLessThan(30_000);
      expect(proxy.count(isNewOrder)).toBe(1);
      expect(proxy.seen.length).toBeLessThanOrEqual(4);
    });

    test('its HTTPS is not trusted without its bundle: ca_tls_failed, and nothing is sent', async () => {
      const reason = await reasonOf(bed.issuer().order(await bed.request({ issuer: { caBundleFile: null } }), null));
      expect(reason).toMatchObject({ class: 'dependency', code: 'ca_tls_failed' });
      expect(proxy.seen).toEqual([]);
    });
  });

  describe('nonces', () => {
    test('every one is rejected: given up after a bound, each try with the nonce of the refusal', async () => {
      let given = 0;
      proxy.inject({ on: isNewOrder, answer: () => problem(400, 'badNonce', { 'replay-nonce': `refused-${(given += 1)}` }) });
      expect(await reasonOf(bed.issuer().order(await bed.request(), null))).toMatchObject({ class: 'dependency', code: 'ca_nonces_rejected', retryable: false });
      expect(proxy.count(isNewOrder)).toBe(maxNonceAttempts);
      expect(proxy.count(isNonce)).toBe(1);
    });

    test('one is rejected, by an answer without another: one is asked for', async () => {
      proxy.inject({ on: isNewOrder, times: 1, answer: () => problem(400, 'badNonce') });
      await expect(bed.issuer().order(await bed.request(), null)).resolves.toMatchObject({ status: 'pending' });
      expect(proxy.count(isNewOrder)).toBe(2);
      expect(proxy.count(isNonce)).toBe(2);
    });
  });

  describe('an order', () => {
    test('that replaces a certificate says so; one that was replaced already (409 alreadyReplaced) is ordered without', async () => {
      const [issuer, request] = [bed.issuer(), await bed.request()];
      const first = await certificateOf(await issue(issuer, request));
      await issuer.forget(request);
      const second = await issue(issuer, request, first);
      expect(await certificateOf(second)).not.toBe(first);
      await issuer.forget(request);
      expect(proxy.seen.filter(isNewOrder).map(({ payload }) => typeof payload?.['replaces'])).toEqual(['undefined', 'string']);
      // Pebble itself refuses the second order for the same one.
      await expect(issuer.order(request, first)).resolves.toMatchObject({ status: 'pending', replaces: false });
      expect(proxy.seen.filter(isNewOrder).slice(2).map(({ status, payload }) => [status, typeof payload?.['replaces']])).toEqual([[409, 'string'], [201, 'undefined']]);
    }, 60_000);

    test('that the CA fails at for what it replaces, each time, is ordered without; one that it fails at altogether is not made', async () => {
      const [issuer, request] = [bed.issuer(), await bed.request()];
      const first = await certificateOf(await issue(issuer, request));
      await issuer.forget(request);
      const asked = () => proxy.seen.filter(isNewOrder).map(({ payload }) => typeof payload?.['replaces']).slice(1);
      proxy.inject({ on: isNewOrder, answer: () => problem(500, 'serverInternal') });
      expect(await reasonOf(issuer.order(request, first))).toMatchObject({ class: 'dependency', code: 'ca_unavailable', retryable: true });
      expect(asked()).toEqual(['string', 'undefined']);
      proxy.inject({ on: (seen) => isNewOrder(seen) && seen.payload?.['replaces'] !== undefined, answer: () => problem(500, 'serverInternal') });
      await expect(issuer.order(request, first)).resolves.toMatchObject({ status: 'pending', replaces: false });
      expect(asked()).toEqual(['string', 'undefined', 'string', 'undefined']);
    }, 60_000);

    test('whose finalization is not answered goes on as the same one, and is not finalized twice', async () => {
      const { issuer, request } = await untilReady();
      proxy.inject({ on: isFinalize, times: 1, change: () => null });
      expect(await reasonOf(issuer.finalize(request))).toMatchObject({ code: 'ca_away' });
      await issuer.order(request, null);
      await issuer.finalize(request);
      await pollUntil(issuer, request, ({ status }) => status === 'valid');
      await expect(issuer.download(request)).resolves.toMatchObject({ facts: { names: request.names } });
      expect([proxy.count(isNewOrder), proxy.count(isFinalize)]).toEqual([1, 1]);
    }, 60_000);

    test('that stays in processing is told as such, once for each question, and ends when the CA does', async () => {
      const { issuer, request } = await untilReady();
      const processing: Fault = { on: (seen) => isOrder(seen) || isFinalize(seen), change: (answer) => ({ ...answer, headers: { ...answer.headers, 'retry-after': '30' }, body: JSON.stringify({ ...(JSON.parse(answer.body) as object), status: 'processing' }) }) };
      await issuer.finalize(request);
      proxy.inject(processing);
      const before = proxy.seen.length;
      const progress = await issuer.poll(request);
      expect(progress.status).toBe('processing');
      expect(Math.abs(Date.parse(progress.retryAt ?? '') - Date.now() - 30_000)).toBeLessThan(20_000);
      expect(proxy.seen.length - before).toBeLessThanOrEqual(3);
      expect(await issuer.finalize(request)).toMatchObject({ status: 'processing' });
      expect(await reasonOf(issuer.download(request))).toMatchObject({ class: 'dependency', code: 'ca_still_processing', retryable: true });
      proxy.inject();
      await pollUntil(issuer, request, ({ status }) => status === 'valid');
      await issuer.download(request);
      expect([proxy.count(isNewOrder), proxy.count(isFinalize)]).toEqual([1, 1]);
    }, 60_000);

    test('whose validation fails at first: validation_failed with what the CA saw; the next order is a new one and succeeds', async () => {
      const [issuer, request] = [bed.issuer(), await bed.request()];
      await issuer.order(request, null);
      await issuer.answer(request);
      const reason = await reasonOf(pollUntil(issuer, request, () => false));
      expect(reason).toMatchObject({ class: 'dependency', code: 'validation_failed', retryable: false });
      expect(reason.message).toContain('.example.org: ');
      expect(await reasonOf(issuer.poll(request))).toMatchObject({ code: 'order_missing' });
      await issue(issuer, request);
      expect(proxy.count(isNewOrder)).toBe(2);
    }, 60_000);

    test.each<{ name: string; change: (answer: Answer, other: string) => Answer; code: string }>([
      { name: 'a certificate for another key', change: (answer, other) => ({ ...answer, body: other }), code: 'certificate_key_mismatch' },
      { name: 'an incomplete chain', change: (answer) => ({ ...answer, body: `${answer.body.split('-----END CERTIFICATE-----')[0]}-----END CERTIFICATE-----\n` }), code: 'certificate_chain_incomplete' },
      { name: 'no certificate', change: (answer) => ({ ...answer, body: 'gone fishing' }), code: 'certificate_unreadable' },
    ])('that gives $name: $code, nothing is staged, the next order is a new one with a new key', async ({ change, code }) => {
      const other = (await (await createAuthority('Other')).issue({ names: ['app.example.org', 'www.example.org'] })).cert;
      const { issuer, request } = await untilReady();
      const key = await fs.readFile(join(bed.directory, 'orders/app/key.pem'), 'utf8');
      proxy.inject({ on: isCertificate, change: (answer) => change(answer, other) });
      await issuer.finalize(request);
      await pollUntil(issuer, request, ({ status }) => status === 'valid');
      expect(await reasonOf(issuer.download(request))).toMatchObject({ class: 'dependency', code, retryable: false });
      expect(await isStaged(bed)).toBe(false);
      expect(await reasonOf(issuer.download(request))).toMatchObject({ code: 'order_missing' });
      expect(proxy.count(isCertificate)).toBe(1);
      await issuer.order(request, null);
      expect(proxy.count(isNewOrder)).toBe(2);
      expect(await fs.readFile(join(bed.directory, 'orders/app/key.pem'), 'utf8')).not.toBe(key);
    }, 60_000);

    test('that gives the certificate in use again: certificate_same_as_current', async () => {
      const [issuer, request] = [bed.issuer(), await bed.request()];
      const first = await issue(issuer, request);
      const [current, fullchain] = [await certificateOf(first), await fs.readFile(join(first.directory, 'fullchain.pem'), 'utf8')];
      await issuer.forget(request);
      proxy.inject({ on: isCertificate, change: (answer) => ({ ...answer, body: fullchain }) });
      const reason = await reasonOf(issue(issuer, request, current));
      expect([reason.code, reason.message]).toEqual(['certificate_key_mismatch', expect.stringContaining('is the one that is in use already')]);
    }, 60_000);

    test('with a token that leads out of the webroot: not met, and no file is written', async () => {
      const [issuer, request] = [bed.issuer(), await bed.request()];
      await issuer.order(request, null);
      proxy.inject({ on: isAuthorization, change: (answer) => ({ ...answer, body: answer.body.replaceAll(/"token": *"[^"]*"/g, '"token": "../../../escaped"') }) });
      expect(await reasonOf(issuer.present(request))).toMatchObject({ class: 'request', code: 'challenge_not_offered' });
      expect(await fs.readdir(bed.webroot)).toEqual([]);
    });

    test('for a name that the CA does not certify: names_rejected, class request', async () => {
      expect(await reasonOf(bed.issuer().order(await bed.request({ names: ['app.blocked.org'] }), null))).toMatchObject({ class: 'request', code: 'names_rejected' });
      expect(proxy.count(isNewOrder)).toBe(1);
    });

    test('by a profile is as long as the profile says; an unknown one is a mistake of the request', async () => {
      const { facts } = await issue(bed.issuer(), await bed.request({ issuer: { profile: 'hours' } }));
      expect(Date.parse(facts.notAfter) - Date.parse(facts.notBefore)).toBeLessThanOrEqual(6 * 3_600_000);
      expect(await reasonOf(bed.issuer().order(await bed.request({ issuer: { profile: 'forever' } }), null))).toMatchObject({ class: 'request', code: 'profile_unknown' });
    }, 60_000);
  });

  test.each([40, -40])("the host's clock is %i days ahead: clock_wrong, and nothing is ordered", async (days) => {
    expect(await reasonOf(bed.issuer(days * 86_400_000).order(await bed.request(), null))).toMatchObject({ class: 'host', code: 'clock_wrong', retryable: false });
    expect(proxy.seen.map(({ path }) => path)).toEqual(['/dir']);
  });

  describe('renewal information', () => {
    let current: StagedCertificate;
    let pem: string;
    beforeEach(async () => {
      const [issuer, request] = [bed.issuer(), await bed.request({ issuer: { profile: 'default' } })];
      current = await issue(issuer, request);
      pem = await certificateOf(current);
      proxy.seen.length = 0;
    }, 60_000);
    const ask = async () => {
      const information = await bed.issuer().renewalInformation(await bed.request(), pem);
      return { information, plan: planRenewal(current.facts, information, 'h1', Date.now()) };
    };
    const daysAway = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+Z/, 'Z');

    test("pebble's own window is followed", async () => {
      const { plan } = await ask();
      expect(plan).toMatchObject({ because: 'ari', refused: null });
      expect(Date.parse(plan.at)).toBeGreaterThan(Date.now());
      expect(proxy.count(isRenewalInfo)).toBe(1);
    });

    test.each([
      { name: 'in the past: renewed soon after its issue', window: [-0.02, -0.01], because: 'ari', refused: null },
      { name: 'far away', window: [4_000, 4_001], because: 'one_third_left', refused: 'ari_too_late' },
      { name: 'inverted', window: [50, 40], because: 'one_third_left', refused: 'ari_inverted' },
    ])('a window $name', async ({ window: [from = 0, to = 0], because, refused }) => {
      await pebble.setRenewalInfo(pem, JSON.stringify({ suggestedWindow: { start: refused === null ? new Date(Date.parse(current.facts.notBefore) + 1_000).toISOString() : daysAway(from), end: refused === null ? new Date(Date.parse(current.facts.notBefore) + 2_000).toISOString() : daysAway(to) } }));
      const { plan } = await ask();
      expect(plan).toMatchObject({ because, refused });
      expect(Date.parse(plan.at)).toBeLessThan(Date.parse(current.facts.notAfter));
    });

    test.each([
      { name: 'malformed JSON', text: '{"suggestedWindow":' },
      { name: 'another document', text: '{"hello":"world"}' },
      { name: 'a list', text: '[]' },
      { name: 'times that are none', text: '{"suggestedWindow":{"start":"now","end":"later"}}' },
    ])('$name: the own schedule', async ({ text }) => {
      await pebble.setRenewalInfo(pem, text);
      expect((await ask()).plan).toMatchObject({ because: 'one_third_left', window: null });
      expect(proxy.count(isRenewalInfo)).toBe(1);
    });

    test.each<{ name: string; answer: () => Answer | null }>([
      { name: '404', answer: () => problem(404, 'malformed') },
      { name: '409 alreadyReplaced', answer: () => problem(409, 'alreadyReplaced') },
      { name: '503', answer: () => problem(503, 'serverInternal', { 'retry-after': '60' }) },
      { name: 'a cut connection', answer: () => null },
    ])('$name: the own schedule, asked again in six hours, one request', async ({ answer }) => {
      proxy.inject({ on: isRenewalInfo, answer });
      const { information, plan } = await ask();
      expect([information, plan.because]).toEqual([null, 'one_third_left']);
      expect(Math.round((Date.parse(plan.askAgainAt) - Date.now()) / 3_600_000)).toBe(6);
      expect(proxy.count(isRenewalInfo)).toBe(1);
    });

    test.each([
      { given: '315360000', waitsMs: 86_400_000 },
      { given: '0', waitsMs: 60_000 },
      { given: 'Thu, 01 Jan 1970 00:00:00 GMT', waitsMs: 60_000 },
      { given: 'whenever', waitsMs: 21_600_000 },
    ])('a Retry-After of $given: asked again after $waitsMs ms', async ({ given, waitsMs }) => {
      proxy.inject({ on: isRenewalInfo, answer: () => json({ suggestedWindow: { start: daysAway(50), end: daysAway(52) } }, { 'retry-after': given }) });
      const { plan } = await ask();
      expect(plan.because).toBe('ari');
      expect(Math.abs(Date.parse(plan.askAgainAt) - Date.now() - waitsMs)).toBeLessThan(30_000);
    });
  });
});
