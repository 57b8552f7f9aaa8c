import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface TestPair {
  /** PEM, PKCS #8. */
  readonly key: string;
  /** PEM, this certificate alone. */
  readonly cert: string;
}

export interface IssueOptions {
  readonly names: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly serial?: string;
}

/** A CA of a test's own: for TLS of a server, and for certificates with any fault that a test wants. */
export interface TestAuthority {
  /** PEM of its own certificate. */
  readonly cert: string;
  issue(options: IssueOptions): Promise<TestPair>;
  /** A CA below this one. */
  intermediate(name: string): Promise<TestAuthority>;
}

const day = 24 * 3_600_000;
const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;

export async function createAuthority(name: string): Promise<TestAuthority> {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - 400 * day),
    notAfter: new Date(Date.now() + 4_000 * day),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true), await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)],
  });
  return authorityOf(certificate, keys);
}

function authorityOf(certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair): TestAuthority {
  const below = async (subject: string, subjectKeys: webcrypto.CryptoKeyPair, { notBefore, notAfter, serial }: Omit<IssueOptions, 'names'>, extensions: x509.Extension[]): Promise<x509.X509Certificate> =>
    x509.X509CertificateGenerator.create({
      serialNumber: serial ?? randomSerial(),
      subject,
      issuer: certificate.subject,
      notBefore: notBefore ?? new Date(Date.now() - day / 24),
      notAfter: notAfter ?? new Date(Date.now() + 90 * day),
      signingAlgorithm: algorithm,
      publicKey: subjectKeys.publicKey,
      signingKey: keys.privateKey,
      extensions: [...extensions, await x509.SubjectKeyIdentifierExtension.create(subjectKeys.publicKey), await x509.AuthorityKeyIdentifierExtension.create(certificate)],
    });
  return {
    cert: pemOf(certificate),
    async issue({ names, ...options }) {
      const own = await makeKeys();
      const alternatives = names.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value }));
      const leaf = await below(`CN=${names[0]}`, own, options, [new x509.BasicConstraintsExtension(false), new x509.SubjectAlternativeNameExtension(alternatives), new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1'])]);
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64');
      return { key: `-----BEGIN PRIVATE KEY-----\n${key.replaceAll(/.{64}/g, '$&\n').trim()}\n-----END PRIVATE KEY-----\n`, cert: pemOf(leaf) };
    },
    async intermediate(name) {
      const own = await makeKeys();
      return authorityOf(await below(`CN=${name}`, own, { notAfter: new Date(Date.now() + 2_000 * day) }, [new x509.BasicConstraintsExtension(true, 0, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)]), own);
    },
  };
}

const pemOf = (certificate: x509.X509Certificate): string => `${certificate.toString('pem').trim()}\n`;
const randomSerial = (): string => `0${Buffer.from(webcrypto.getRandomValues(new Uint8Array(12))).toString('hex').slice(1)}`;
