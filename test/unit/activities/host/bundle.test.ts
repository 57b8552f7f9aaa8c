import { createBundleActivities } from '../../../../activities/host/bundle.ts';
import type { HostState } from '../../../../src/domain/host/state.ts';
import type { HostId, ProductName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { createFakeHost, type FakeHost } from '../../../support/fake-host.ts';
import { sampleManifest } from '../../../support/host-samples.ts';

const product = 'shop' as ProductName;
const run = { runId: 'run-2' as RunId, host: 'h1' as HostId, product, fence: 2 };
/** Oldest first, as the host lists them. */
const all = ['r1', 'r2', 'r3', 'r4', 'r5'] as ReleaseId[];

interface Given {
  readonly state: Partial<HostState>;
  readonly current: ReleaseId | null;
  readonly retention?: { readonly releases: number; readonly backups: number };
  readonly backups?: readonly string[];
}

function setUp({ state, current, retention = { releases: 1, backups: 1 }, backups = [] }: Given) {
  const host: FakeHost = createFakeHost();
  host.state = { ...host.state, ...state };
  const there = new Set<ReleaseId>(all);
  const saved = [...backups];
  const dependencies = {
    ...host.dependencies,
    releases: {
      ...host.dependencies.releases,
      current: async () => current,
      listComplete: async () => all.filter((id) => there.has(id)),
      readManifest: async () => sampleManifest({ retention }),
      remove: async (_product: ProductName, id: ReleaseId) => void there.delete(id),
    },
    backups: { list: async () => saved.map((runId) => ({ runId })), remove: async (_product: ProductName, runId: string) => void saved.splice(saved.indexOf(runId), 1) },
    files: { pruneDownloads: async () => undefined },
  } as unknown as typeof host.dependencies;
  return { host, activities: createBundleActivities(dependencies), left: () => [...there].sort(), saved };
}

const someOf = <Value>(values: readonly Value[]): (Value | null)[] => [null, ...values];

/** Guarantee 8. */
describe('releases that are taken away', () => {
  test('after an update: never the active, the last good, the one before that, nor what `current` names, whatever each of them is; of the others the oldest', async () => {
    for (const active of someOf(all)) {
      for (const lastGood of someOf(all)) {
        for (const previous of someOf(all)) {
          for (const current of someOf(all)) {
            const { activities, left } = setUp({ state: { activeReleaseId: active, lastGoodReleaseId: lastGood, previousGoodReleaseId: previous }, current });
            await activities.pruneReleases({ run, direction: 'do', releaseId: 'r5' as ReleaseId });
            const wanted = [...new Set([active, lastGood, previous, current, 'r5'])].filter((id) => id !== null).sort();
            expect([[active, lastGood, previous, current], left()]).toEqual([[active, lastGood, previous, current], wanted]);
          }
        }
      }
    }
  });

  test('as many as the manifest keeps stay, the newest of them', async () => {
    const { activities, left } = setUp({ state: { activeReleaseId: all[4] as ReleaseId, lastGoodReleaseId: all[4] as ReleaseId, previousGoodReleaseId: all[3] as ReleaseId }, current: all[4] as ReleaseId, retention: { releases: 3, backups: 1 } });
    expect(await activities.pruneReleases({ run, direction: 'do', releaseId: all[4] as ReleaseId })).toEqual({ releases: ['r1', 'r2'], backups: [] });
    expect(left()).toEqual(['r3', 'r4', 'r5']);
    expect(await activities.pruneReleases({ run, direction: 'do', releaseId: all[4] as ReleaseId })).toEqual({ releases: [], backups: [] });
  });

  test('the backup of the run itself stays, whatever the manifest keeps', async () => {
    const { activities, saved } = setUp({ state: {}, current: null, retention: { releases: 9, backups: 0 }, backups: ['run-2', 'run-1', 'run-0'] });
    expect((await activities.pruneReleases({ run, direction: 'do', releaseId: all[4] as ReleaseId })).backups).toEqual(['run-1', 'run-0']);
    expect(saved).toEqual(['run-2']);
  });

  test('one that did not make it goes, and is remembered; one that is active, the last good one or what `current` names stays', async () => {
    const [r1, r2] = all as [ReleaseId, ReleaseId];
    const bad = setUp({ state: { activeReleaseId: r1, lastGoodReleaseId: r1 }, current: r1 });
    await bad.activities.discardRelease({ run, direction: 'undo', releaseId: r2, condemn: true });
    await bad.activities.discardRelease({ run, direction: 'undo', releaseId: r2, condemn: true });
    expect([bad.left(), bad.host.state.failedReleaseIds]).toEqual([['r1', 'r3', 'r4', 'r5'], ['r2']]);

    for (const given of [{ state: { activeReleaseId: r2, lastGoodReleaseId: r1 }, current: r1 }, { state: { activeReleaseId: r1, lastGoodReleaseId: r2 }, current: r1 }, { state: { activeReleaseId: r1, lastGoodReleaseId: r1 }, current: r2 }]) {
      const { activities, left } = setUp(given);
      await activities.discardRelease({ run, direction: 'undo', releaseId: r2, condemn: true });
      expect(left()).toContain('r2');
    }
  });

  test('one that failed for a reason of the host goes without being condemned', async () => {
    const { activities, host, left } = setUp({ state: { activeReleaseId: all[0] as ReleaseId, lastGoodReleaseId: all[0] as ReleaseId }, current: all[0] as ReleaseId });
    await activities.discardRelease({ run, direction: 'undo', releaseId: all[1] as ReleaseId, condemn: false });
    expect([left().includes('r2' as ReleaseId), host.state.failedReleaseIds]).toEqual([false, []]);
  });
});
