import { createHash, createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import type { CertificateFacts, ChainLink } from '../../domain/certificate/facts.ts';
import { FairleadError } from '../../domain/failure.ts';

const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, each as a PEM text with a line end. Whatever stands between them is left out. */
export const splitPem = (text: string): string[] => [...text.matchAll(block)].map(([pem]) => `${pem}\n`);

/** The roots that a chain may end in. @param rootsFile PEM; null: those that this Node trusts. */
export async function readRoots(rootsFile: string | null): Promise<X509Certificate[]> {
  const pems = rootsFile === null ? getCACertificates('default') : splitPem(await readFile(rootsFile, 'utf8'));
  return pems.map((pem) => new X509Certificate(pem));
}

/**
 * Reads a certificate with its chain.
 * @param text PEM: the certificate first, then its chain
 * @throws FairleadError `certificate_unreadable` of class dependency
 */
export function readCertificateFacts(text: string, roots: readonly X509Certificate[]): CertificateFacts {
  let certificates: X509Certificate[];
  try {
    certificates = splitPem(text).map((pem) => new X509Certificate(pem));
  } catch (error) {
    throw unreadable(error);
  }
  const [leaf] = certificates;
  if (leaf === undefined) throw unreadable(undefined);
  const link = (certificate: X509Certificate, at: number): ChainLink => {
    const next = certificates[at + 1];
    return {
      subject: oneLine(certificate.subject),
      issuer: oneLine(certificate.issuer),
      notBefore: new Date(certificate.validFrom).toISOString(),
      notAfter: new Date(certificate.validTo).toISOString(),
      fingerprintSha256: fingerprintOf(certificate),
      signedByNext: next === undefined ? null : isSignedBy(certificate, next),
    };
  };
  return {
    ...link(leaf, 0),
    names: dnsNames(leaf),
    serial: leaf.serialNumber.toLowerCase(),
    publicKeySha256: publicKeySha256(leaf.publicKey),
    chain: certificates.slice(1).map((certificate, at) => link(certificate, at + 1)),
    anchor: anchorOf(certificates, roots),
  };
}

/** SHA-256 of the public half of a private key in PEM. The key itself goes nowhere. @throws FairleadError `private_key_unreadable` without any part of the text */
export function publicKeySha256OfPrivate(pem: string): string {
  try {
    return publicKeySha256(createPublicKey(createPrivateKey(pem)));
  } catch {
    // OpenSSL's own message is not passed on: it may quote what it read.
    throw new FairleadError({ class: 'dependency', code: 'private_key_unreadable', message: 'A private key could not be read as PEM.', hint: 'It has to be PKCS #8, PKCS #1 or SEC 1, without a passphrase.' });
  }
}

const publicKeySha256 = (key: KeyObject): string => createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('hex');
const fingerprintOf = (certificate: X509Certificate): string => certificate.fingerprint256.replaceAll(':', '').toLowerCase();
const isSignedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
const oneLine = (name: string | undefined): string => (name ?? '').replaceAll('\n', ', ');

/** Node quotes an alternative name that holds a comma or a control character as JSON; no DNS name does, so those are left out. */
function dnsNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? '').split(', ').flatMap((entry) => (/^DNS:[A-Za-z0-9*._-]+$/.test(entry) ? [entry.slice(4).toLowerCase()] : []));
}

/** A cross-signed chain may go on past a root that is known, so each certificate of it may be the one that leads to a root. */
function anchorOf(certificates: readonly X509Certificate[], roots: readonly X509Certificate[]): string | null {
  for (const certificate of certificates) {
    const root = roots.find((candidate) => candidate.fingerprint256 === certificate.fingerprint256 || isSignedBy(certificate, candidate));
    if (root !== undefined) return fingerprintOf(root);
  }
  return null;
}

function unreadable(cause: unknown): FairleadError {
  return new FairleadError({ class: 'dependency', code: 'certificate_unreadable', message: 'What the issuer gave is not a certificate in PEM.', hint: "Look at the issuer's own log." }, { cause });
}
