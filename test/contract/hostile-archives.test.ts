import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { BundleReader } from '../../src/adapters/bundle/bundle-reader.ts';
import { inflateFile } from '../../src/adapters/bundle/inflate.ts';
import type { BundleSink } from '../../src/adapters/bundle/sink.ts';
import { verifyBundle } from '../../src/adapters/bundle/verify.ts';
import { syncEach } from '../../src/adapters/files/sync-tree.ts';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import { type ArtifactRef, defaultExtractionLimits } from '../../src/domain/bundle/artifact.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import type { ProductName, ReleaseId, Sha256 } from '../../src/domain/ids.ts';
import { goodBundle, type HostileArchive, hostileArchives, sha256 } from '../support/hostile-archives.ts';

let work: string;
let root: string;
beforeAll(async () => {
  work = await fs.mkdtemp(join(tmpdir(), 'fairlead-hostile-'));
  root = join(work, 'root');
  await fs.mkdir(join(work, 'outside'));
  await fs.writeFile(join(work, 'outside/precious'), 'untouched');
  // The directories of the store exist before, so that a listing before and after can be compared whole.
  const good = goodBundle('an older release');
  await fs.writeFile(join(work, 'good'), good.file);
  await storeFor().extract(join(work, 'good'), refOf({ ...good, name: 'good', code: '' }, 'r1'), () => {});
  await storeFor().activate('demo' as ProductName, 'r1' as ReleaseId);
});
afterAll(() => fs.rm(work, { recursive: true, force: true }));

const storeFor = (limits: HostileArchive['limits'] = {}) => createReleaseStore({ root, limits: { ...defaultExtractionLimits, ...limits }, syncTree: syncEach });

function refOf({ file, fileListSha256, announced = {} }: HostileArchive, releaseId = 'r1'): ArtifactRef {
  return {
    product: 'demo' as ProductName,
    releaseId: (announced.releaseId ?? releaseId) as ReleaseId,
    role: 'controller',
    profile: 'default',
    format: announced.format ?? (file[0] === 0x1f ? 'gz' : 'zst'),
    sizeBytes: announced.sizeBytes ?? file.length,
    sha256: (announced.sha256 ?? sha256(file)) as Sha256,
    fileListSha256: fileListSha256 as Sha256,
    platformVersion: '1',
    signature: null,
  };
}

/** Every path under the test's directory, with type, mode and content. */
async function listing(): Promise<string[]> {
  const names = (await fs.readdir(work, { recursive: true })).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(work, name);
      const stats = await fs.lstat(path);
      const content = stats.isSymbolicLink() ? await fs.readlink(path) : stats.isFile() ? createHash('sha256').update(await fs.readFile(path)).digest('hex') : '';
      return `${name} ${stats.mode.toString(8)} ${content}`;
    }),
  );
}

async function refusalOf(promise: Promise<unknown>): Promise<FairleadError> {
  const error = await promise.then(() => new Error('was accepted'), (thrown: unknown) => thrown);
  if (!(error instanceof FairleadError)) throw error;
  return error;
}

/** Guarantee 1. */
describe('a hostile archive is refused by its own code and leaves nothing', () => {
  test.each(hostileArchives.map((archive) => ({ ...archive, file: undefined, archive })))('$name: $code', async ({ archive }) => {
    const bundle = join(work, 'bundle');
    await fs.writeFile(bundle, archive.file);
    const before = await listing();
    // Release r1 is active, so what is refused is offered as another one; nothing but its manifest names the release.
    const artifact = { ...refOf(archive), releaseId: (archive.announced?.releaseId ?? 'r9') as ReleaseId };
    const error = await refusalOf(storeFor(archive.limits).extract(bundle, artifact, () => {}));
    expect({ code: error.reason.code, class: error.reason.class }).toEqual({ code: archive.code, class: 'release' });
    expect(error.reason.message.length).toBeGreaterThan(20);
    expect(await listing()).toEqual(before);
  });

  test.each(hostileArchives.map((archive) => ({ ...archive, file: undefined, archive })))('verify without unpacking: $name: $code', async ({ archive }) => {
    const bundle = join(work, 'bundle');
    await fs.writeFile(bundle, archive.file);
    const error = await refusalOf(verifyBundle(bundle, refOf(archive), { limits: { ...defaultExtractionLimits, ...archive.limits } }));
    expect(error.reason.code).toBe(archive.code);
  });

  test.each(hostileArchives.map((archive) => ({ ...archive, file: undefined, archive })))('before its bytes are written: $name', async ({ archive }) => {
    const bundle = join(work, 'bundle');
    await fs.writeFile(bundle, archive.file);
    const written = new Map<string, number>();
    let open = '';
    const sink: BundleSink = {
      directory: () => {},
      symlink: () => {},
      file: (path, _mode, bytes) => void written.set(path, bytes.length),
      open: (path) => void (open = path),
      write: (bytes) => void written.set(open, (written.get(open) ?? 0) + bytes.length),
      close: () => {},
      discard: () => void written.delete(open),
    };
    const limits = { ...defaultExtractionLimits, ...archive.limits };
    const reader = new BundleReader(sink, limits, archive.fileListSha256 as Sha256);
    await inflateFile(bundle, { maxRatio: limits.maxRatio }, (chunk) => reader.push(chunk)).then(() => reader.end()).catch(() => {});
    written.delete('fairlead.yaml');
    expect([...written.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(archive.mayWrite ?? 0);
    expect([...written.keys()].filter((path) => /evil|\.\.|^\/|passwd/.test(path))).toEqual([]);
  });

  test('codes: every code of a refusal is met by an archive', async () => {
    const source = await fs.readFile(new URL('../../src/domain/bundle/refusal.ts', import.meta.url), 'utf8');
    const declared = [...source.matchAll(/^ {2}\| '([a-z0-9_]+)'/gm)].map(([, code]) => code);
    expect(declared.length).toBeGreaterThan(50);
    expect(declared.filter((code) => !hostileArchives.some((archive) => archive.code === code))).toEqual([]);
  });
});

describe('the reader', () => {
  test.each([1, 7, 511, 512, 513, 4096, 100_000])('an archive that comes in pieces of %d bytes is read as one that comes whole', async (pieceBytes) => {
    const content = 'x'.repeat(20_000);
    let tar: Buffer = Buffer.alloc(0);
    const good = goodBundle(content, (bytes) => (tar = bytes));
    const seen: Record<string, string> = {};
    let open = '';
    const sink: BundleSink = {
      directory: (path) => void (seen[path] = 'directory'),
      symlink: (path, target) => void (seen[path] = `-> ${target}`),
      file: (path, mode, bytes) => void (seen[path] = `${mode.toString(8)} ${Buffer.from(bytes).toString()}`),
      open: (path, mode) => void (seen[(open = path)] = `${mode.toString(8)} `),
      write: (bytes) => void (seen[open] += Buffer.from(bytes).toString()),
      close: () => {},
      discard: () => {},
    };
    const reader = new BundleReader(sink, defaultExtractionLimits, good.fileListSha256 as Sha256);
    for (let offset = 0; offset < tar.length; offset += pieceBytes) reader.push(tar.subarray(offset, offset + pieceBytes));
    expect(reader.end().fileListSha256).toBe(good.fileListSha256);
    expect(seen).toMatchObject({ bin: 'directory', run: '-> bin/run', 'bin/run': `755 ${content}` });
  });

  test.each([['gz', (tar: Buffer) => gzipSync(tar)], ['zst', (tar: Buffer) => zstdCompressSync(tar)]] as const)('a good %s that is cut anywhere is refused, never accepted', async (_format, compress) => {
    const good = goodBundle('hello\n', compress);
    const bundle = join(work, 'cut');
    for (let length = 0; length < good.file.length; length += 7) {
      await fs.writeFile(bundle, good.file.subarray(0, length));
      const { reason } = await refusalOf(verifyBundle(bundle));
      expect(['bundle_truncated', 'bundle_format_unknown']).toContain(reason.code);
    }
  });
});
