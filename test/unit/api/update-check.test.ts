import { checkForUpdate } from '../../../src/api/update-check.ts';
import type { HostRow, PublishedRelease } from '../../../src/ports/control-stores.ts';
import { host, product, sampleArtifact, sampleInspection } from '../../support/samples.ts';

const published = (releaseId: string, channel: PublishedRelease['channel'] = 'stable'): PublishedRelease => {
  const { manifest: _manifest, ...reference } = sampleArtifact(releaseId);
  return { ...reference, channel, publishedAt: '2026-11-21T09:00:00.000Z', publishedBy: 'ci' };
};
const row = (active: string | null): HostRow => ({ host, role: 'node', status: 'connected', state: null, labels: {}, agentVersion: '0', bootId: 'b', firstSeenAt: '', lastSeenAt: '', products: [sampleInspection(active)] });
const follows = (channel: PublishedRelease['channel']) => [{ product, host: null, channel, action: 'apply' as const, windows: [], setBy: 'ops', setAt: '2026-11-21T09:00:00.000Z' }];
const newest = (active: string | null, releases: PublishedRelease[], channel: PublishedRelease['channel'] = 'stable') => {
  const { updateAvailable, newest: found } = checkForUpdate(row(active), product, releases, follows(channel));
  return [updateAvailable, found?.releaseId ?? null];
};

test.each<{ name: string; active: string | null; releases: PublishedRelease[]; channel?: PublishedRelease['channel']; says: [boolean, string | null] }>([
  { name: 'a beta is none for who follows stable', active: 'r1', releases: [published('r2', 'beta'), published('r1')], says: [false, 'r1'] },
  { name: 'and is one for who follows beta', active: 'r1', releases: [published('r2', 'beta'), published('r1')], channel: 'beta', says: [true, 'r2'] },
  { name: 'on a beta, and now following stable: what is older is no update', active: 'r2', releases: [published('r2', 'beta'), published('r1')], says: [false, 'r2'] },
  { name: 'on a beta, and a later stable one: that', active: 'r2', releases: [published('r3'), published('r2', 'beta'), published('r1')], says: [true, 'r3'] },
  { name: 'nothing installed: the newest of the channel', active: null, releases: [published('r2', 'edge'), published('r1')], says: [true, 'r1'] },
])('$name', ({ active, releases, channel, says }) => expect(newest(active, releases, channel)).toEqual(says));

test('the answer says which channel the host follows, and what is done by itself', () => {
  expect(checkForUpdate(row('r1'), product, [published('r1')], follows('beta'))).toMatchObject({ channel: 'beta', policy: { action: 'apply', host: null, windows: [] }, candidates: [{ channel: 'stable' }] });
  expect(checkForUpdate(row('r1'), product, [published('r1')], [])).toMatchObject({ channel: 'stable', policy: { action: 'notify' } });
});
