import type { RolloutHost } from '../../src/contract/index.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';

const nodes = 4;
const ends = (hosts: readonly RolloutHost[]): Record<string, string | null> => Object.fromEntries(hosts.map(({ host, outcome }) => [host, outcome]));

describe('a release across a fleet', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ nodes, replace: { env: { FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEAL: 'report', FAIRLEAD_SUPERVISE_SECONDS: '1' } } });
    for (const releaseId of ['r1', 'r2', 'r3']) await fleet.release(releaseId);
    await Promise.all(fleet.hosts.map(async (host) => expect((await fleet.apply(host, 'r1')).outcome).toBe('succeeded')));
  }, 240_000);
  afterAll(() => fleet?.end(), 60_000);

  test('every host is updated, the controller first, each verified by what control saw of it: ok', async () => {
    const id = await fleet.rollOut('r2', { strategy: { waves: { by: 'count', hosts: 2 } } });
    const rollout = await fleet.ended(id);
    expect([rollout.outcome, rollout.ok, rollout.reason]).toEqual(['succeeded', true, null]);
    const hosts = await fleet.rolloutHosts(id);
    expect(ends(hosts)).toEqual(Object.fromEntries(fleet.hosts.map((host) => [host, 'updated'])));
    expect(hosts.map(({ host, wave, artifactRole }) => [host, wave, artifactRole])).toEqual([['h1', 0, 'controller'], ['h2', 1, 'node'], ['h3', 1, 'node'], ['h4', 2, 'node'], ['h5', 2, 'node']]);
    for (const { verification } of hosts) expect(verification?.releaseId).toBe('r2');
    for (const host of fleet.hosts) expect((await fleet.state(host)).activeReleaseId).toBe('r2');
  }, 240_000);

  test('asked again, it finds nothing to do', async () => {
    const rollout = await fleet.ended(await fleet.rollOut('r2'));
    expect([rollout.outcome, rollout.ok, rollout.unchanged]).toEqual(['succeeded', true, nodes + 1]);
  }, 60_000);
});
