import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { publicKeySha256OfPrivate, readCertificateFacts } from '../../src/adapters/certificate-issuer/facts.ts';
import type { CertificateRequest } from '../../src/domain/certificate/request.ts';
import type { CertificateIssuer } from '../../src/ports/certificate-issuer.ts';
import { issue, pollUntil, reasonOf } from './issuing.ts';

export interface IssuerUnderTest {
  readonly issuer: CertificateIssuer;
  readonly request: CertificateRequest;
  /** The directory that it keeps its files in. */
  readonly directory: string;
  /** Before each certificate: has the other side be ready to give a new one. */
  deliver(): Promise<void>;
  /** How many certificates the other side gave; null where nobody counts. */
  issued(): number | null;
  end(): Promise<void>;
}

const modeOf = async (path: string): Promise<string> => ((await fs.stat(path)).mode & 0o777).toString(8);

/** What every issuer has to hold, whatever stands behind it. */
export function issuerSuite(setUp: () => Promise<IssuerUnderTest>): void {
  describe('as every issuer', () => suite(setUp));
}

function suite(setUp: () => Promise<IssuerUnderTest>): void {
  let bed: IssuerUnderTest;
  beforeEach(async () => {
    bed = await setUp();
  }, 120_000);
  afterEach(() => bed?.end(), 60_000);

  test('stages a pair that fits, with its chain; the key is readable for its owner alone', async () => {
    await bed.deliver();
    const { directory, facts } = await issue(bed.issuer, bed.request);
    const read = (name: string): Promise<string> => fs.readFile(join(directory, name), 'utf8');
    expect([...facts.names].sort()).toEqual([...bed.request.names].sort());
    expect(facts.anchor).not.toBeNull();
    expect(facts.chain.length).toBeGreaterThan(0);
    expect(publicKeySha256OfPrivate(await read('key.pem'))).toBe(facts.publicKeySha256);
    expect(await read('fullchain.pem')).toBe(`${await read('cert.pem')}${await read('chain.pem')}`);
    expect(readCertificateFacts(await read('cert.pem'), []).fingerprintSha256).toBe(facts.fingerprintSha256);
    expect(await Promise.all(['key.pem', '.', '../../orders/app', '../../orders/app/order.json'].map((name) => modeOf(join(directory, name))))).toEqual(['600', '700', '700', '600']);
  }, 120_000);

  test('taken twice each, its steps have the effect of once', async () => {
    await bed.deliver();
    const { issuer, request } = bed;
    const twice = async <T>(step: () => Promise<T>): Promise<T> => {
      await step();
      return step();
    };
    await twice(() => issuer.order(request, null));
    await twice(() => issuer.present(request));
    await twice(() => issuer.answer(request));
    await pollUntil(issuer, request, ({ status }) => status !== 'pending');
    await twice(() => issuer.cleanup(request));
    await twice(() => issuer.finalize(request));
    await pollUntil(issuer, request, ({ status }) => status === 'valid');
    const first = await issuer.download(request);
    expect(await issuer.download(request)).toEqual(first);
    expect(bed.issued() ?? 1).toBe(1);
    await twice(() => issuer.forget(request));
    await expect(fs.access(first.directory)).rejects.toThrow('ENOENT');
  }, 120_000);

  test('renews: another certificate for another key; the old one again is not taken', async () => {
    await bed.deliver();
    const first = await issue(bed.issuer, bed.request);
    const current = await fs.readFile(join(first.directory, 'fullchain.pem'), 'utf8');
    await bed.issuer.forget(bed.request);
    await bed.deliver();
    const second = await issue(bed.issuer, bed.request, current);
    expect(second.facts.serial).not.toBe(first.facts.serial);
    expect(second.facts.publicKeySha256).not.toBe(first.facts.publicKeySha256);
  }, 120_000);

  test('renews also where the order before was not forgotten, though its certificate is in use', async () => {
    await bed.deliver();
    const first = await issue(bed.issuer, bed.request);
    const current = await fs.readFile(join(first.directory, 'fullchain.pem'), 'utf8');
    await bed.deliver();
    expect((await issue(bed.issuer, bed.request, current)).facts.serial).not.toBe(first.facts.serial);
  }, 120_000);

  test('nothing that it returns holds a key, an account, or a part of one', async () => {
    await bed.deliver();
    const { issuer, request } = bed;
    const returned: unknown[] = [await issuer.order(request, null), await issuer.present(request)];
    await issuer.answer(request);
    returned.push(await pollUntil(issuer, request, ({ status }) => status !== 'pending'), await issuer.finalize(request), await pollUntil(issuer, request, ({ status }) => status === 'valid'), await issuer.download(request));
    const text = JSON.stringify([request, returned]);
    for (const secret of await secretsBelow(bed.directory)) expect(text).not.toContain(secret);
    expect(text).not.toContain('PRIVATE KEY');
  }, 120_000);

  test('a step without an order is refused: order_missing', async () => {
    expect(await reasonOf(bed.issuer.poll(bed.request))).toMatchObject({ class: 'dependency', code: 'order_missing' });
  });

  test('a certificate whose name leads elsewhere is refused', async () => {
    expect(await reasonOf(bed.issuer.order({ ...bed.request, certificate: '../../etc' }, null))).toMatchObject({ class: 'request', code: 'certificate_invalid' });
  });
}

/** Every line of every private key below a directory, but the first, which says only of what kind it is. */
export async function secretsBelow(directory: string): Promise<string[]> {
  const names = await fs.readdir(directory, { recursive: true });
  const keys = await Promise.all(names.filter((name) => name.endsWith('key.pem')).map((name) => fs.readFile(join(directory, name), 'utf8')));
  return keys.flatMap((key) => key.split('\n').filter((line) => line.length > 20 && !line.startsWith('-----')).slice(1));
}
