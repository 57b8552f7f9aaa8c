import type { CertificateInspection, PairFacts } from '../domain/certificate/pair.ts';
import type { CertificateName, CertificateVersion, ProductName, RunId } from '../domain/ids.ts';

/** A backup of the pair that was active when a run began to switch. */
export interface CertificateBackup {
  /** The directory with the copy. */
  readonly path: string;
  /** Null: there was none, and the way back is to plain HTTP. */
  readonly version: CertificateVersion | null;
}

/**
 * The certificates of a host. Each version of one is a directory with `key.pem` (0600), `cert.pem`, `chain.pem` and `fullchain.pem`, of which `current` names one:
 * key and certificate are switched by one rename(2), and never mismatch. What is returned never holds a key. Every change is durable before it resolves.
 */
export interface CertificateStore {
  /** The directory whose `fullchain.pem` and `key.pem` a router reads: the symlink `current`. */
  directory(product: ProductName, certificate: CertificateName): string;
  list(product: ProductName): Promise<CertificateName[]>;
  /** Changes nothing. */
  inspect(product: ProductName, certificate: CertificateName): Promise<CertificateInspection>;
  /** PEM of the certificate and its chain that are active; null where there are none. */
  readActive(product: ProductName, certificate: CertificateName): Promise<string | null>;
  /** What a version is; null where it is not there or not whole. */
  read(product: ProductName, certificate: CertificateName, version: CertificateVersion): Promise<PairFacts | null>;
  /**
   * Takes a pair in from `directory`: `key.pem` (or `privkey.pem`) with `fullchain.pem`, or with `cert.pem` and `chain.pem`. It is not looked at whether the
   * pair may be served, only whether it can be read. Idempotent: the same pair is the same version.
   */
  stage(product: ProductName, certificate: CertificateName, directory: string): Promise<PairFacts>;
  /** Points `current` at a version that is whole. Idempotent. */
  activate(product: ProductName, certificate: CertificateName, version: CertificateVersion): Promise<'activated' | 'already_active'>;
  /** Copies the active pair. Idempotent: the backup that a run has taken already is left alone, whatever is active by then. */
  backUp(product: ProductName, certificate: CertificateName, runId: RunId): Promise<CertificateBackup>;
  readBackup(product: ProductName, certificate: CertificateName, runId: RunId): Promise<CertificateBackup | null>;
  /** Points `current` at what the backup names, put back from the copy where it is no longer whole; removes `current` where there was none. Idempotent. */
  restore(product: ProductName, certificate: CertificateName, runId: RunId): Promise<CertificateBackup>;
  /** The active version is proven: from here on, what the run's backup names is the previous one. Idempotent. */
  commit(product: ProductName, certificate: CertificateName, runId: RunId): Promise<void>;
  /** Removes versions but the active and the previous one, and backups but the newest. @returns the versions that were removed */
  prune(product: ProductName, certificate: CertificateName): Promise<string[]>;
}
