import { readFileSync } from 'node:fs';
import type { AuditRow } from '../../../../src/domain/audit/chain.ts';
import type { HostId, ProductName, ReleaseId, RolloutId } from '../../../../src/domain/ids.ts';
import { enrolledAt, nextFleetState } from '../../../../src/domain/fleet/host-state.ts';
import { refuseWebhookUrl, shownAddress } from '../../../../src/domain/webhook/address.ts';
import { hostsAway } from '../../../../src/domain/webhook/away.ts';
import { webhooksFor, type WebhookChoice } from '../../../../src/domain/webhook/choice.ts';
import { alarmEvents, webhookEvents } from '../../../../src/domain/webhook/event.ts';
import { isTold, messageOf, testMessage, type MessageContext } from '../../../../src/domain/webhook/message.ts';

const lab = 'lab' as ProductName;
const h1 = 'h1' as HostId;
const none: MessageContext = { run: null, rollout: null };
const rowOf = (event: string, detail: Record<string, unknown>, more: Partial<AuditRow> = {}): AuditRow => ({ at: '2026-11-21T03:00:00.000Z', event, actor: 'fairlead', subject: 'host/h1/lab', runId: null, detail, sequence: 7, previousHash: '', hash: '', ...more });
const runOf = (kind: NonNullable<MessageContext['run']>['kind']): MessageContext => ({ ...none, run: { kind, host: h1, product: lab, toReleaseId: 'r2' as ReleaseId } });
const rolloutId = '01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10' as RolloutId;
const ofRollout: MessageContext = { ...none, rollout: { rolloutId, product: lab, releaseId: 'r2' as ReleaseId } };

test.each([
  ['update-apply', 'succeeded', 'run.succeeded'],
  ['update-apply', 'unchanged', 'run.succeeded'],
  ['update-apply', 'rolled_back', 'run.rolled_back'],
  ['promotion', 'stranded', 'run.stranded'],
  ['scale', 'refused', 'run.refused'],
  ['restart', 'cancelled', 'run.cancelled'],
  ['cert-renewal', 'succeeded', 'certificate.renewed'],
  ['cert-renewal', 'rolled_back', 'certificate.renewal_failed'],
  ['cert-renewal', 'refused', 'certificate.renewal_failed'],
  ['cert-renewal', 'stranded', 'run.stranded'],
  ['cert-renewal', 'unchanged', null],
  ['update-apply', 'a word of tomorrow', null],
] as const)('a run of kind %s that ended %s is told as %s', (kind, outcome, event) => {
  expect(messageOf(rowOf('run.ended', { outcome, reason: null }, { runId: 'run-1' }), runOf(kind), 'https://deploy')?.event ?? null).toBe(event);
});

test('a run that was rolled back: what, where, why, where to look and what to type', () => {
  const reason = { class: 'release', code: 'health_failed', message: 'api-a never answered 200', hint: 'Look at the log.' };
  expect(messageOf(rowOf('run.ended', { outcome: 'rolled_back', reason, toReleaseId: 'r2', backupPath: '/var/backups/1' }, { runId: 'run-1' }), runOf('update-apply'), 'https://deploy')).toEqual({
    schema: 1,
    event: 'run.rolled_back',
    at: '2026-11-21T03:00:00.000Z',
    auditSequence: 7,
    product: 'lab',
    host: 'h1',
    releaseId: 'r2',
    runId: 'run-1',
    rolloutId: null,
    outcome: 'rolled_back',
    reason: { code: 'health_failed', message: 'api-a never answered 200', hint: 'Look at the log.' },
    summary: 'A run of lab on h1 ended rolled back.',
    link: 'https://deploy/api/runs/run-1',
    next: 'fairlead runs show run-1',
  });
});

test.each([
  ['rollout.ended', { outcome: 'succeeded', ok: true, reason: null }, ofRollout, 'rollout.succeeded'],
  ['rollout.ended', { outcome: 'partial', ok: false, reason: null }, ofRollout, 'rollout.failed'],
  ['rollout.halted', { waiting: { for: 'a decision' } }, ofRollout, 'rollout.halted'],
  ['rollout.paused', { waiting: { for: 'a person: paused by ada' } }, ofRollout, 'rollout.paused'],
  ['rollout.approval_needed', { wave: 2, gate: 'go', role: 'approver', approvals: 0, quorum: 1, since: '2026-11-21T03:00:00.000Z', until: null }, ofRollout, 'rollout.approval_needed'],
  ['certificate.expiring', { names: ['app.example.org'], notAfter: '2026-11-24T00:00:00.000Z' }, none, 'certificate.expiring'],
  ['certificate.expired', { names: ['app.example.org'], notAfter: '2026-11-21T00:00:00.000Z' }, none, 'certificate.expired'],
  ['release.published', { role: 'node' }, none, 'release.published'],
  ['release.available', { releaseId: 'r2' }, none, 'release.available'],
  ['host.drift_found', { kind: 'unit_inactive', subject: 'api-a' }, none, 'host.drift_found'],
  ['host.away', { since: '2026-11-21T02:00:00.000Z', why: 'silent' }, none, 'host.away'],
  ['run.recovered', {}, runOf('update-apply'), 'run.recovered'],
  ['request.intended', { asked: {} }, none, null],
  ['webhook.given_up', {}, none, null],
  ['toString', {}, none, null],
] as const)('%s %j is told as %4$s', (event, detail, context, told) => {
  const row = rowOf(event, { ...detail }, { subject: event.startsWith('release.p') ? 'release/lab/r2' : event === 'host.away' ? 'host/h1' : 'host/h1/lab' });
  const message = messageOf(row, context, 'https://deploy');
  expect([isTold(row), message?.event ?? null]).toEqual([told !== null, told]);
  expect(message === null ? '' : JSON.stringify(message)).not.toContain('undefined');
});

test('a gate waits for approval: how many are there, whose counts, until when, and what to type', () => {
  const detail = { wave: 2, gate: 'go', role: 'approver', approvals: 1, quorum: 2, since: '2026-11-21T03:00:00.000Z', until: '2026-11-21T09:00:00.000Z' };
  expect(messageOf(rowOf('rollout.approval_needed', detail, { subject: `rollout/${rolloutId}` }), ofRollout, 'https://deploy')).toMatchObject({
    rolloutId,
    product: 'lab',
    releaseId: 'r2',
    summary: 'The rollout of lab r2 waits before wave 2 for gate go: 1 of 2 approvals by somebody with the role approver, until 2026-11-21T09:00:00.000Z.',
    link: `https://deploy/api/rollouts/${rolloutId}`,
    next: `fairlead rollout approve go ${rolloutId}`,
  });
});

test('docs/webhooks.md says of every event when it comes, and whether it is told unasked', () => {
  const rows = [...readFileSync(new URL('../../../../docs/webhooks.md', import.meta.url), 'utf8').matchAll(/^\| `([a-z._]+)` \| (yes)? ?\|/gm)].map(([, event, unasked]) => [event, unasked !== undefined]);
  expect(rows.sort()).toEqual(webhookEvents.map((event) => [event, alarmEvents.includes(event)]).sort());
});

test('secrets and endless texts of a reason do not go out', () => {
  const message = `https://user:hunter22@registry said: token=abcdef123456, whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ${'x'.repeat(5_000)}`;
  const told = JSON.stringify(messageOf(rowOf('run.ended', { outcome: 'stranded', reason: { code: 'c', message, hint: message } }, { runId: 'r' }), none, ''));
  expect(told).not.toMatch(/hunter22|abcdef123456|MfKQ/);
  expect(told.length).toBeLessThan(3_500);
});

const choice = (more: Partial<WebhookChoice> = {}): WebhookChoice => ({ id: 'w', events: [...webhookEvents], products: [], afterSequence: 0, disabled: null, ...more });
test.each<[string, Partial<WebhookChoice>, boolean]>([
  ['everything', {}, true],
  ['the alarms', { events: alarmEvents }, true],
  ['another event', { events: ['run.succeeded'] }, false],
  ['its product', { products: [lab] }, true],
  ['another product', { products: ['other' as ProductName] }, false],
  ['what came after it was made: the row before', { afterSequence: 6 }, true],
  ['what came after it was made: the row itself', { afterSequence: 7 }, false],
  ['nothing any more', { disabled: 'it answered 410' }, false],
])('a webhook that wants %s', (_what, more, wanted) => {
  const message = messageOf(rowOf('run.ended', { outcome: 'stranded', reason: null }, { runId: 'run-1' }), runOf('update-apply'), '')!;
  expect(webhooksFor(message, [choice(more)])).toHaveLength(wanted ? 1 : 0);
});

test('a host that is away is told also to those that chose a product; a test of somebody else to nobody', () => {
  const away = messageOf(rowOf('host.away', { since: 'x', why: null }, { subject: 'host/h1' }), none, '')!;
  expect(webhooksFor(away, [choice({ products: [lab] })])).toHaveLength(1);
  expect(webhooksFor(testMessage('2026-11-21T03:00:00.000Z', 'ci'), [choice()])).toEqual([]);
});

test('away: five minutes of silence, and not while a person works on it, nor before it was ever heard, nor days later', () => {
  const at = '2026-11-21T03:00:00.000Z';
  const start = Date.parse(at);
  const lost = nextFleetState(nextFleetState(enrolledAt(at), { type: 'SessionBegan', at }), { type: 'SessionLost', at, why: 'silent' });
  const tended = nextFleetState(lost, { type: 'MaintenanceBegan', at, reason: 'disks', by: 'ada', until: null });
  const seen = (state: typeof lost, afterMs: number) => hostsAway([{ host: h1, state }], start + afterMs).map(({ host, since }) => [host, since]);
  expect([seen(lost, 299_000), seen(lost, 300_000), seen(tended, 600_000), seen(enrolledAt(at), 600_000), seen(lost, 86_400_000)]).toEqual([[], [['h1', at]], [], [], []]);
});

test('of an address only the origin is shown: the rest may be the secret of a chat service', () => {
  expect([shownAddress('https://hooks.example.org/services/T0/B0/abc'), shownAddress('https://a.example?key=1'), shownAddress('http://10.0.0.1:9000')]).toEqual(['https://hooks.example.org/****', 'https://a.example/****', 'http://10.0.0.1:9000']);
  expect(['nonsense', 'ftp://a.example', 'https://a.example/#x', 'https://a.example'].map(refuseWebhookUrl)).toEqual(['it is no URL', expect.stringContaining('https://'), expect.stringContaining('fragment'), null]);
});
