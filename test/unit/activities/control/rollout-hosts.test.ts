import { createRolloutHostActivities, type HostConclusion } from '../../../../activities/control/rollout-hosts.ts';
import type { HostId, ProductName, ReleaseId, RolloutId, RunId } from '../../../../src/domain/ids.ts';
import type { HostEnding, Observation, RolloutStore } from '../../../../src/ports/rollout-store.ts';

const [r1, r2] = ['r1', 'r2'] as [ReleaseId, ReleaseId];
const at = '2026-01-01T00:00:00.000Z';
const seen = (releaseId: ReleaseId): Observation => ({ releaseId, bootId: 'b2', at });

/** @param answers what control sees of the host, look by look; the last one stays */
function bed(answers: readonly (Observation | null)[]) {
  const kept: HostEnding[] = [];
  const asked: (string | null)[] = [];
  let now = Date.parse(at);
  const activities = createRolloutHostActivities({
    rollouts: { settle: async (_id: RolloutId, endings: readonly HostEnding[]) => void kept.push(...endings) } as unknown as RolloutStore,
    observer: {
      observed: async (_host, _product, _releaseId, after) => {
        asked.push(after);
        // Each look takes ten seconds of the limit.
        now += 10_000;
        return answers[Math.min(asked.length, answers.length) - 1] ?? null;
      },
      connected: async (hosts) => hosts.slice(0, 1),
    },
    now: () => new Date(now),
  });
  return { activities, kept, asked };
}
const conclusion = (more: Partial<HostConclusion['run']> = {}, direction: 'forward' | 'back' = 'forward'): HostConclusion => ({
  rolloutId: 'x' as RolloutId, host: 'n1' as HostId, product: 'lab' as ProductName, direction, releaseId: r2, verifySeconds: 30,
  run: { runId: 'run' as RunId, startedAt: at, outcome: 'succeeded', reason: null, recovery: null, ...more },
});

describe('how a host of a rollout ends', () => {
  test('seen on the release in a session after its run: updated, with the session as its proof', async () => {
    const { activities, kept, asked } = bed([null, seen(r1), seen(r2)]);
    expect(await activities.concludeHost(conclusion())).toEqual({ outcome: 'updated', reasonClass: null });
    expect(kept).toMatchObject([{ host: 'n1', outcome: 'updated', observed: seen(r2), runId: 'run' }]);
    expect(new Set(asked)).toEqual(new Set([at]));
  });

  test('its run ended well, and it comes back on the old release: not verified, and counted', async () => {
    const { activities, kept } = bed([seen(r1)]);
    expect(await activities.concludeHost(conclusion())).toEqual({ outcome: 'not_verified', reasonClass: 'host' });
    expect(kept[0]?.reason).toMatchObject({ code: 'reconnected_on_other_release', message: expect.stringContaining('r1, not on r2') });
  });

  test('its run ended well, and nobody sees it again: not verified, with the limit', async () => {
    const { activities, kept } = bed([null]);
    expect((await activities.concludeHost(conclusion())).outcome).toBe('not_verified');
    expect(kept[0]?.reason).toMatchObject({ code: 'reconnect_not_seen', message: expect.stringContaining('within 30 s') });
  });

  test('there was nothing to do: what its open session told is enough', async () => {
    const { activities, asked } = bed([seen(r2)]);
    expect((await activities.concludeHost(conclusion({ outcome: 'unchanged' }))).outcome).toBe('unchanged');
    expect(asked).toEqual([null]);
  });

  test('its run failed: that is its end, with its reason and recovery record, and nobody is looked for', async () => {
    const { activities, kept, asked } = bed([null]);
    const reason = { class: 'host' as const, code: 'disk_too_full', message: 'm' };
    expect(await activities.concludeHost(conclusion({ outcome: 'stranded', reason }))).toEqual({ outcome: 'stranded', reasonClass: 'host' });
    expect([kept[0]?.reason, asked]).toEqual([reason, []]);
  });

  test('taken back: returned by what its run says; else not returned', async () => {
    const { activities } = bed([seen(r2)]);
    expect((await activities.concludeHost(conclusion({}, 'back'))).outcome).toBe('returned');
    expect((await activities.concludeHost(conclusion({ outcome: 'rolled_back' }, 'back'))).outcome).toBe('not_returned');
  });

  test('hosts that could not be reached are kept with a reason, skipped ones without', async () => {
    const { activities, kept } = bed([]);
    await activities.settleHosts({ rolloutId: 'x' as RolloutId, hosts: [{ host: 'n1' as HostId, outcome: 'offline' }, { host: 'n2' as HostId, outcome: 'skipped' }] });
    expect(kept.map(({ outcome, reason }) => [outcome, reason?.code ?? null])).toEqual([['offline', 'host_offline'], ['skipped', null]]);
  });
});
