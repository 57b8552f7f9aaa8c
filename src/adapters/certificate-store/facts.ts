import { createHash, createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { FairleadError } from '../../domain/failure.ts';
import type { CertificateVersion } from '../../domain/ids.ts';
import type { ChainLink } from '../../domain/certificate/facts.ts';
import type { PairFacts } from '../../domain/certificate/pair.ts';

/** The texts of a pair, as its files hold them. */
export interface PairTexts {
  readonly key: string;
  readonly cert: string;
  readonly chain: string;
  readonly fullchain: string;
}

/** The certificates of a PEM text (RFC 7468), each for itself; whatever stands between them is left out. */
export const splitPem = (text: string): string[] => (text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map((pem) => `${pem}\n`);

/**
 * Reads a pair. @param key PEM @param certificates PEM, the certificate first. @throws `certificate_unreadable`, `certificate_key_unreadable`: without a word of
 * what the text was.
 */
export function readPair(key: string, certificates: readonly string[]): { readonly texts: PairTexts; readonly facts: PairFacts } {
  const links = certificates.map(parseCertificate);
  const [own, ...rest] = links;
  if (own === undefined) throw unreadable('certificate_unreadable', 'There is no certificate in what was staged.');
  const secret = parseKey(key);
  const fullchain = certificates.join('');
  const publicKey = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  const version = sha256(Buffer.concat([publicKey, ...links.map(({ raw }) => raw)])).slice(0, 16) as CertificateVersion;
  const texts = { key: key.endsWith('\n') ? key : `${key}\n`, cert: certificates[0] as string, chain: certificates.slice(1).join(''), fullchain };
  return { texts, facts: factsOf(version, own, rest, secret) };
}

function factsOf(version: CertificateVersion, own: X509Certificate, rest: readonly X509Certificate[], secret: KeyObject): PairFacts {
  const chain = rest.map((link, at) => linkOf(link, rest[at + 1]));
  return {
    version,
    ...linkOf(own, rest[0]),
    names: namesOf(own),
    serial: own.serialNumber.toLowerCase(),
    publicKeySha256: sha256(own.publicKey.export({ type: 'spki', format: 'der' })),
    keyMatches: own.checkPrivateKey(secret),
    chain,
    anchor: anchorOf(rest.at(-1) ?? own),
  };
}

const linkOf = (link: X509Certificate, next: X509Certificate | undefined): ChainLink => ({
  subject: oneLine(link.subject),
  issuer: oneLine(link.issuer),
  notBefore: new Date(link.validFrom).toISOString(),
  notAfter: new Date(link.validTo).toISOString(),
  fingerprintSha256: sha256(link.raw),
  signedByNext: next === undefined ? null : isSignedBy(link, next),
});

const isSignedBy = (link: X509Certificate, by: X509Certificate): boolean => link.checkIssued(by) && link.verify(by.publicKey);

/** DNS names only; Node quotes entries that hold a comma, which no host name does. */
const namesOf = ({ subjectAltName }: X509Certificate): string[] => (subjectAltName ?? '').split(', ').flatMap((entry) => (entry.startsWith('DNS:') ? [entry.slice(4).toLowerCase()] : []));

/** Node's own list of roots is 140 certificates: looked through only here, and not kept. */
function anchorOf(last: X509Certificate): string | null {
  for (const pem of rootCertificates) {
    const root = new X509Certificate(pem);
    if (root.raw.equals(last.raw) || (root.subject === last.issuer && isSignedBy(last, root))) return oneLine(root.subject);
  }
  return null;
}

function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw unreadable('certificate_unreadable', 'A certificate in what was staged cannot be read.', cause);
  }
}

function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // Without its cause: nobody promises that it quotes nothing.
    throw unreadable('certificate_key_unreadable', 'The key in what was staged cannot be read.');
  }
}

const unreadable = (code: string, message: string, cause?: unknown): FairleadError =>
  new FairleadError({ class: 'dependency', code, message, hint: 'Nothing was switched. Look at what the issuer sent: PEM files are expected, with a key that has no passphrase.' }, { cause });

// A subject may be empty: names stand in an extension.
const oneLine = (name: string | undefined): string => (name ?? '').replaceAll('\n', ', ');
export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
