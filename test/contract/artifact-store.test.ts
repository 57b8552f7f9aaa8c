import { chmod, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFilesystemArtifactStore } from '../../src/adapters/artifact-store/filesystem.ts';
import type { Sha256 } from '../../src/domain/ids.ts';
import type { ArtifactStore } from '../../src/ports/control-stores.ts';
import { digestOf } from '../support/samples.ts';

let directory: string;
let store: ArtifactStore;
const bytes = Buffer.from('a bundle '.repeat(10_000));
const digest = digestOf(bytes);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fairlead-artifacts-'));
  store = createFilesystemArtifactStore(join(directory, 'store'));
});
afterEach(async () => {
  await chmod(directory, 0o700);
  await rm(directory, { recursive: true, force: true });
});

async function* inChunks(content: Buffer, size = 1000): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < content.length; offset += size) yield content.subarray(offset, offset + size);
}

/** Names of all files below the store, whole ones and leftovers. */
const files = async (): Promise<string[]> => (await readdir(join(directory, 'store'), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);

test('stored: found by its digest, byte for byte, readable by no stranger', async () => {
  expect(await store.path(digest)).toBeNull();
  expect(await store.put(digest, bytes.length, inChunks(bytes))).toBe('stored');
  const path = (await store.path(digest))!;
  expect(await readFile(path)).toEqual(bytes);
  expect((await stat(path)).mode & 0o007).toBe(0);
});

test('stored again: left alone, the body is let go of', async () => {
  await store.put(digest, bytes.length, inChunks(bytes));
  let letGo = false;
  const body: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('read')), return: () => ((letGo = true), Promise.resolve({ done: true, value: undefined })) }) };
  expect(await store.put(digest, bytes.length, body)).toBe('already_stored');
  expect(letGo).toBe(true);
});

test('stored by five at once: all end well, one file is there', async () => {
  const results = await Promise.all(Array.from({ length: 5 }, () => store.put(digest, bytes.length, inChunks(bytes))));
  expect(results).toContain('stored');
  expect(await files()).toEqual([digest]);
});

test.each<{ name: string; content: Buffer; size: number; code: string }>([
  { name: 'one bit is wrong', content: Buffer.concat([Buffer.from('b'), bytes.subarray(1)]), size: bytes.length, code: 'artifact_digest_mismatch' },
  { name: 'it ends early', content: bytes.subarray(0, -1), size: bytes.length, code: 'artifact_size_mismatch' },
  { name: 'it goes on too long', content: Buffer.concat([bytes, bytes]), size: bytes.length, code: 'artifact_size_mismatch' },
  { name: 'nothing comes', content: Buffer.alloc(0), size: bytes.length, code: 'artifact_size_mismatch' },
])('$name: refused, and nothing is left behind', async ({ content, size, code }) => {
  await expect(store.put(digest, size, inChunks(content))).rejects.toMatchObject({ reason: { class: 'request', code }, retryable: false });
  expect(await store.path(digest)).toBeNull();
  expect(await files()).toEqual([]);
});

test('the body breaks in the middle: its error comes through, and nothing is left behind', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 10);
    throw new Error('connection reset');
  }
  await expect(store.put(digest, bytes.length, broken())).rejects.toThrow('connection reset');
  expect(await files()).toEqual([]);
});

test('a digest that leads out of the directory: refused by both methods', async () => {
  const hostile = '../../etc/passwd' as Sha256;
  await expect(store.path(hostile)).rejects.toMatchObject({ reason: { code: 'invalid_digest' } });
  await expect(store.put(hostile, 1, inChunks(bytes))).rejects.toMatchObject({ reason: { code: 'invalid_digest' } });
});

test('what a killed process left a day ago is swept, what another is writing stays', async () => {
  await store.put(digest, bytes.length, inChunks(bytes));
  const folder = join(directory, 'store', digest.slice(0, 2));
  await writeFile(join(folder, '.dead.part'), 'x');
  await utimes(join(folder, '.dead.part'), new Date(0), new Date(0));
  await writeFile(join(folder, '.alive.part'), 'x');
  await rm(join(folder, digest));
  await store.put(digest, bytes.length, inChunks(bytes));
  expect((await files()).sort()).toEqual(['.alive.part', digest].sort());
});
