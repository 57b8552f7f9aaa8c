import { isFor } from '../../../../src/domain/release-check/channel.ts';
import { decideCheck, type CheckDecision, type CheckedHost, type CheckedRelease, type CheckedWorld } from '../../../../src/domain/release-check/decide.ts';
import { policyOf, type UpdatePolicy } from '../../../../src/domain/release-check/policy.ts';
import type { HostId, ProductName, ReleaseId } from '../../../../src/domain/ids.ts';

const id = (text: string) => text as ReleaseId;
const release = (releaseId: string, channel: CheckedRelease['channel'] = 'stable', signedBy: string | null = null): CheckedRelease => ({ releaseId: id(releaseId), channel, signedBy });
const host = (more: Partial<CheckedHost> = {}): CheckedHost => ({ host: 'h1' as HostId, status: 'connected', activeReleaseId: id('r1'), failedReleaseIds: [], stranded: false, busy: false, lastTriedReleaseId: id('r1'), trustedKeyIds: [], ...more });
const saturday = { cron: '0 2 * * SAT', zone: 'UTC', durationSeconds: 3_600 };
const closed = { open: false, since: null, until: '2026-11-28T02:00:00.000Z', nextOpen: '2026-11-28T02:00:00.000Z' };
const open = { open: true, since: '2026-11-21T02:00:00.000Z', until: '2026-11-21T03:00:00.000Z', nextOpen: '2026-11-28T02:00:00.000Z' };
const freeze = { id: 'f', product: null, reason: 'sale', setBy: 'ops', since: '2026-11-21T00:00:00.000Z', until: '2026-11-22T00:00:00.000Z' };
const world = (more: Partial<CheckedWorld> = {}, policy: Partial<CheckedWorld['policy']> = {}): CheckedWorld => ({ policy: { channel: 'stable', action: 'apply', windows: [], ...policy }, windows: [], freeze: null, ownRollout: null, ...more });
const two = [release('r2'), release('r1')];
const applied = { kind: 'apply', releaseId: 'r2' } as CheckDecision;
const noted = (why: string, until: string | null = null) => ({ kind: 'note', releaseId: 'r2', why, until }) as CheckDecision;

test.each<{ name: string; decision: CheckDecision; host?: Partial<CheckedHost>; releases?: CheckedRelease[]; world?: CheckedWorld }>([
  { name: 'a newer release, and nothing against it: applied', decision: applied },
  { name: 'nothing newer', releases: [release('r1')], decision: { kind: 'current' } },
  { name: 'nothing installed: a first install is never begun by itself', host: { activeReleaseId: null }, decision: { kind: 'current' } },
  { name: 'what was published before the active release never comes back', host: { activeReleaseId: id('r2') }, decision: { kind: 'current' } },
  { name: 'an active release that control never published: noted only', releases: [release('r2')], decision: noted('active_unknown') },
  { name: 'a release that failed here is passed over, and nothing else is newer', host: { failedReleaseIds: [id('r2')] }, decision: { kind: 'current' } },
  { name: 'a release that failed here is passed over for the one before it', host: { failedReleaseIds: [id('r3')] }, releases: [release('r3'), ...two], decision: applied },
  { name: 'a beta is none for who follows stable', releases: [release('r3', 'beta'), release('r1')], decision: { kind: 'current' } },
  { name: 'a beta is passed over for the stable one below it', releases: [release('r3', 'beta'), ...two], decision: applied },
  { name: 'who follows beta takes stable releases as well', world: world({}, { channel: 'beta' }), decision: applied },
  { name: 'the policy is to notify', world: world({}, { action: 'notify' }), decision: noted('policy') },
  { name: 'the policy is to download: also outside of the window, and in a freeze', world: world({ windows: [closed], freeze }, { action: 'download', windows: [saturday] }), decision: { kind: 'download', releaseId: id('r2') } },
  { name: 'outside of the window: noted, until it opens', world: world({ windows: [closed] }, { windows: [saturday] }), decision: noted('window_closed', closed.nextOpen) },
  { name: 'within the window: applied', world: world({ windows: [open] }, { windows: [saturday] }), decision: applied },
  { name: 'one of two windows is open: applied', world: world({ windows: [closed, open] }, { windows: [saturday, saturday] }), decision: applied },
  { name: 'frozen: noted, until that ends, although the window is open', world: world({ windows: [open], freeze }, { windows: [saturday] }), decision: noted('frozen', freeze.until) },
  { name: 'the host is away', host: { status: 'disconnected' }, decision: noted('host_away') },
  { name: 'the host is in error', host: { status: 'error' }, decision: noted('host_away') },
  { name: 'the host is in maintenance', host: { status: 'maintenance' }, decision: noted('host_in_maintenance') },
  { name: 'the host is stranded', host: { stranded: true }, decision: noted('host_stranded') },
  { name: 'a run is at work on the host', host: { busy: true }, decision: noted('host_busy') },
  { name: 'its last update was to bring just this release, and it is not there: one try by itself is enough', host: { lastTriedReleaseId: id('r2') }, decision: noted('tried_already') },
  { name: 'not signed, and the host demands it: it would only be refused there', host: { trustedKeyIds: ['k1'] }, decision: noted('publisher_not_trusted') },
  { name: 'signed by somebody whom the host trusts', host: { trustedKeyIds: ['k1'] }, releases: [release('r2', 'stable', 'k1'), release('r1')], decision: applied },
  { name: 'its rollout is under way', world: world({ ownRollout: 'open' }), decision: noted('rollout_under_way') },
  { name: 'its rollout failed: never again by itself', world: world({ ownRollout: 'failed' }), decision: noted('rollout_failed') },
  { name: 'its rollout is over and left this host out', world: world({ ownRollout: 'succeeded' }), decision: applied },
])('$name', ({ decision, host: more, releases = two, world: around = world() }) => expect(decideCheck(host(more), releases, around)).toEqual(decision));

test('who follows a channel takes what is in the more careful ones, and nothing else', () => {
  expect([isFor('stable', 'edge'), isFor('beta', 'edge'), isFor('edge', 'edge'), isFor('beta', 'stable'), isFor('edge', 'beta')]).toEqual([true, true, true, false, false]);
});

test("a host's own policy comes before that of the product, which comes before the one of who said nothing", () => {
  const product = 'lab' as ProductName;
  const policy = (more: Partial<UpdatePolicy>): UpdatePolicy => ({ product, host: null, channel: 'stable', action: 'download', windows: [], setBy: 'ops', setAt: '2026-11-21T00:00:00.000Z', ...more });
  const all = [policy({}), policy({ host: 'h1' as HostId, action: 'apply' }), policy({ product: 'other' as ProductName, action: 'apply' })];
  expect(['h1', 'h2'].map((name) => policyOf(all, name as HostId, product).action)).toEqual(['apply', 'download']);
  expect(policyOf(all, 'h2' as HostId, 'third' as ProductName)).toMatchObject({ action: 'notify', channel: 'stable', host: null });
});
