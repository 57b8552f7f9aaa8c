import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSyncTree, syncEach } from '../../src/adapters/files/sync-tree.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { completeMark, hostLayout } from '../../src/domain/host/layout.ts';
import type { ProductName, ReleaseId, Sha256 } from '../../src/domain/ids.ts';
import type { ReleaseStore } from '../../src/ports/release-store.ts';
import { packRelease } from '../support/bundle-source.ts';

const product = 'demo' as ProductName;
const r1 = 'r1' as ReleaseId;
const r2 = 'r2' as ReleaseId;
const nothing = (): void => {};

let work: string;
let root: string;
let store: ReleaseStore;
let bundles: Record<'r1' | 'r2' | 'other', { file: string; artifact: Artifact }>;
const layout = () => hostLayout(root, product);

beforeAll(async () => {
  work = await fs.mkdtemp(join(tmpdir(), 'fairlead-store-'));
  const files = { 'bin/run': '#!/bin/sh\n', 'lib/large.js': Buffer.alloc(5_000_000, 'large '), 'lib/empty': '', 'caf\u00e9.txt': 'x' };
  bundles = { r1: await packRelease(work, 'r1', files), r2: await packRelease(work, 'r2', files, 'gz'), other: await packRelease(await fs.mkdtemp(join(work, 'other-')), 'r1', { ...files, more: 'y' }) };
});
beforeEach(async () => {
  root = await fs.mkdtemp(join(work, 'root-'));
  store = createReleaseStore({ root, syncTree: syncEach });
});
afterAll(() => fs.rm(work, { recursive: true, force: true }));

const extract = ({ file, artifact }: { file: string; artifact: Artifact }, cancel?: AbortSignal) => store.extract(file, artifact, nothing, cancel);
const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'no error', (error: unknown) => (error instanceof FairleadError ? error.reason.code : Promise.reject(error)));
const names = (directory: string): Promise<string[]> => fs.readdir(directory).then((found) => found.sort(), () => []);

describe('extract', () => {
  test('a bundle becomes a complete release: files, modes, mark, and nothing left in staging', async () => {
    const progress: number[] = [];
    const { artifact, file } = bundles.r1;
    const result = await store.extract(file, artifact, (done, total) => void (progress.push(done) && expect(total).toBe(artifact.sizeBytes)));
    expect(result).toMatchObject({ files: 5, manifest: { releaseId: 'r1', product: 'demo' } });
    expect(progress.at(-1)).toBe(artifact.sizeBytes);
    const directory = store.directory(product, r1);
    expect(await names(directory)).toEqual([completeMark, 'bin', 'caf\u00e9.txt', 'fairlead.files.json', 'fairlead.yaml', 'lib']);
    expect((await fs.stat(directory)).mode & 0o7777).toBe(0o755);
    expect((await fs.stat(layout().stagingDir)).mode & 0o7777).toBe(0o700);
    expect((await fs.stat(layout().productDir)).mode & 0o7777).toBe(0o755);
    expect((await fs.stat(join(directory, 'lib/large.js'))).size).toBe(5_000_000);
    expect(JSON.parse(await fs.readFile(join(directory, completeMark), 'utf8'))).toMatchObject({ sha256: artifact.sha256, fileListSha256: artifact.fileListSha256, sizeBytes: artifact.sizeBytes, files: 5, bytes: result.bytes });
    expect(await names(layout().stagingDir)).toEqual([]);
    expect(await store.rehash(product, r1)).toEqual([]);
    expect(await store.isComplete(product, r1, artifact.sha256)).toBe(true);
    expect(await store.isComplete(product, r1, 'f'.repeat(64) as Sha256)).toBe(false);
  });

  test('asked twice, it is done once: the same files, no second unpacking', async () => {
    const first = await extract(bundles.r1);
    const before = await fs.stat(join(store.directory(product, r1), 'bin/run'));
    expect(await extract(bundles.r1)).toEqual(first);
    expect((await fs.stat(join(store.directory(product, r1), 'bin/run'))).ino).toBe(before.ino);
  });

  test('a release without its mark, and what a crash left in staging, are removed first', async () => {
    await fs.mkdir(join(layout().releasesDir, 'r1'), { recursive: true });
    await fs.writeFile(join(layout().releasesDir, 'r1/half'), 'x');
    await fs.mkdir(join(layout().stagingDir, 'r1-0123456789ab/bin'), { recursive: true });
    await fs.mkdir(join(layout().stagingDir, 'r1-x-0123456789ab'), { recursive: true });
    await extract(bundles.r1);
    expect(await names(store.directory(product, r1))).not.toContain('half');
    expect(await names(layout().stagingDir)).toEqual(['r1-x-0123456789ab']);
  });

  test('another bundle of the same release replaces it, unless current leads there', async () => {
    await extract(bundles.r1);
    await extract(bundles.other);
    expect(await fs.readFile(join(store.directory(product, r1), 'more'), 'utf8')).toBe('y');
    await store.activate(product, r1);
    expect(await codeOf(extract(bundles.r1))).toBe('release_in_use');
    expect(await store.isComplete(product, r1, bundles.other.artifact.sha256)).toBe(true);
  });

  test('cancelled before its start or under way: refused as cancelled, nothing left', async () => {
    expect(await codeOf(extract(bundles.r1, AbortSignal.abort()))).toBe('cancelled');
    const controller = new AbortController();
    const cancelled = store.extract(bundles.r1.file, bundles.r1.artifact, () => controller.abort(), controller.signal);
    expect(await codeOf(cancelled)).toBe('cancelled');
    expect([...(await names(layout().stagingDir)), ...(await names(layout().releasesDir))]).toEqual([]);
  });

  test('making it durable fails: no release, nothing left in staging', async () => {
    store = createReleaseStore({ root, syncTree: () => Promise.reject(new Error('EIO')) });
    await expect(extract(bundles.r1)).rejects.toThrow('EIO');
    expect([...(await names(layout().stagingDir)), ...(await names(layout().releasesDir))]).toEqual([]);
    expect(await store.isComplete(product, r1)).toBe(false);
  });

  test('the mark cannot be written: the renamed directory is taken back', async () => {
    store = createReleaseStore({
      root,
      syncTree: async (directory) => {
        await fs.mkdir(join(directory, completeMark));
      },
    });
    await expect(extract(bundles.r1)).rejects.toThrow(/EISDIR|EEXIST|ENOTEMPTY/);
    expect([...(await names(layout().stagingDir)), ...(await names(layout().releasesDir))]).toEqual([]);
  });

  test('the bundle is not there: the error of the system, nothing left', async () => {
    await expect(store.extract(join(work, 'missing'), bundles.r1.artifact, nothing)).rejects.toThrow('ENOENT');
    expect([...(await names(layout().stagingDir)), ...(await names(layout().releasesDir))]).toEqual([]);
  });

  test('modes do not depend on the umask', async () => {
    const before = process.umask(0o077);
    try {
      await extract(bundles.r1);
    } finally {
      process.umask(before);
    }
    const directory = store.directory(product, r1);
    const modes = await Promise.all(['bin', 'bin/run', 'lib/large.js', 'lib/empty', 'fairlead.files.json', completeMark].map(async (path) => (await fs.stat(join(directory, path))).mode & 0o7777));
    expect(modes.map((mode) => mode.toString(8))).toEqual(['755', '644', '644', '644', '644', '644']);
    expect(await store.rehash(product, r1)).toEqual([]);
  });

  test('sync -f by a real command makes the tree durable; where the command is not there, each file is synced', async () => {
    store = createReleaseStore({ root, syncTree: createSyncTree(createCommandRunner()) });
    await extract(bundles.r1);
    const asked: string[][] = [];
    const failing = { run: (argv: readonly string[]) => (asked.push([...argv]), Promise.resolve({ exitCode: null, signal: null, timedOut: false, stdout: '', stderr: '', summary: 'sync: not found' })) };
    store = createReleaseStore({ root, syncTree: createSyncTree(failing) });
    await extract(bundles.r2);
    expect(asked).toEqual([['sync', '-f', expect.stringContaining('/.staging/r2-')]]);
    expect(await store.listComplete(product)).toEqual([r1, r2]);
  });
});

describe('rehash', () => {
  test.each<[string, string, (directory: string) => Promise<unknown>]>([
    ['one byte of a file changed', 'lib/large.js', async (directory) => fs.writeFile(join(directory, 'lib/large.js'), Buffer.alloc(5_000_000, 'Large '))],
    ['a file cut', 'bin/run', (directory) => fs.truncate(join(directory, 'bin/run'), 3)],
    ['a file missing', 'lib/empty', (directory) => fs.rm(join(directory, 'lib/empty'))],
    ['a mode changed', 'bin/run', (directory) => fs.chmod(join(directory, 'bin/run'), 0o4755)],
    ['a link in place of a file', 'bin/run', async (directory) => {
      await fs.rename(join(directory, 'bin/run'), join(directory, 'elsewhere'));
      await fs.symlink('../elsewhere', join(directory, 'bin/run'));
    }],
    ['the manifest changed', 'fairlead.yaml', (directory) => fs.appendFile(join(directory, 'fairlead.yaml'), '# more\n')],
    ['the file list itself changed', 'fairlead.files.json', (directory) => fs.appendFile(join(directory, 'fairlead.files.json'), ' ')],
    ['the file list missing', 'fairlead.files.json', (directory) => fs.rm(join(directory, 'fairlead.files.json'))],
  ])('%s: %s is named', async (_fault, path, change) => {
    await extract(bundles.r1);
    await change(store.directory(product, r1));
    expect(await store.rehash(product, r1)).toEqual([path]);
  });

  test('a release that is not complete has nothing to be compared with: refused', async () => {
    expect(await codeOf(store.rehash(product, r1))).toBe('release_incomplete');
    expect(await codeOf(store.readManifest(product, r1))).toBe('release_incomplete');
    expect(await codeOf(store.readFileList(product, r1))).toBe('release_incomplete');
  });
});

describe('current', () => {
  test('no link: null; activate, again, another one, deactivate twice', async () => {
    await extract(bundles.r1);
    await extract(bundles.r2);
    expect(await store.current(product)).toBeNull();
    expect(await store.activate(product, r1)).toBe('activated');
    expect(await store.activate(product, r1)).toBe('already_active');
    expect(await store.current(product)).toBe(r1);
    expect(await fs.readlink(layout().currentLink)).toBe('releases/r1');
    expect(await store.activate(product, r2)).toBe('activated');
    expect(await store.current(product)).toBe(r2);
    await store.deactivate(product);
    await store.deactivate(product);
    expect(await store.current(product)).toBeNull();
  });

  /** Guarantee 1. */
  test('an incomplete release is not activated, and current stays', async () => {
    await extract(bundles.r1);
    await extract(bundles.r2);
    await store.activate(product, r1);
    await fs.rm(join(store.directory(product, r2), completeMark));
    expect(await codeOf(store.activate(product, r2))).toBe('release_incomplete');
    expect(await codeOf(store.activate(product, 'r3' as ReleaseId))).toBe('release_incomplete');
    await fs.writeFile(join(store.directory(product, r2), completeMark), '{"schema":1');
    expect(await codeOf(store.activate(product, r2))).toBe('release_incomplete');
    expect(await store.current(product)).toBe(r1);
  });

  test.each(['../../outside', '/opt/demo/releases/r1', 'releases/../../etc', 'releases/', 'releases/r1/bin'])('a link to %s: current_invalid', async (target) => {
    await extract(bundles.r1);
    await fs.symlink(target, layout().currentLink);
    expect(await codeOf(store.current(product))).toBe('current_invalid');
    expect(await codeOf(store.activate(product, r1))).toBe('current_invalid');
    expect(await codeOf(store.deactivate(product))).toBe('current_invalid');
    expect(await fs.readlink(layout().currentLink)).toBe(target);
  });

  test('a directory in its place: current_invalid; a link to a release that is gone: null', async () => {
    await fs.mkdir(layout().currentLink, { recursive: true });
    expect(await codeOf(store.current(product))).toBe('current_invalid');
    await fs.rmdir(layout().currentLink);
    await fs.symlink('releases/r1', layout().currentLink);
    expect(await store.current(product)).toBeNull();
  });
});

describe('remove', () => {
  /** Guarantee 8. */
  test('the active release is refused; another one goes, once', async () => {
    await extract(bundles.r1);
    await extract(bundles.r2);
    await store.activate(product, r1);
    expect(await codeOf(store.remove(product, r1))).toBe('release_in_use');
    expect(await store.remove(product, r2)).toBe('removed');
    expect(await store.remove(product, r2)).toBe('not_there');
    expect(await store.listComplete(product)).toEqual([r1]);
    expect(await store.rehash(product, r1)).toEqual([]);
  });

  test('nothing there at all: lists and answers without an error', async () => {
    expect(await store.listComplete(product)).toEqual([]);
    expect(await store.isComplete(product, r1)).toBe(false);
    expect(await store.remove(product, r1)).toBe('not_there');
  });
});
