import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificateStore } from '../../src/adapters/certificate-store/filesystem.ts';
import type { Reason } from '../../src/domain/failure.ts';
import { activeVersion, brokenPair, certificateHome, renewalRun, stageTwoPairs, startCertificateSwitch, walked, walkedCertificate, type TwoPairs } from '../support/certificate-files.ts';
import { createDisk, diskRequirements, disksTried, type Disk } from '../support/disk.ts';
import { describeWith, program, root as asRoot } from '../support/requirement.ts';
import type { Job, SystemCall } from '../support/strace.ts';

let job: Job | null = null;
const end = async () => {
  await job?.end();
  job = null;
};
afterEach(end);

/** The calls from the first that changes something. */
const changing = (calls: readonly SystemCall[]) => calls.slice(Math.max(0, calls.findIndex(({ name }) => /^(symlink|mkdir|open|rename)/.test(name))));

/** Guarantees 7 and 9. */
describeWith([asRoot, program('strace')], 'a pair while it is switched, disturbed at a system call', () => {
  let root: string;
  let pairs: TwoPairs;
  beforeAll(async () => {
    root = await fs.mkdtemp(join(tmpdir(), 'fairlead-pair-'));
    pairs = await stageTwoPairs(root);
  });
  afterAll(() => fs.rm(root, { recursive: true, force: true }));
  const store = () => createCertificateStore(root);
  const back = () => store().activate(walked, walkedCertificate, pairs.old);
  const leftovers = async () => (await fs.readdir(certificateHome(root))).filter((name) => name.endsWith('.tmp'));

  test('killed at each: key and certificate belong together, it is one of the two, and the switch asked for again brings it about', async () => {
    job = await startCertificateSwitch(root);
    const calls = await job.trace(`activate ${pairs.next}`);
    const count = (...names: string[]) => calls.filter(({ name }) => names.includes(name)).length;
    // One symlink, one rename, and the directory that makes it durable (once more on the way in).
    expect([count('symlink', 'symlinkat'), count('rename', 'renameat', 'renameat2'), count('fsync', 'fdatasync')]).toEqual([1, 1, 2]);
    await end();
    let next = startCertificateSwitch(root);
    for (const call of calls) {
      await back();
      [job, next] = [await next, startCertificateSwitch(root)];
      expect([call, await job.work(`activate ${pairs.next}`, { call, inject: 'signal=KILL' })]).toEqual([call, null]);
      const active = await activeVersion(root);
      expect([call, await brokenPair(root), [pairs.old, pairs.next].includes(active as never)]).toEqual([call, [], true]);
      await store().activate(walked, walkedCertificate, pairs.next);
      expect([call, await activeVersion(root), await leftovers()]).toEqual([call, pairs.next, []]);
      await end();
    }
    job = await next;
  }, 240_000);

  test('killed at each call of the way back: one of the two, whole; restored again, it is the old one', async () => {
    await store().activate(walked, walkedCertificate, pairs.next);
    job = await startCertificateSwitch(root);
    const calls = await job.trace(`restore ${renewalRun}`);
    await end();
    let next = startCertificateSwitch(root);
    for (const call of calls) {
      await store().activate(walked, walkedCertificate, pairs.next);
      [job, next] = [await next, startCertificateSwitch(root)];
      expect([call, await job.work(`restore ${renewalRun}`, { call, inject: 'signal=KILL' })]).toEqual([call, null]);
      expect([call, await brokenPair(root)]).toEqual([call, []]);
      await store().restore(walked, walkedCertificate, renewalRun);
      expect([call, await activeVersion(root)]).toEqual([call, pairs.old]);
      await end();
    }
    job = await next;
  }, 240_000);

  test.each(['ENOSPC', 'EIO'])('%s at each: said with its code, and what is active is whole', async (errno) => {
    job = await startCertificateSwitch(root);
    await back();
    const calls = changing(await job.trace(`activate ${pairs.next}`));
    for (const call of calls) {
      await back();
      const answer = JSON.parse((await job.work(`activate ${pairs.next}`, { call, inject: `error=${errno}` })) ?? '"killed"') as Reason | null;
      expect([call, await brokenPair(root), await leftovers()]).toEqual([call, [], []]);
      expect({ call, ...answer }).toMatchObject({ call, class: 'host', code: errno === 'EIO' ? 'disk_error' : 'disk_full', hint: expect.any(String) });
    }
  }, 240_000);
});

/** Guarantees 7 and 9. */
describeWith([...diskRequirements, program('strace')], 'a pair when the power is cut', () => {
  describe.each(disksTried)('%s', (kind) => {
    let disk: Disk;
    let pairs: TwoPairs;
    beforeAll(async () => {
      disk = await createDisk(kind);
      pairs = await stageTwoPairs(disk.directory);
      await disk.keep('both are staged');
    }, 60_000);
    afterAll(() => disk?.end());
    const store = () => createCertificateStore(disk.directory);
    const versions = async () => (await store().inspect(walked, walkedCertificate)).versions.map(({ version }) => version);

    test('after staging, backup and switch have returned: all of it is there', async () => {
      await disk.reset('both are staged');
      expect(await store().activate(walked, walkedCertificate, pairs.next)).toBe('activated');
      await disk.cutPower();
      expect([await activeVersion(disk.directory), await brokenPair(disk.directory), (await versions()).sort()]).toEqual([pairs.next, [], [pairs.old, pairs.next].sort()]);
      expect(await store().restore(walked, walkedCertificate, renewalRun)).toMatchObject({ version: pairs.old });
      await disk.cutPower();
      expect([await activeVersion(disk.directory), await brokenPair(disk.directory)]).toEqual([pairs.old, []]);
    });

    test('with the process at each system call of the switch: one of the two, key and certificate together; asked again, the new one, and it stays', async () => {
      await disk.reset('both are staged');
      job = await startCertificateSwitch(disk.directory);
      const all = await job.trace(`activate ${pairs.next}`);
      const calls = all.slice(all.findIndex(({ name }) => name.startsWith('symlink')));
      await end();
      for (const call of calls) {
        await disk.reset('both are staged');
        job = await startCertificateSwitch(disk.directory);
        expect([call, await job.work(`activate ${pairs.next}`, { call, inject: 'signal=KILL' })]).toEqual([call, null]);
        await end();
        await disk.cutPower();
        expect([call, await brokenPair(disk.directory), [pairs.old, pairs.next].includes((await activeVersion(disk.directory)) as never)]).toEqual([call, [], true]);
        await store().activate(walked, walkedCertificate, pairs.next);
        await disk.cutPower();
        expect([call, await activeVersion(disk.directory), await brokenPair(disk.directory)]).toEqual([call, pairs.next, []]);
      }
    }, 240_000);

    test('the process dies before the switch is durable, the switch asked for again finds it there and returns, and then the power goes: it is the new one', async () => {
      await disk.reset('both are staged');
      job = await startCertificateSwitch(disk.directory);
      const fsyncs = (await job.trace(`activate ${pairs.next}`)).filter(({ name }) => name === 'fsync');
      await end();
      await disk.reset('both are staged');
      job = await startCertificateSwitch(disk.directory);
      expect(await job.work(`activate ${pairs.next}`, { call: fsyncs.at(-1) as SystemCall, inject: 'signal=KILL' })).toBeNull();
      await end();
      expect(await store().activate(walked, walkedCertificate, pairs.next)).toBe('already_active');
      await disk.cutPower();
      expect([await activeVersion(disk.directory), await brokenPair(disk.directory)]).toEqual([pairs.next, []]);
    }, 60_000);
  });
});
