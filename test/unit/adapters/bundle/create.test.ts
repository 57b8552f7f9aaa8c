import * as fs from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBundle } from '../../../../src/adapters/bundle/create.ts';
import { inspectBundle } from '../../../../src/adapters/bundle/inspect.ts';
import { verifyBundle } from '../../../../src/adapters/bundle/verify.ts';
import { bundleCreate, bundleInspect, bundleVerify } from '../../../../src/cli/bundle.ts';
import type { BundleFormat } from '../../../../src/domain/bundle/artifact.ts';
import { FairleadError } from '../../../../src/domain/failure.ts';
import type { ReleaseId } from '../../../../src/domain/ids.ts';
import type { Role } from '../../../../src/domain/product/manifest.ts';
import { sourceManifest, writeSource } from '../../../support/bundle-source.ts';

let work: string;
let source: string;
beforeEach(async () => {
  work = await fs.mkdtemp(join(tmpdir(), 'fairlead-create-'));
  source = join(work, 'source');
});
afterEach(() => fs.rm(work, { recursive: true, force: true }));

const create = (name: string, options: { format?: BundleFormat; role?: Role; directory?: string; output?: string; releaseId?: string } = {}) =>
  createBundle({ directory: source, format: 'zst', releaseId: 'r1' as ReleaseId, output: join(work, name), ...options } as Parameters<typeof createBundle>[0]);
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => ({ code: 'no error', message: '' }),
    (error: unknown) => (error instanceof FairleadError ? error.reason : Promise.reject(error)),
  );

const files = { 'bin/run': '#!/bin/sh\n', 'lib/b.js': 'b', 'lib/a.js': 'a'.repeat(3_000_000), 'lib-x/c.js': 'c', 'z\u00e9.txt': '' };

describe.each<BundleFormat>(['gz', 'zst'])('create %s', (format) => {
  test('the same files give the same bytes, whatever their times, modes, umask, place and order of making', async () => {
    await writeSource(source, files);
    await fs.chmod(join(source, 'bin/run'), 0o755);
    const first = await create('first', { format });
    const again = join(work, 'again');
    const umask = process.umask(0o077);
    try {
      await writeSource(again, Object.fromEntries(Object.entries(files).reverse()));
    } finally {
      process.umask(umask);
    }
    await fs.chmod(join(again, 'bin/run'), 0o700);
    await fs.chmod(join(again, 'lib/b.js'), 0o666);
    for (const path of Object.keys(files)) await fs.utimes(join(again, path), 1_000_000, 2_000_000);
    const second = await create('second', { format, directory: again });
    expect(second).toEqual(first);
    expect((await fs.readFile(join(work, 'second'))).equals(await fs.readFile(join(work, 'first')))).toBe(true);
  });

  test('what create says of it, inspect finds in the file; one byte more and it is another bundle', async () => {
    await writeSource(source, files);
    const artifact = await create('bundle', { format });
    const inspected = await inspectBundle(join(work, 'bundle'));
    expect(inspected.artifact).toEqual(artifact);
    expect(inspected.fileList.entries.map(({ path }) => path)).toEqual(['fairlead.yaml', 'bin', 'bin/run', 'lib', 'lib-x', 'lib-x/c.js', 'lib/a.js', 'lib/b.js', 'z\u00e9.txt']);
    await fs.appendFile(join(source, 'lib/b.js'), 'b');
    expect((await create('other', { format })).sha256).not.toBe(artifact.sha256);
    expect(await reasonOf(verifyBundle(join(work, 'other'), artifact))).toMatchObject({ code: 'bundle_list_digest_differs' });
  });
});

test('long and foreign names survive: pax where ustar has no room', async () => {
  const long = { [`${'directory-of-forty-characters-or-nearly/'.repeat(4)}${'n'.repeat(120)}`]: 'x', [`deep/${'a/'.repeat(50)}end`]: 'y', '\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb': 'z' };
  await writeSource(source, long);
  await fs.symlink(`../${'directory-of-forty-characters-or-nearly/'.repeat(3)}`, join(source, 'deep/link'));
  await create('bundle');
  const { fileList } = await inspectBundle(join(work, 'bundle'));
  const paths = fileList.entries.map(({ path }) => path);
  for (const path of Object.keys(long)) expect(paths).toContain(path);
});

test('the release id and the role of the manifest are set, its comments stay, its lines are told as in the source', async () => {
  await writeSource(source, {}, `${sourceManifest}roles:\n  controller: {profile: full}\n  node: {profile: node-runtime}\n`);
  expect(await reasonOf(create('bundle'))).toMatchObject({ code: 'role_required' });
  const artifact = await create('bundle', { role: 'node', releaseId: 'r42' });
  expect(artifact).toMatchObject({ releaseId: 'r42', role: 'node', profile: 'node-runtime', manifest: { artifact: { role: 'node', profile: 'node-runtime' } } });
  const broken = sourceManifest.replace('ports: {a: 4100}', 'ports: {a: 0}');
  await writeSource(source, {}, broken);
  const column = (broken.split('\n')[5] ?? '').indexOf('a: 0') + 4;
  expect(await reasonOf(create('bundle'))).toMatchObject({ code: 'manifest_invalid', message: expect.stringContaining(`fairlead.yaml:6:${column}: services.api.ports.a must be a whole number from 1 to 65535`) });
});

test('each role gets its own files and sections from one directory; a listed file that is not there is refused', async () => {
  const roles = `roles:
  controller: {}
  node:
    files: [lib/agent, run.mjs]
    services: # only here
      agent: {command: [run.mjs], instances: {installed: [main]}, ports: {main: 4200}, probes: {ready: agent-ready}}
    probes: {agent-ready: {service: agent}}
`;
  const files = { 'lib/agent/a.mjs': 'a', 'lib/server.mjs': 'b', 'run.mjs': 'c', 'run.mjs.bak': 'd' };
  await writeSource(source, files, `${sourceManifest}${roles}`);
  const pathsOf = async () => (await inspectBundle(join(work, 'bundle'))).fileList.entries.map(({ path }) => path);
  const controller = await create('bundle', { role: 'controller' });
  expect([controller.manifest.services.map(({ name }) => name), await pathsOf()]).toEqual([['api'], ['fairlead.yaml', 'lib', 'lib/agent', 'lib/agent/a.mjs', 'lib/server.mjs', 'run.mjs', 'run.mjs.bak']]);
  const node = await create('bundle', { role: 'node' });
  expect([node.manifest.services.map(({ name }) => name), node.manifest.health.installed, await pathsOf()]).toEqual([['agent'], ['agent-ready'], ['fairlead.yaml', 'lib', 'lib/agent', 'lib/agent/a.mjs', 'run.mjs']]);
  await writeSource(source, files, `${sourceManifest}${roles.replace('run.mjs]', 'gone.mjs]')}`);
  expect(await reasonOf(create('bundle', { role: 'node' }))).toMatchObject({ code: 'bundle_files_missing', message: expect.stringContaining('gone.mjs') });
});

describe('create refuses', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['bundle_link_escapes', () => fs.symlink('../../etc', join(source, 'out'))],
    ['bundle_link_absolute', () => fs.symlink('/etc/passwd', join(source, 'out'))],
    ['bundle_case_clash', () => writeSource(source, { README: 'x', readme: 'y' })],
    ['bundle_path_not_nfc', () => writeSource(source, { 'caf\u00e9': 'x', 'cafe\u0301': 'y' })],
    ['bundle_path_not_nfc', () => writeSource(source, { 'cafe\u0301': 'y' })],
    ['bundle_path_reserved', () => writeSource(source, { 'fairlead.files.json': '{}' })],
    ['bundle_path_reserved', () => writeSource(source, { '.fairlead-complete.json': '{}' })],
    ['bundle_path_not_utf8', () => fs.writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0x61])]), 'x')],
    ['bundle_path_backslash', () => writeSource(source, { 'a\\b': 'x' })],
    ['manifest_missing', () => fs.rm(join(source, 'fairlead.yaml'))],
    ['bundle_include_missing', () => writeSource(source, {}, `${sourceManifest}router: {listen: 8080, routes: {/: api}, nginx: {include: nginx.conf}}\n`)],
  ])('%s, and leaves no file', async (code, change) => {
    await writeSource(source, {});
    await change();
    expect((await reasonOf(create('bundle'))).code).toBe(code);
    expect(await fs.readdir(work)).toEqual(['source']);
  });

  test('a socket: bundle_source_unsafe', async () => {
    await writeSource(source, {});
    const server = await new Promise<Server>((resolve) => {
      const listening = createServer().listen(join(source, 'socket'), () => resolve(listening));
    });
    try {
      expect(await reasonOf(create('bundle'))).toMatchObject({ code: 'bundle_source_unsafe', message: expect.stringContaining('socket') });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test('an output inside the directory, a release id that is none', async () => {
    await writeSource(source, {});
    expect((await reasonOf(create('', { output: join(source, 'bundle') }))).code).toBe('bundle_output_inside');
    expect((await reasonOf(create('bundle', { releaseId: '../evil' }))).code).toBe('release_id_invalid');
  });
});

test('the verbs create, inspect and verify return data; wrong use is said as such', async () => {
  await writeSource(source, files);
  const output = join(work, 'demo.tar.gz');
  const { artifact } = await bundleCreate({ directory: source, release: 'r1', output });
  expect(artifact.format).toBe('gz');
  expect(await bundleInspect(output)).toMatchObject({ files: 6, artifact: { sha256: artifact.sha256 } });
  expect(await bundleVerify(output, artifact)).toMatchObject({ ok: true });
  expect((await reasonOf(bundleVerify(join(work, 'missing')))).code).toBe('usage');
  expect((await reasonOf(bundleCreate({ directory: source, release: 'r1', role: 'king', output }))).code).toBe('usage');
  expect((await reasonOf(bundleCreate({ directory: output, release: 'r1', output }))).code).toBe('usage');
  expect((await reasonOf(bundleCreate({ directory: source, release: 'r1', format: 'rar', output }))).code).toBe('usage');
});
