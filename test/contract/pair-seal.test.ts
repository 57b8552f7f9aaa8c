import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPairSeal } from '../../src/adapters/pair-seal/filesystem.ts';
import type { SealContext, SealedPair, SealingKey } from '../../src/domain/certificate/seal.ts';
import type { FairleadError } from '../../src/domain/failure.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import type { CertificateName, HostId, ProductName } from '../../src/domain/ids.ts';
import { createTestAuthority, stagePair, type IssuedPair } from '../support/certificates.ts';

const product = 'shop' as ProductName;
const certificate = 'app.example.test' as CertificateName;
const [h1, h2, h3] = ['h1', 'h2', 'h3'] as [HostId, HostId, HostId];
const codeOf = (work: Promise<unknown>) => work.then(() => null, (error: FairleadError) => error.reason?.code ?? String(error));

describe('pairs that travel between hosts', () => {
  let [pair, other] = [] as unknown as [IssuedPair, IssuedPair];
  let base: string;
  let context: SealContext;
  let staged: string;
  const rootOf = (host: HostId) => join(base, host);
  const sealOf = (host: HostId) => createPairSeal(rootOf(host), host);
  const sealed = async (to = h2, change: Partial<SealContext> = {}) => sealOf(h1).seal(staged, { host: to, key: await sealOf(to).publicKey() }, { ...context, to, ...change });
  const filesOf = async (host: HostId) => fs.readdir(join(rootOf(host), 'var/lib/shop/acme/received'), { recursive: true }).catch(() => []);
  const flip = (text: string, at: number) => {
    const bytes = Buffer.from(text, 'base64url');
    const index = at < 0 ? bytes.length + at : at;
    bytes[index] = (bytes[index] as number) ^ 1;
    return bytes.toString('base64url');
  };

  beforeAll(async () => {
    const authority = await createTestAuthority();
    [pair, other] = await Promise.all([authority.issue({ names: [certificate] }), authority.issue({ names: [certificate] })]);
  });
  beforeEach(async () => {
    base = await fs.mkdtemp(join(tmpdir(), 'fairlead-seal-'));
    staged = await stagePair(join(base, 'staged'), pair);
    context = { product, certificate, fingerprint: pair.fingerprint, distribution: 'd1', from: h1, to: h2 };
  });
  afterEach(() => fs.rm(base, { recursive: true, force: true }));

  test('sealed on one host and opened on the other: the same pair, its key 0600, and no line of it in what travelled', async () => {
    const travelling = await sealed();
    const text = JSON.stringify(travelling) + Buffer.from(travelling.ciphertext, 'base64url').toString('latin1');
    for (const line of pair.key.split('\n').filter((each) => each.length > 30)) expect(text).not.toContain(line);
    const { directory, facts } = await sealOf(h2).open(travelling, context);
    expect([await fs.readFile(join(directory, 'key.pem'), 'utf8'), await fs.readFile(join(directory, 'fullchain.pem'), 'utf8')]).toEqual([pair.key, pair.fullchain]);
    expect([(await fs.stat(join(directory, 'key.pem'))).mode & 0o777, (await fs.stat(directory)).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(facts).toMatchObject({ fingerprintSha256: pair.fingerprint, keyMatches: true });
    expect(JSON.stringify(facts)).not.toContain('PRIVATE');
    expect(await sealOf(h2).open(travelling, context)).toEqual({ directory, facts });
    await sealOf(h2).forget(product, certificate);
    await sealOf(h2).forget(product, certificate);
    expect(await filesOf(h2)).toEqual([]);
  });

  test('the same pair sealed twice shares no byte of key, nonce or text', async () => {
    const [a, b] = [await sealed(), await sealed()];
    expect([a.ephemeral === b.ephemeral, a.nonce === b.nonce, a.ciphertext.slice(0, 40) === b.ciphertext.slice(0, 40)]).toEqual([false, false, false]);
  });

  test('a key is made once, 0600, and stays the same for the next start of the agent', async () => {
    const first = await sealOf(h2).publicKey();
    expect([first.length, await sealOf(h2).publicKey()]).toEqual([43, first]);
    const file = agentLayout(rootOf(h2)).sealingKeyFile;
    expect((await fs.stat(file)).mode & 0o777).toBe(0o600);
    await fs.writeFile(file, 'not a key\n');
    expect(await codeOf(sealOf(h2).publicKey())).toBe('sealing_key_unreadable');
  });

  test('refused on another host than the one that it was sealed for', async () => {
    expect(await codeOf(sealOf(h3).open(await sealed(), context))).toBe('seal_wrong_host');
    // Also where whoever brings it says that it was for this one.
    expect(await codeOf(sealOf(h3).open({ ...(await sealed()), context: { ...context, to: h3 } }, { ...context, to: h3 }))).toBe('seal_wrong_key');
    expect(await filesOf(h3)).toEqual([]);
  });

  test('refused with a key of somebody else, and after the host got another one', async () => {
    const forThird = { ...(await sealed(h2)), recipient: await sealOf(h3).publicKey() };
    expect(await codeOf(sealOf(h2).open(forThird, context))).toBe('seal_wrong_key');
    const before = await sealed();
    await fs.rm(agentLayout(rootOf(h2)).sealingKeyFile);
    expect(await codeOf(sealOf(h2).open(before, context))).toBe('seal_wrong_key');
    // Told to be for the new one, it opens with that one no more than before.
    expect(await codeOf(sealOf(h2).open({ ...before, recipient: await sealOf(h2).publicKey() }, context))).toBe('seal_broken');
  });

  test.each<[string, (given: SealedPair) => SealedPair]>([
    ['the first byte of the text', (given) => ({ ...given, ciphertext: flip(given.ciphertext, 0) })],
    ['a byte of the tag', (given) => ({ ...given, ciphertext: flip(given.ciphertext, -1) })],
    ['a byte of the nonce', (given) => ({ ...given, nonce: flip(given.nonce, 3) })],
    ['a byte of the ephemeral key', (given) => ({ ...given, ephemeral: flip(given.ephemeral, 7) as SealingKey })],
    ['a text that was cut short', (given) => ({ ...given, ciphertext: given.ciphertext.slice(0, 20) })],
    ['an ephemeral key of low order', (given) => ({ ...given, ephemeral: Buffer.alloc(32).toString('base64url') })],
  ])('refused with a changed byte: %s', async (_what, change) => {
    expect(await codeOf(sealOf(h2).open(change(await sealed()), context))).toBe('seal_broken');
    expect(await filesOf(h2)).toEqual([]);
  });

  test.each<[keyof SealContext, string]>([['certificate', 'api.example.test'], ['product', 'lab'], ['distribution', 'd2'], ['from', 'h3'], ['fingerprint', 'ff'.repeat(32)]])('refused for another context: %s', async (field, value) => {
    const swapped = { ...context, [field]: value } as SealContext;
    expect(await codeOf(sealOf(h2).open(await sealed(), swapped))).toBe('seal_wrong_context');
    // Where the envelope says so too, it is what was authenticated that counts.
    expect(await codeOf(sealOf(h2).open({ ...(await sealed()), context: swapped }, swapped))).toBe('seal_broken');
    expect(await filesOf(h2)).toEqual([]);
  });

  test('another certificate than the one that is meant is neither sealed nor taken', async () => {
    expect(await codeOf(sealed(h2, { fingerprint: other.fingerprint }))).toBe('seal_wrong_certificate');
    await stagePair(staged, other);
    expect(await codeOf(sealed())).toBe('seal_wrong_certificate');
    await fs.rm(join(staged, 'key.pem'));
    expect(await codeOf(sealed())).toBe('certificate_staging_missing');
  });

  test('where a host has pinned keys, it seals for those alone: a key that control made up is refused', async () => {
    const { sealingPeersFile } = agentLayout(rootOf(h1));
    const key = await sealOf(h2).publicKey();
    await fs.mkdir(join(sealingPeersFile, '..'), { recursive: true });
    await fs.writeFile(sealingPeersFile, `# who may read our keys\n${h2} ${await sealOf(h3).publicKey()}\n`);
    expect(await codeOf(sealed())).toBe('sealing_peer_unknown');
    expect(await codeOf(sealed(h3))).toBe('sealing_peer_unknown');
    await fs.appendFile(sealingPeersFile, `  ${h2}\t${key}  # h2 since November\n`);
    expect(await codeOf(sealed())).toBe(null);
    await fs.writeFile(sealingPeersFile, '');
    expect(await codeOf(sealed())).toBe('sealing_peer_unknown');
  });

  test.each(['', 'short', Buffer.alloc(32).toString('base64url'), `${'A'.repeat(42)}!`])('refused for what is no key to agree with: %j', async (key) => {
    expect(await codeOf(sealOf(h1).seal(staged, { host: h2, key }, context))).toBe('sealing_key_invalid');
  });
});
