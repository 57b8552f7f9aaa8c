import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { HostDependencies } from '../../activities/host/dependencies.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { replaceSymlinkDurably, writeFileDurably } from '../../src/adapters/files/durable.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { InstanceName, ProductName, ReleaseId } from '../../src/domain/ids.ts';
import { stepTitle, type UpdateStep } from '../../src/domain/update/step.ts';
import { startArtifactServer } from '../support/artifact-server.ts';
import { createDisk, diskRequirements, disksTried, type Disk } from '../support/disk.ts';
import { createFakeMachine } from '../support/fake-machine.ts';
import { startFileHost } from '../support/file-host.ts';
import { brokenActivation, brokenOutcome } from '../support/invariants.ts';
import { describeWith, program } from '../support/requirement.ts';
import type { Job, SystemCall } from '../support/strace.ts';
import { startSwitch } from '../support/switch-host.ts';
import { switchRun, type SwitchActivity } from '../support/switch-run.ts';
import { planWalk, type Walk } from '../support/walk-plan.ts';
import { packWalkedProduct, type Packed } from '../support/walked-product.ts';

const product = 'walked' as ProductName;
const [r0, r1, r2] = ['r0', 'r1', 'r2'] as [ReleaseId, ReleaseId, ReleaseId];

/** The steps of the update r1 -> r2; `beforeAll` holds it to the plan. */
const steps = [
  'open-intent', 'download', 'verify', 'extract', 'preflight', 'backup', 'arm-recovery', 'migrate', 'configure', 'activate',
  'drain api-a', 'restart api-a', 'prove api-a', 'admit api-a', 'drain api-b', 'restart api-b', 'prove api-b', 'admit api-b',
  'restart worker-a', 'prove worker-a', 'admit worker-a', 'retire api-c', 'verify-health', 'commit', 'prune', 'close-intent',
] as const;

/** Everything on the disk: path by path its kind, mode and digest. */
async function contentsOf(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await fs.readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const stat = await fs.lstat(path);
    const what = stat.isSymbolicLink() ? await fs.readlink(path) : stat.isFile() ? createHash('sha256').update(await fs.readFile(path)).digest('hex') : 'directory';
    found[relative(root, path)] = `${(stat.mode & 0o7777).toString(8)} ${what}`;
  }
  return found;
}

/** What a step has acknowledged, in the words of the files; asked again of the disk after the cut. */
async function brokenAcknowledgement(host: HostDependencies, { run }: Walk, title: (typeof steps)[number]): Promise<string[]> {
  const layout = hostLayout(host.root, product);
  const [state, intent, current] = [await host.store.readState(product), await host.store.readIntent(product), await host.releases.current(product)];
  const at = (name: (typeof steps)[number]) => steps.indexOf(title) >= steps.indexOf(name);
  const instance = (name: string) => state?.instances[name as InstanceName];
  const facts: [string, boolean][] = [
    ['the intent names the run', at('close-intent') ? intent === null : intent?.runId === run.runId],
    ['the fence is the run’s', (await host.store.readFence(product))?.fence === run.fence],
    ['r2 is complete', !at('extract') || (await host.releases.isComplete(product, r2))],
    ['r2 is whole', !at('extract') || (await host.releases.rehash(product, r2)).length === 0],
    ['the backup is complete', !at('backup') || (await host.backups.isComplete(product, run.runId))],
    ['the intent names the backup', !at('backup') || at('close-intent') || intent?.backupPath === host.backups.path(product, run.runId)],
    ['the recovery record and script are there', !at('arm-recovery') || at('close-intent') || ((await host.store.readRecovery(product, run.runId)) !== null && (await modeOf(layout.recoveryScript(run.runId))) === 0o700)],
    ['the recovery files are gone', !at('close-intent') || (await host.store.readRecovery(product, run.runId)) === null],
    ['the data is migrated', !at('migrate') || (await fs.readFile(join(layout.stateRoot, 'generation'), 'utf8')).trim() === r2],
    ['the new instance has its conf file, which others cannot read', !at('configure') || (await modeOf(layout.configFile('worker-a' as InstanceName))) === 0o600],
    ['current is the new release', (current === r2) === at('activate')],
    ['the state names the active release', (state?.activeReleaseId === r2) === at('activate')],
    ['api-a is out of the router and back in it', instance('api-a')?.admitted === (!at('drain api-a') || at('admit api-a'))],
    ['api-a was told to run r2', (instance('api-a')?.releaseId === r2) === at('restart api-a')],
    ['who started api-a is known', (instance('api-a')?.startedBy === `${run.runId}:do`) === at('restart api-a')],
    ['api-b was told to run r2', (instance('api-b')?.releaseId === r2) === at('restart api-b')],
    ['worker-a is known', (instance('worker-a') !== undefined) === at('restart worker-a')],
    ['api-c is forgotten', (instance('api-c') === undefined) === at('retire api-c')],
    ['the last good release', state?.lastGoodReleaseId === (at('commit') ? r2 : r1)],
    ['the one before it', state?.previousGoodReleaseId === (at('commit') ? r1 : r0)],
    ['r0 is there until it is pruned', (await host.releases.isComplete(product, r0)) === !at('prune')],
  ];
  return facts.filter(([, holds]) => !holds).map(([what]) => `after ${title} the disk no longer says that ${what}`);
}

const modeOf = async (path: string): Promise<number | null> => fs.stat(path).then(({ mode }) => mode & 0o7777, () => null);

/** Guarantees 1, 2 and 9. */
describeWith(diskRequirements, 'the power of a host is cut', () => {
  let work: string;
  let packed: { r0: Packed; r1: Packed; r2: Packed };
  let server: Awaited<ReturnType<typeof startArtifactServer>>;
  beforeAll(async () => {
    work = await fs.mkdtemp(join(tmpdir(), 'fairlead-power-'));
    packed = await packWalkedProduct(work);
    server = await startArtifactServer(Object.values(packed));
  });
  afterAll(async () => {
    await server?.end();
    await fs.rm(work, { recursive: true, force: true });
  });

  describe.each(disksTried)('%s', (kind) => {
    let disk: Disk;
    let walk: Walk;
    const machine = createFakeMachine();
    /** What ran when a step was about to be taken; the disk as it was then is kept under the step's title. */
    const machineBefore = new Map<string, () => void>();
    beforeAll(async () => {
      disk = await createDisk(kind);
      let host = await startFileHost(disk.directory, machine, server.artifacts);
      for (const [fence, { artifact }] of [packed.r0, packed.r1].entries()) {
        const installed = await planWalk(host, artifact, fence + 1);
        for (const step of installed.plan.steps) await installed.take(host, step);
      }
      expect(await host.releases.listComplete(product)).toEqual([r0, r1]);
      walk = await planWalk(host, packed.r2.artifact, 3);
      expect(walk.plan.steps.map(stepTitle)).toEqual(steps);
      for (const step of walk.plan.steps) {
        machineBefore.set(stepTitle(step), machine.keep());
        await disk.keep(stepTitle(step));
        host = await startFileHost(disk.directory, machine, server.artifacts);
        await walk.take(host, step);
      }
    }, 180_000);
    afterAll(() => disk?.end());

    test('the cut takes a rename whose directory was not synced, and a write that was not: else nothing below would mean anything', async () => {
      const [link, file] = [join(disk.directory, 'link'), join(disk.directory, 'file')];
      let left: string[] = [];
      // The file system also writes by itself, with `commit=1` every second: a cut that comes after that has nothing to take.
      for (let tries = 0; tries < 5 && left.join() !== 'old,old'; tries += 1) {
        await disk.reset(steps[0]);
        await replaceSymlinkDurably('old', link);
        await writeFileDurably(file, 'old');
        await fs.symlink('new', `${link}.tmp`);
        await fs.rename(`${link}.tmp`, link);
        await fs.appendFile(file, ', new');
        await disk.cutPower();
        left = [await fs.readlink(link), await fs.readFile(file, 'utf8')];
      }
      expect(left).toEqual(['old', 'old']);
    });

    test.each(steps)('after %s: nothing that was acknowledged goes back, and the run ends as if nothing had happened', async (title) => {
      await disk.reset(title);
      machineBefore.get(title)?.();
      const at = steps.indexOf(title);
      let host = await startFileHost(disk.directory, machine, server.artifacts);
      await walk.take(host, walk.plan.steps[at] as UpdateStep);
      expect(await brokenAcknowledgement(host, walk, title)).toEqual([]);
      const before = await contentsOf(disk.directory);

      machine.powerOff();
      await disk.cutPower();

      expect([...(await brokenAcknowledgement(host, walk, title)), ...(await brokenActivation(disk.directory, product))]).toEqual([]);
      expect(await contentsOf(disk.directory)).toEqual(before);

      host = await startFileHost(disk.directory, machine, server.artifacts);
      for (const step of walk.plan.steps.slice(at + 1)) await walk.take(host, step);
      expect([...(await brokenActivation(disk.directory, product)), ...(await brokenOutcome(disk.directory, walk.report()))]).toEqual([]);
      expect(machine.running()).toEqual({ 'api-a': r2, 'api-b': r2, 'worker-a': r2 });
    });

    describeWith([program('strace')], 'at a system call of the switch', () => {
      let calls: SystemCall[];
      let job: Job | null = null;
      beforeAll(async () => {
        await disk.reset(steps[0]);
        const host = await startFileHost(disk.directory);
        await host.releases.extract(packed.r2.file, packed.r2.artifact, () => undefined);
        await host.store.writeFence(product, switchRun.fence, switchRun.runId);
        await disk.keep('r2 is staged');
        calls = await tracedCalls();
      }, 60_000);
      const endJob = async () => {
        await job?.end();
        job = null;
      };
      afterEach(endJob);

      async function tracedCalls(): Promise<SystemCall[]> {
        job = await startSwitch(disk.directory);
        try {
          const all = await job.trace(`activateRelease ${r2}`);
          // Before the first of these nothing has changed.
          return all.slice(all.findIndex(({ name }) => name.startsWith('symlink')));
        } finally {
          await endJob();
        }
      }

      /** The step dies at `call`. */
      async function killAt(call: SystemCall, activity: SwitchActivity = 'activateRelease'): Promise<void> {
        job = await startSwitch(disk.directory);
        expect([call, await job.work(`${activity} ${r2}`, { call, inject: 'signal=KILL' })]).toEqual([call, null]);
      }

      test('the process dies with the power at each: `current` leads to a complete release and the state can be read; the step asked for again brings it about', async () => {
        for (const call of calls) {
          await disk.reset('r2 is staged');
          await killAt(call);
          await disk.cutPower();
          const host = await startFileHost(disk.directory);
          const active = (await host.store.readState(product))?.activeReleaseId;
          expect({ call, broken: await brokenActivation(disk.directory, product), known: [r1, r2].includes(active as ReleaseId) }).toEqual({ call, broken: [], known: true });
          // The state follows the link, never the other way round.
          if (active === r2) expect([call, await host.releases.current(product)]).toEqual([call, r2]);
          await take('activateRelease', host);
          expect([call, await host.releases.current(product), (await host.store.readState(product))?.activeReleaseId]).toEqual([call, r2, r2]);
        }
      }, 240_000);

      test('the step has returned: the new release is active', async () => {
        await disk.reset('r2 is staged');
        job = await startSwitch(disk.directory);
        expect(await job.work(`activateRelease ${r2}`)).toBe('null');
        await endJob();
        await disk.cutPower();
        await expectSwitched();
      });

      test('the process dies before it has made the link durable, the step asked for again finds it there and returns, and then the power goes: the new release is active', async () => {
        for (const call of calls.filter(({ name }) => name === 'fsync')) {
          await disk.reset('r2 is staged');
          await killAt(call);
          await take('activateRelease', await startFileHost(disk.directory));
          await disk.cutPower();
          await expectSwitched(call);
        }
      }, 60_000);

      test('the process dies before it has made the commit durable, the step asked for again finds it there and returns, and then the power goes: the new release is the last good one', async () => {
        await disk.reset('r2 is staged');
        await take('activateRelease', await startFileHost(disk.directory));
        // The directory, after the file.
        await killAt({ name: 'fsync', nth: 2 }, 'commitRelease');
        const host = await startFileHost(disk.directory);
        expect((await host.store.readState(product))?.lastGoodReleaseId).toBe(r2);
        await take('commitRelease', host);
        await disk.cutPower();
        expect((await host.store.readState(product))?.lastGoodReleaseId).toBe(r2);
      });

      async function expectSwitched(call?: SystemCall): Promise<void> {
        const { releases, store } = await startFileHost(disk.directory);
        const found = [await releases.current(product), (await store.readState(product))?.activeReleaseId, await brokenActivation(disk.directory, product)];
        expect([call, ...found]).toEqual([call, r2, r2, []]);
      }
    });
  });
});

async function take(activity: SwitchActivity, host: HostDependencies): Promise<void> {
  await createHostActivities(host).activities[activity]({ run: switchRun, direction: 'do', releaseId: r2 }, { cancel: new AbortController().signal, progress: () => undefined, attempt: 2 });
}
