import { createHash } from 'node:crypto';
import { askedForAudit } from '../../../../src/domain/audit/asked.ts';
import { demandReason } from '../../../../src/domain/audit/override.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('secrets are taken out by name and by look, at any depth; names of places stay', () => {
  const given = { token: 'x', nested: [{ password: 'y', keyFile: '/etc/key' }], url: 'https://me:pass@ca.example/a?api_key=a-long-one&page=1', note: `fl_admin_${'a'.repeat(49)}`, comment: 'fine' };
  expect(askedForAudit(given, sha256)).toEqual({ token: '[redacted]', nested: [{ password: '[redacted]', keyFile: '/etc/key' }], url: 'https://me:[redacted]@ca.example/a?api_key=[redacted]&page=1', note: 'fl_admin_[redacted]', comment: 'fine' });
});

test('the value of a sealed setting is a secret, a value elsewhere is none', () =>
  expect([askedForAudit({ value: 'v' }, sha256, 'PUT /api/settings/:name'), askedForAudit({ value: 'v' }, sha256, 'POST /api/rollouts')]).toEqual([{ value: '[redacted]' }, { value: 'v' }]));

test('what is too long is told by size and digest', () => expect(askedForAudit({ text2: 'x'.repeat(9_000) }, sha256)).toEqual({ characters: 9_012, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }));

test.each([
  ['a failed release again', 'POST /api/updates/apply', { allowFailed: true }, null, true],
  ['a blank reason', 'POST /api/updates/apply', { allowFailed: true }, '  ', true],
  ['with a reason', 'POST /api/updates/apply', { allowFailed: true }, 'the disk was full', false],
  ['a plain update', 'POST /api/updates/apply', {}, null, false],
  ['a renewal that is due', 'POST /api/certificates/renew', { force: false }, null, false],
  ['what is no override', 'POST /api/keys', {}, null, false],
])('%s', (_what, route, asked, reason, refused) => {
  const demand = () => demandReason(route, asked, reason);
  if (refused) expect(demand).toThrow(expect.objectContaining({ reason: expect.objectContaining({ code: 'reason_required' }) }));
  else expect(demand).not.toThrow();
});
