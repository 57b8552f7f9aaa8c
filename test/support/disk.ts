import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { eventually } from './eventually.ts';
import { program, root, triesEverything, type Requirement } from './requirement.ts';

/**
 * File systems whose power can be cut. Default ext4 alone hides a missing fsync of a replaced file (`auto_da_alloc`, ext4(5)), so it is also
 * mounted without that; a missing fsync of the directory shows on all three.
 */
export const diskKinds = {
  ext4: { make: ['mkfs.ext4', '-q', '-F'], options: 'loop', mebibytes: 64 },
  'ext4 with noauto_da_alloc,commit=1': { make: ['mkfs.ext4', '-q', '-F'], options: 'loop,noauto_da_alloc,commit=1', mebibytes: 64 },
  // mkfs.xfs makes nothing smaller than 300 MiB; the image is sparse.
  xfs: { make: ['mkfs.xfs', '-q', '-f'], options: 'loop', mebibytes: 320 },
} as const;
export type DiskKind = keyof typeof diskKinds;
/** The one that forgives least; the others as well where the machine is there for testing. */
export const disksTried: readonly DiskKind[] = triesEverything ? (Object.keys(diskKinds) as DiskKind[]) : ['ext4 with noauto_da_alloc,commit=1'];

const loopDevices: Requirement = { missing: existsSync('/dev/loop-control') ? null : 'there are no loop devices' };
export const diskRequirements: readonly Requirement[] = [root, loopDevices, ...['mkfs.ext4', 'mkfs.xfs', 'xfs_io', 'mount', 'losetup'].map(program)];

export interface Disk {
  /** Where it is mounted. */
  readonly directory: string;
  /** The power goes and comes back: what was not synced is gone. Nothing may have a file on it open. */
  cutPower(): Promise<void>;
  /** Keeps what is on it now under a name, as what `reset` goes back to. */
  keep(name: string): Promise<void>;
  reset(name: string): Promise<void>;
  /** Unmounts it, frees its loop device and removes its image. Idempotent. */
  end(): Promise<void>;
}

const prefix = 'fairlead-disk-';

/** Makes a file system in a file and mounts it. */
export async function createDisk(kind: DiskKind): Promise<Disk> {
  await endLeftovers();
  const { make, options, mebibytes } = diskKinds[kind];
  const home = await fs.mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
  const directory = join(home, 'disk');
  const image = join(home, 'image');
  const probe = join(directory, '.probe');
  const kept = (name: string): string => join(home, `kept-${name}`);
  let mounted = false;

  /**
   * Mounts it until a file on it can be opened: under heavy load a mount right after a cut was once seen to answer EIO to everything, without a word in the
   * kernel's log. That says nothing of what lies on the disk, which another mount does not change.
   */
  const mount = async (): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      await run('mount', '-o', options, image, directory);
      mounted = true;
      const error = await fs.readFile(probe).then(() => null, (reason: unknown) => reason);
      if (error === null || (error as { code?: string }).code === 'ENOENT') return;
      if (attempt === 3) throw new Error(`${directory} cannot be read after a mount`, { cause: error });
      await unmount();
    }
  };
  const unmount = async (): Promise<void> => {
    if (!mounted) return;
    await run('umount', directory);
    mounted = false;
    await untilFree(image, 30_000);
  };
  const disk: Disk = {
    directory,
    async cutPower() {
      await run('xfs_io', '-x', '-c', 'shutdown', directory);
      await unmount();
      await mount();
    },
    async keep(name) {
      await unmount();
      await run('cp', '--sparse=always', image, kept(name));
      await mount();
    },
    async reset(name) {
      await unmount();
      await run('cp', '--sparse=always', kept(name), image);
      await mount();
    },
    async end() {
      await endAt(home);
    },
  };
  try {
    await fs.mkdir(directory);
    await run('truncate', '-s', `${mebibytes}M`, image);
    await run(...make, image);
    await mount();
    await fs.writeFile(probe, '');
    await run('sync', '-f', directory);
    return disk;
  } catch (error) {
    await disk.end();
    throw error;
  }
}

/** Ends disks of test processes that were killed before they could do it themselves. */
async function endLeftovers(): Promise<void> {
  for (const name of await fs.readdir(tmpdir())) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]);
    if (pid && pid !== process.pid && !(await fs.stat(`/proc/${pid}`).catch(() => null))) await endAt(join(tmpdir(), name));
  }
}

async function endAt(home: string): Promise<void> {
  const directory = join(home, 'disk');
  const isMounted = async () => (await fs.readFile('/proc/self/mounts', 'utf8')).includes(` ${directory} `);
  // The last resort takes it out of the tree at once, and frees the device when whoever holds it lets go.
  if (await isMounted()) await run('umount', directory).catch(() => run('umount', '-l', directory));
  // One that whoever was killed has left attached is not freed by itself.
  const image = join(home, 'image');
  await untilFree(image, 5_000).catch(async () => {
    for (const device of await devicesOf(image)) await run('losetup', '-d', device);
  });
  await fs.rm(home, { recursive: true, force: true });
}

/**
 * Waits until no loop device has the image. A mount namespace that was made meanwhile (a container, `unshare -m`) has a copy of the mount, with which the file
 * system lives on: whoever then mounts the image gets that very file system again, also where it was cut off, and an image that is replaced goes unseen.
 * @throws at the limit, with the devices that have it still
 */
const untilFree = (image: string, limitMs: number): Promise<boolean> =>
  eventually(`no loop device has ${image}`, async () => {
    const held = await devicesOf(image);
    if (held.length > 0) throw new Error(`${held.join(', ')} has it`);
    return true;
  }, limitMs);

async function devicesOf(image: string): Promise<string[]> {
  const { stdout } = await commands.run(['losetup', '-n', '-O', 'NAME', '-j', image], { timeoutMs: 10_000, env: { PATH } });
  return stdout.split('\n').map((line) => line.trim()).filter(Boolean);
}

const commands = createCommandRunner();
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

async function run(...argv: readonly string[]): Promise<void> {
  const result = await commands.run(argv, { timeoutMs: 30_000, env: { PATH } });
  if (result.exitCode !== 0) throw new Error(result.summary);
}
