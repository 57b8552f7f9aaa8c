import { heldBack, mayGoOn, planDistribution, receivedWish, type DistributionMember } from '../../../../src/domain/certificate/distribution.ts';
import { planCertificate } from '../../../../src/domain/certificate/plan.ts';
import { contextDifferences, sealContextText, type SealContext, type SealedDelivery } from '../../../../src/domain/certificate/seal.ts';
import type { HostId, ProductName, ReleaseId } from '../../../../src/domain/ids.ts';
import { sampleCertificateRequest, sampleLook, samplePair } from '../../../support/certificate-run-samples.ts';

const [h1, h2, h3, h4] = ['h1', 'h2', 'h3', 'h4'] as [HostId, HostId, HostId, HostId];
const product = 'shop' as ProductName;
const member = (host: HostId, change: Partial<DistributionMember> = {}): DistributionMember => ({ host, sealingKey: 'k'.repeat(43), releaseId: 'r1' as ReleaseId, fingerprint: 'old', orderedBy: h1, ...change });
const plan = (members: readonly DistributionMember[], action: 'issue' | 'renew' = 'renew') => planDistribution(members, 'new', { action, host: h1, product });
const wavesOf = (members: readonly DistributionMember[], action?: 'issue' | 'renew') => plan(members, action).waves.map((wave) => wave.map(({ host }) => host));

test('one host first, then the rest', () => {
  expect(wavesOf([member(h2), member(h3), member(h4)])).toEqual([[h2], [h3, h4]]);
  expect(wavesOf([member(h2)])).toEqual([[h2]]);
  expect(wavesOf([])).toEqual([]);
});

test('a host that has it is left alone, and the next one is the first', () => {
  expect(plan([member(h2, { fingerprint: 'new' }), member(h3), member(h4)])).toMatchObject({ there: [h2], waves: [[{ host: h3 }], [{ host: h4 }]] });
});

test('a host that nothing can be sealed for, or that has no product, is refused by name and holds nobody up', () => {
  const { waves, refused } = plan([member(h2, { sealingKey: null }), member(h3, { releaseId: null }), member(h4)]);
  expect([waves.flat().map(({ host }) => host), refused.map(({ host, reason }) => [host, reason.code])]).toEqual([[h4], [[h2, 'sealing_key_unknown'], [h3, 'nothing_installed']]]);
});

test('a renewal leaves a host alone that has another certificate by now; a person who asks has it brought there', () => {
  const own = member(h2, { orderedBy: null });
  expect(plan([own, member(h3, { orderedBy: h4 })]).refused.map(({ reason }) => reason.code)).toEqual(['certificate_ordered_elsewhere', 'certificate_ordered_elsewhere']);
  expect(wavesOf([own], 'issue')).toEqual([[h2]]);
  // The first one never came: nothing is given up.
  expect(wavesOf([member(h2, { fingerprint: null, orderedBy: null })])).toEqual([[h2]]);
});

test('the next wave waits for every host of the one before, and those that were held back hear of whom', () => {
  expect(mayGoOn([{ outcome: 'succeeded' }, { outcome: 'unchanged' }])).toBe(true);
  for (const outcome of ['rolled_back', 'refused', 'cancelled', 'stranded', 'held_back'] as const) expect(mayGoOn([{ outcome: 'succeeded' }, { outcome }])).toBe(false);
  expect(heldBack(product, [{ host: h2, outcome: 'rolled_back', reason: { class: 'host', code: 'listener_stuck', message: '' } }])).toMatchObject({ code: 'certificate_held_back', message: expect.stringContaining('h2 ended rolled_back (listener_stuck)') });
});

const context: SealContext = { product, certificate: 'app.example.org', fingerprint: 'aa'.repeat(32), distribution: 'd1', from: h1, to: h2 };
const delivery: SealedDelivery = { context, sealed: { format: 'fairlead-seal-1', context, recipient: 'r', ephemeral: 'e', nonce: 'n', ciphertext: 'c' } };

test('every field of the context is authenticated: another value is another text', () => {
  const texts = [context, ...Object.keys(context).map((field) => ({ ...context, [field]: 'other' }))].map((each) => sealContextText(each as SealContext));
  expect(new Set(texts).size).toBe(7);
  expect(sealContextText({ ...Object.fromEntries(Object.entries(context).reverse()) } as unknown as SealContext)).toBe(texts[0]);
  for (const field of Object.keys(context)) expect(contextDifferences(context, { ...context, [field]: 'other' })).toEqual([field]);
});

test('what was delivered is opened and switched to, without an order; the same again is unchanged, and an older host certificate is replaced', () => {
  const request = sampleCertificateRequest({ action: 'issue', delivery });
  const there = planCertificate(sampleLook({ facts: { ...samplePair, fingerprintSha256: context.fingerprint } }), request);
  expect(there).toMatchObject({ kind: 'unchanged', note: expect.stringContaining('h1') });
  for (const facts of [null, { ...samplePair, fingerprintSha256: 'cc'.repeat(32) }, { ...samplePair, fingerprintSha256: context.fingerprint, keyMatches: false }]) {
    const decided = planCertificate(sampleLook({ facts }), request);
    expect(decided).toMatchObject({ kind: 'act', plan: { because: 'delivered' } });
    expect(decided.kind === 'act' && decided.plan.steps.slice(0, 3)).toEqual(['open-sealed', 'open-intent', 'stage']);
  }
  expect(planCertificate(sampleLook({ isDeclared: false }), request)).toMatchObject({ kind: 'refuse', reason: { code: 'certificates_undeclared' } });
});

test('what a receiving host is to have names who orders it, asks for no challenge, and is passed on to nobody', () => {
  const wish = { ...sampleCertificateRequest().wish, challenge: { kind: 'http-01' as const }, alsoOn: [h2, h3] };
  const { alsoOn, ...expected } = { ...wish, challenge: { kind: 'none' }, orderedBy: h1 };
  expect([receivedWish(wish, h1), alsoOn]).toEqual([expected, [h2, h3]]);
});
