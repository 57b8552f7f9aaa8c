import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificateStore } from '../../src/adapters/certificate-store/filesystem.ts';
import { pairProblem } from '../../src/domain/certificate/pair.ts';
import type { FairleadError } from '../../src/domain/failure.ts';
import type { CertificateName, CertificateVersion, ProductName, RunId } from '../../src/domain/ids.ts';
import { createTestAuthority, stagePair, type IssuedPair, type TestAuthority } from '../support/certificates.ts';

const product = 'shop' as ProductName;
const name = 'app.example.test' as CertificateName;
const [run1, run2] = ['run-1', 'run-2'] as [RunId, RunId];
const codeOf = (work: Promise<unknown>) => work.then(() => null, (error: FairleadError) => error.reason?.code ?? String(error));

describe('certificates on a host', () => {
  let authority: TestAuthority;
  let [first, second] = [] as unknown as [IssuedPair, IssuedPair];
  let root: string;
  let home: string;
  beforeAll(async () => {
    authority = await createTestAuthority();
    [first, second] = await Promise.all([authority.issue({ names: ['app.example.test', '*.app.example.test'] }), authority.issue({ names: ['app.example.test'] })]);
  });
  beforeEach(async () => {
    root = await fs.mkdtemp(join(tmpdir(), 'fairlead-certificates-'));
    home = join(root, 'var/lib/shop/acme/certificates/app.example.test');
  });
  afterEach(() => fs.rm(root, { recursive: true, force: true }));

  const store = () => createCertificateStore(root);
  const stage = async (pair: IssuedPair, change: Partial<IssuedPair> = {}) => store().stage(product, name, await stagePair(await fs.mkdtemp(join(root, 'staged-')), pair, change));
  const activeFiles = async () => ({ key: await fs.readFile(join(home, 'current/key.pem'), 'utf8'), fullchain: await fs.readFile(join(home, 'current/fullchain.pem'), 'utf8') });
  const modeOf = async (path: string) => (await fs.stat(path)).mode & 0o777;

  test('a staged pair: its facts are right, its key is 0600, nothing is active, and no key is in what is returned', async () => {
    const facts = await stage(first);
    expect(facts).toMatchObject({ names: ['app.example.test', '*.app.example.test'], fingerprintSha256: first.fingerprint, keyMatches: true, subject: 'CN=app.example.test', issuer: 'CN=Test Intermediate', signedByNext: true, anchor: null });
    expect(facts.chain).toMatchObject([{ subject: 'CN=Test Intermediate', issuer: 'CN=Test Root', signedByNext: null }]);
    expect(Math.abs(Date.parse(facts.notAfter) - Date.now() - 89 * 86_400_000)).toBeLessThan(60_000);
    expect(await modeOf(join(home, 'versions', facts.version, 'key.pem'))).toBe(0o600);
    expect(await modeOf(join(home, 'versions'))).toBe(0o700);
    const inspection = await store().inspect(product, name);
    expect(inspection).toMatchObject({ active: null, previous: null, versions: [facts], broken: [] });
    expect(JSON.stringify([facts, inspection])).not.toMatch(/PRIVATE|BEGIN/);
    expect(pairProblem(facts, ['app.example.test', 'a.app.example.test'], new Date())).toBeNull();
  });

  test('staged twice, and as certbot names its files: the same version, once', async () => {
    const facts = await stage(first);
    const directory = await fs.mkdtemp(join(root, 'certbot-'));
    await fs.writeFile(join(directory, 'privkey.pem'), first.key);
    await fs.writeFile(join(directory, 'cert.pem'), first.cert);
    await fs.writeFile(join(directory, 'chain.pem'), first.chain);
    expect(await store().stage(product, name, directory)).toEqual(facts);
    expect(await fs.readdir(join(home, 'versions'))).toEqual([facts.version]);
  });

  test.each<[string, (second: IssuedPair) => Partial<IssuedPair>, string]>([
    ['for another key', (other) => ({ key: other.key }), 'certificate_key_mismatch'],
    ['without its intermediate', () => ({ fullchain: first.cert }), 'certificate_chain_incomplete'],
    ['with its chain the wrong way round', () => ({ fullchain: first.chain + first.cert }), 'certificate_key_mismatch'],
    ['with a stranger in its chain', (other) => ({ fullchain: first.cert + other.cert }), 'certificate_chain_incomplete'],
  ])('a certificate %s: said by its facts, before anything is switched', async (_what, change, code) => {
    const facts = await stage(first, change(second));
    expect(pairProblem(facts, ['app.example.test'], new Date())).toMatchObject({ class: 'dependency', code, hint: expect.stringContaining('Nothing was switched') });
  });

  test('expired, not yet valid, of other names: said', async () => {
    const names = ['app.example.test'];
    const problemOf = async (options: Parameters<TestAuthority['issue']>[0]) => pairProblem(await stage(await authority.issue(options)), names, new Date())?.code;
    expect(await problemOf({ names, fromDays: -90, toDays: -1 })).toBe('certificate_expired');
    expect(await problemOf({ names, fromDays: 1, toDays: 90 })).toBe('certificate_not_yet_valid');
    expect(await problemOf({ names: ['www.example.test', '*.example.org'] })).toBe('certificate_names_missing');
  });

  test.each<[string, Partial<IssuedPair>, string]>([
    ['a key that is none', { key: 'secret-stuff' }, 'certificate_key_unreadable'],
    ['a certificate that is none', { fullchain: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }, 'certificate_unreadable'],
    ['an empty chain file', { fullchain: '' }, 'certificate_unreadable'],
  ])('%s: refused, without a word of it, and nothing is left behind', async (_what, change, code) => {
    const error = (await stage(first, change).catch((reason: unknown) => reason)) as FairleadError;
    expect(error.reason.code).toBe(code);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain('secret-stuff');
    expect(await fs.readdir(home).catch(() => [])).toEqual([]);
  });

  test('activated: key and certificate are of one pair; twice is once; the one before is not lost', async () => {
    const [a, b] = [await stage(first), await stage(second)];
    expect(await store().activate(product, name, a.version)).toBe('activated');
    expect(await store().activate(product, name, a.version)).toBe('already_active');
    expect(await activeFiles()).toEqual({ key: first.key, fullchain: first.fullchain });
    expect(await store().activate(product, name, b.version)).toBe('activated');
    expect(await activeFiles()).toEqual({ key: second.key, fullchain: second.fullchain });
    expect(await store().inspect(product, name)).toMatchObject({ active: b.version });
    expect(await store().list(product)).toEqual([name]);
  });

  test('a version whose files were changed or are gone is never activated, and is told as broken', async () => {
    const [a, b] = [await stage(first), await stage(second)];
    await store().activate(product, name, a.version);
    await fs.appendFile(join(home, 'versions', b.version, 'key.pem'), 'x');
    expect(await codeOf(store().activate(product, name, b.version))).toBe('certificate_version_broken');
    expect(await codeOf(store().activate(product, name, '0123456789abcdef' as CertificateVersion))).toBe('certificate_version_broken');
    expect(await store().inspect(product, name)).toMatchObject({ active: a.version, broken: [b.version] });
    // Staged again, it is whole.
    expect((await stage(second)).version).toBe(b.version);
    expect(await store().activate(product, name, b.version)).toBe('activated');
  });

  test('backed up before a switch, restored after it: the old pair, also where its version is gone; the second backup of a run changes nothing', async () => {
    const [a, b] = [await stage(first), await stage(second)];
    await store().activate(product, name, a.version);
    const backup = await store().backUp(product, name, run1);
    expect(backup).toEqual({ path: join(home, 'backups/run-1'), version: a.version });
    expect(await modeOf(join(backup.path, 'key.pem'))).toBe(0o600);
    await store().activate(product, name, b.version);
    expect(await store().backUp(product, name, run1)).toEqual(backup);
    await fs.rm(join(home, 'versions', a.version, 'key.pem'));
    expect(await store().restore(product, name, run1)).toEqual(backup);
    expect(await store().restore(product, name, run1)).toEqual(backup);
    expect(await activeFiles()).toEqual({ key: first.key, fullchain: first.fullchain });
  });

  test('nothing was active before: the way back is no pair', async () => {
    const a = await stage(first);
    expect(await store().backUp(product, name, run1)).toMatchObject({ version: null });
    await store().activate(product, name, a.version);
    expect(await store().restore(product, name, run1)).toMatchObject({ version: null });
    expect(await store().inspect(product, name)).toMatchObject({ active: null });
  });

  test('no backup: nothing is restored', async () => expect(await codeOf(store().restore(product, name, run2))).toBe('backup_incomplete'));

  test('pruned: the active and the committed previous version stay, and the newest backups', async () => {
    const pairs = [first, second, await authority.issue({ names: ['app.example.test'] })];
    const versions: CertificateVersion[] = [];
    for (const [index, pair] of pairs.entries()) {
      const run = `run-${index}` as RunId;
      const { version } = await stage(pair);
      versions.push(version);
      await store().backUp(product, name, run);
      await store().activate(product, name, version);
      await store().commit(product, name, run);
      await store().commit(product, name, run);
    }
    expect(await store().inspect(product, name)).toMatchObject({ active: versions[2], previous: versions[1] });
    expect(await store().prune(product, name)).toEqual([versions[0]]);
    expect(await store().prune(product, name)).toEqual([]);
    expect((await fs.readdir(join(home, 'versions'))).sort()).toEqual([versions[1], versions[2]].sort());
    expect(await fs.readdir(join(home, 'backups'))).toHaveLength(3);
  });

  test('something else where `current` should be: refused, and left alone', async () => {
    const a = await stage(first);
    await fs.mkdir(join(home, 'current'));
    expect(await codeOf(store().activate(product, name, a.version))).toBe('certificate_link_invalid');
    await fs.rmdir(join(home, 'current'));
    await fs.symlink('/etc', join(home, 'current'));
    expect(await codeOf(store().activate(product, name, a.version))).toBe('certificate_link_invalid');
    expect(await codeOf(store().stage(product, '../x' as CertificateName, root))).toBe('certificate_name_invalid');
  });
});
