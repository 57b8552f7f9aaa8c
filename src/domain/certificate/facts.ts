/** One certificate of a chain, without what only the first one has. */
export interface ChainLink {
  readonly subject: string;
  readonly issuer: string;
  /** ISO 8601, UTC. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** SHA-256 of the DER, in lower-case hexadecimal digits. */
  readonly fingerprintSha256: string;
  /** Whether the certificate after it in the file is its issuer, by name and by signature. Null for the last one. */
  readonly signedByNext: boolean | null;
}

/** What is known of a certificate once it was read. Holds nothing secret: all of it is sent to every client of TLS. */
export interface CertificateFacts extends ChainLink {
  /** DNS names of the subject alternative name, in lower case; the common name counts for nothing (RFC 9525, 2). */
  readonly names: readonly string[];
  /** Lower-case hexadecimal digits. */
  readonly serial: string;
  /** SHA-256 of the DER of SubjectPublicKeyInfo, in lower-case hexadecimal digits. */
  readonly publicKeySha256: string;
  /** What comes after it in the file, in the file's order. */
  readonly chain: readonly ChainLink[];
  /** The root in the trust store that signed the last certificate of the chain, or that the last one is; null where there is none. */
  readonly anchor: string | null;
}

/** How long the certificate is valid, in milliseconds. */
export const lifetimeMs = ({ notBefore, notAfter }: Pick<CertificateFacts, 'notBefore' | 'notAfter'>): number => Date.parse(notAfter) - Date.parse(notBefore);
