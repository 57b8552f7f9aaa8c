import { createHostActivities } from '../../../activities/host/index.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import type { Finding } from '../../../src/domain/host/drift.ts';
import type { Intent } from '../../../src/domain/host/state.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../../../src/domain/ids.ts';
import { withRepairs } from '../../../src/runtime/agent/repair.ts';
import { activityContext, createFakeHost } from '../../support/fake-host.ts';

const shop = 'shop' as ProductName;
const [r1, r2] = ['r1', 'r2'] as [ReleaseId, ReleaseId];
const [apiA, apiB, webA] = ['api-a', 'api-b', 'web-a'] as InstanceName[] as [InstanceName, InstanceName, InstanceName];
const run = { runId: 'run-7' as RunId, host: 'h1' as HostId, product: shop, fence: 7 };

/** @param to the release of the run that is at work; r1 is the last good one, so that a run to r1 is a repair */
function setUp(to: ReleaseId, { ready = true, findings = [] as Finding[] } = {}) {
  const fake = createFakeHost();
  const memory = { intent: { schema: 1, runId: run.runId, fence: 7, kind: 'update-apply', product: shop, phase: 'installed', fromReleaseId: r1, toReleaseId: to, openedAt: '', backupPath: null, stranded: null } as Intent | null, recovery: 0 };
  const host = {
    ...fake.dependencies,
    store: {
      ...fake.dependencies.store,
      readIntent: async () => memory.intent,
      writeIntent: async (next: Intent) => void (memory.intent = next),
      removeIntent: async () => void (memory.intent = null),
      writeRecovery: async () => ({ record: '', script: '' }),
      removeRecovery: async () => void (memory.recovery += 1),
    },
    files: { ...fake.dependencies.files, freeBytes: async () => 1 },
    releases: { ...fake.dependencies.releases, listComplete: async () => [r1], isComplete: async () => false },
    backups: { path: () => '/b' },
    services: { ...fake.dependencies.services, recoveryCommands: () => [], stopCommands: () => [] },
    router: { ...fake.dependencies.router, recoveryCommands: () => [] },
    verifier: { trustedKeyIds: async () => [] },
    probe: { ask: async () => ({ passed: ready, releaseId: r1, evidence: { kind: 'probe', at: '', probe: '', target: '', passed: ready, answer: '' } }) },
  } as unknown as HostDependencies;
  return { fake, memory, activities: withRepairs(createHostActivities(host), host, async () => findings) };
}
const command = (instance: InstanceName) => ({ run, direction: 'do' as const, instance });
const finding = (subject: string): Finding => ({ kind: 'instance_dead', subject, expected: 'r1', seen: 'failed', since: '', heal: 'run', message: '', hint: '' });

test('a repair leaves what is right in the router and running, also the only one of its service and where its twin is dead', async () => {
  const { fake, activities } = setUp(r1);
  fake.units.delete(apiB);
  for (const instance of [apiA, webA]) {
    await activities.drainInstance(command(instance), activityContext());
    expect(await activities.restartInstance({ ...command(instance), releaseId: r1 }, activityContext())).toEqual({ result: 'not_needed' });
  }
  expect(fake.changes).toEqual([]);
  await activities.drainInstance(command(apiB), activityContext());
  expect(await activities.restartInstance({ ...command(apiB), releaseId: r1 }, activityContext())).toEqual({ result: 'restarted' });
  expect(fake.changes.filter((change) => change.startsWith('st'))).toEqual(expect.arrayContaining(['start api-b r1']));
});

test('one that runs and is not ready is not right: it is drained as ever', async () => {
  const { fake, activities } = setUp(r1, { ready: false });
  await activities.drainInstance(command(apiA), activityContext());
  expect(fake.state.instances[apiA]?.admitted).toBe(false);
});

test('an update is no repair: the same instance is drained and restarted', async () => {
  const { fake, activities } = setUp(r2);
  await activities.drainInstance(command(apiA), activityContext());
  await activities.restartInstance({ ...command(apiA), releaseId: r2 }, activityContext());
  expect(fake.changes).toEqual(expect.arrayContaining(['stop api-a', 'start api-a r2']));
});

test('a repair neither migrates nor restores data', async () => {
  const { activities } = setUp(r1);
  const of = { run, fromReleaseId: r1, toReleaseId: r1 };
  expect([await activities.migrateData({ ...of, direction: 'do' }, activityContext()), await activities.restoreData({ ...of, direction: 'undo' }, activityContext())]).toEqual([
    { note: 'the data is of this release already' },
    { note: 'nothing was migrated' },
  ]);
});

test.each([
  ['a repair that cannot be undone leaves no intent and no recovery script behind', r1, null, 1],
  ['an update that cannot be undone strands the host', r2, 'stuck', 0],
] as const)('%s', async (_what, to, intent, removed) => {
  const { memory, activities } = setUp(to);
  const reason = { class: 'host' as const, code: 'stuck', message: 'stuck' };
  await activities.strandHost({ run, direction: 'undo', fromReleaseId: r1, toReleaseId: to, instancesBefore: [], instancesAfter: [], backupPath: null, failedStep: 'prove', stuckAt: 'prove', undone: [], reason, restoreData: false }, activityContext());
  expect([memory.intent?.stranded?.code ?? null, memory.recovery]).toEqual([intent, removed]);
});

test('a run plans from what is seen: a dead instance gets no requests', async () => {
  const { activities } = setUp(r1, { findings: [finding('api-b')] });
  const { state } = await activities.inspectHost({ product: shop });
  expect([state?.instances[apiA]?.admitted, state?.instances[apiB]?.admitted]).toEqual([true, false]);
});
