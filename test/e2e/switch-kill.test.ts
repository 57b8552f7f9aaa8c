import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostActivities } from '../../activities/host/index.ts';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import type { Reason } from '../../src/domain/failure.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';
import { asFairleadError } from '../../src/domain/system-failure.ts';
import { startFileHost } from '../support/file-host.ts';
import { brokenActivation } from '../support/invariants.ts';
import { describeWith, program, root as asRoot } from '../support/requirement.ts';
import { project, runCommand } from '../support/stack.ts';
import type { Job, SystemCall } from '../support/strace.ts';
import { installForSwitch, startSwitch } from '../support/switch-host.ts';
import { switchRun } from '../support/switch-run.ts';
import { packWalkedProduct, type Packed } from '../support/walked-product.ts';

const [r1, r2] = ['r1', 'r2'] as [ReleaseId, ReleaseId];
const activate = `activateRelease ${r2}`;

/** Guarantees 1 and 9. */
describe('`current` while it is switched', () => {
  let work: string;
  let root: string;
  let packed: { r1: Packed; r2: Packed };
  beforeAll(async () => {
    work = await fs.mkdtemp(join(tmpdir(), 'fairlead-switch-'));
    root = join(work, 'host');
    packed = await packWalkedProduct(work);
    await installForSwitch(root, [packed.r1, packed.r2]);
  });
  afterAll(() => fs.rm(work, { recursive: true, force: true }));

  const product = 'walked' as Packed['artifact']['product'];
  const releases = () => createReleaseStore({ root, syncTree: async () => undefined });
  const start = () => startSwitch(root);
  /** Takes the same step here, undisturbed. */
  async function switchTo(releaseId: ReleaseId, at = root): Promise<void> {
    const { activities } = createHostActivities(await startFileHost(at));
    await activities.activateRelease({ run: switchRun, direction: 'do', releaseId }, { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 });
  }
  /** Files that only an unfinished write leaves. */
  async function leftovers(at = root): Promise<string[]> {
    const { productDir, fairleadDir } = hostLayout(at, product);
    return (await Promise.all([productDir, fairleadDir].map((directory) => fs.readdir(directory)))).flat().filter((name) => name.endsWith('.tmp'));
  }

  test('whoever looks at it during 200 switches never sees it absent or incomplete', async () => {
    const watcher = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(project, 'test/support/programs/watch-current.ts'), hostLayout(root, product).currentLink], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const line = (): Promise<string> => new Promise((resolve) => watcher.stdout.once('data', (text: Buffer) => resolve(text.toString('utf8').trim())));
      expect(await line()).toBe('ready');
      for (let count = 0; count < 200; count += 1) expect(await releases().activate(product, count % 2 === 0 ? r2 : r1)).toBe('activated');
      const told = line();
      watcher.stdin.end();
      const { looks, seen, wrong } = JSON.parse(await told) as { looks: number; seen: string[]; wrong: string[] };
      expect({ seen, wrong }).toEqual({ seen: ['releases/r1', 'releases/r2'], wrong: [] });
      expect(looks).toBeGreaterThan(200);
    } finally {
      watcher.kill('SIGKILL');
    }
  });

  describeWith([asRoot, program('mount')], 'on a full disk', () => {
    let full: string;
    beforeAll(async () => {
      full = await fs.mkdtemp(join(tmpdir(), 'fairlead-full-'));
      expect(await runCommand(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', full])).toMatchObject({ exitCode: 0 });
      await installForSwitch(full, [packed.r1, packed.r2]);
      await fs.writeFile(join(full, 'ballast'), Buffer.alloc(8 << 20)).catch(() => undefined);
      expect((await fs.statfs(full)).bavail).toBe(0);
    });
    afterAll(async () => {
      await runCommand(['umount', full]);
      await fs.rm(full, { recursive: true });
    });

    test('the step says so, `current` leads to a complete release, and nothing is left behind', async () => {
      const failure = asFairleadError(await switchTo(r2, full).catch((error: unknown) => error), 'activate');
      expect(failure.reason).toMatchObject({ class: 'host', code: 'disk_full', message: expect.stringContaining('ENOSPC'), hint: expect.stringContaining('df') });
      expect([await brokenActivation(full, product), await leftovers(full)]).toEqual([[], []]);
    });
  });

  describeWith([asRoot, program('strace')], 'by a step that is disturbed at a system call', () => {
    let calls: SystemCall[];
    let job: Job | null = null;
    beforeAll(async () => {
      await switchTo(r1);
      job = await start();
      calls = await job.trace(activate);
      await end();
      // What it cannot do without: the link, the state, and the two directories that make both durable.
      const count = (...names: string[]) => calls.filter(({ name }) => names.includes(name)).length;
      expect([count('symlink', 'symlinkat'), count('rename', 'renameat', 'renameat2'), count('fsync', 'fdatasync')]).toEqual([1, 2, 3]);
    });
    const end = async () => {
      await job?.end();
      job = null;
    };
    afterEach(end);
    afterAll(end);

    test('killed at each: `current` leads to a complete release; the agent that starts next clears up, and the step asked for again brings it about', async () => {
      let next = start();
      for (const call of calls) {
        [job, next] = [await next, start()];
        await switchTo(r1);
        expect([call, await job.work(activate, { call, inject: 'signal=KILL' })]).toEqual([call, null]);
        expect([call, await brokenActivation(root, product)]).toEqual([call, []]);
        const { store } = await startFileHost(root);
        expect([call, await leftovers()]).toEqual([call, []]);
        await switchTo(r2);
        expect([call, await releases().current(product), (await store.readState(product))?.activeReleaseId]).toEqual([call, r2, r2]);
      }
      // One more than there are: who counts past the last one is not killed.
      job = await next;
      await switchTo(r1);
      const last = calls.findLast(({ name }) => name.startsWith('rename')) as SystemCall;
      expect(await job.work(activate, { call: { ...last, nth: last.nth + 1 }, inject: 'signal=KILL' })).toBe('null');
    }, 120_000);

    test.each(['ENOSPC', 'EIO', 'EACCES'])('%s at each: said with its code and what it means, `current` leads to a complete release, and nothing is left behind', async (errno) => {
      job = await start();
      const codes = { ENOSPC: 'disk_full', EIO: 'disk_error', EACCES: 'permission_denied' } as const;
      for (const call of calls) {
        await switchTo(r1);
        const answer = JSON.parse((await job.work(activate, { call, inject: `error=${errno}` })) ?? '"killed"') as Reason | null;
        const left = { broken: await brokenActivation(root, product), temporary: await leftovers() };
        expect({ call, ...left }).toEqual({ call, broken: [], temporary: [] });
        // A directory that cannot be made and is there already is no failure.
        if (answer === null && call.name === 'mkdir') continue;
        expect({ call, ...answer }).toMatchObject({ call, class: 'host', code: codes[errno as keyof typeof codes], message: expect.stringContaining(errno), hint: expect.any(String) });
      }
    }, 120_000);
  });
});
