import { webcrypto } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
type Keys = Awaited<ReturnType<typeof makeKeys>>;
const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
let serial = 0x1000;
const nextSerial = () => (serial += 1).toString(16).padStart(8, '0');

export interface IssueOptions {
  readonly names: readonly string[];
  /** Days from now; may be negative. Default -1 and 89. */
  readonly fromDays?: number;
  readonly toDays?: number;
}

/** A pair as an issuer gives it: PEM texts, and the fingerprint of the certificate. */
export interface IssuedPair {
  readonly key: string;
  readonly cert: string;
  readonly chain: string;
  readonly fullchain: string;
  readonly fingerprint: string;
}

export interface TestAuthority {
  /** PEM. */
  readonly root: string;
  readonly intermediate: string;
  issue(options: IssueOptions): Promise<IssuedPair>;
}

const days = (count: number) => new Date(Date.now() + count * 86_400_000);
const pemOf = (certificate: x509.X509Certificate) => `${certificate.toString('pem').trim()}\n`;

async function keyPem(keys: Keys): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${(der.match(/.{1,64}/g) ?? []).join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/** A certificate authority of its own, with a root and an intermediate that signs. */
export async function createTestAuthority(name = 'Test'): Promise<TestAuthority> {
  const [rootKeys, intermediateKeys] = await Promise.all([makeKeys(), makeKeys()]);
  const authority = [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)];
  const validity = { notBefore: days(-30), notAfter: days(3650) };
  const root = await x509.X509CertificateGenerator.createSelfSigned({ serialNumber: nextSerial(), name: `CN=${name} Root`, ...validity, keys: rootKeys as never, signingAlgorithm: algorithm, extensions: authority });
  const intermediate = await x509.X509CertificateGenerator.create({ serialNumber: nextSerial(), subject: `CN=${name} Intermediate`, issuer: root.subject, ...validity, publicKey: intermediateKeys.publicKey as never, signingKey: rootKeys.privateKey as never, signingAlgorithm: algorithm, extensions: authority });
  return {
    root: pemOf(root),
    intermediate: pemOf(intermediate),
    async issue({ names, fromDays = -1, toDays = 89 }) {
      const keys = await makeKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: nextSerial(),
        subject: `CN=${names[0]}`,
        issuer: intermediate.subject,
        notBefore: days(fromDays),
        notAfter: days(toDays),
        publicKey: keys.publicKey as never,
        signingKey: intermediateKeys.privateKey as never,
        signingAlgorithm: algorithm,
        extensions: [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value }))), new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth])],
      });
      const cert = pemOf(certificate);
      const fingerprint = Buffer.from(await certificate.getThumbprint('SHA-256')).toString('hex');
      return { key: await keyPem(keys), cert, chain: pemOf(intermediate), fullchain: cert + pemOf(intermediate), fingerprint };
    },
  };
}

/** Puts a pair where an issuer would: a staging directory. @param change files in place of the pair's own. */
export async function stagePair(directory: string, pair: IssuedPair, change: Partial<IssuedPair> = {}): Promise<string> {
  const { key, cert, chain, fullchain } = { ...pair, ...change };
  await mkdir(directory, { recursive: true });
  for (const [name, text] of Object.entries({ 'key.pem': key, 'cert.pem': cert, 'chain.pem': chain, 'fullchain.pem': fullchain })) await writeFile(join(directory, name), text, { mode: 0o600 });
  return directory;
}
