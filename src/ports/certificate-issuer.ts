import type { CertificateFacts } from '../domain/certificate/facts.ts';
import type { RenewalInformation } from '../domain/certificate/renewal.ts';
import type { CertificateRequest } from '../domain/certificate/request.ts';

/**
 * Where an order stands (RFC 8555, 7.1.6). `pending`: names have to be proven. `ready`: it can be finalized. `processing`: the issuer is at work.
 * `valid`: it can be downloaded.
 */
export interface OrderProgress {
  readonly status: 'pending' | 'ready' | 'processing' | 'valid';
  /** Names the order at the issuer; null where it has no such thing. */
  readonly order: string | null;
  /** Whether this order was told to the CA as the one that replaces the present certificate (RFC 9773, 5). */
  readonly replaces: boolean;
  /** Not to be asked before; ISO 8601. Null: whenever. */
  readonly retryAt: string | null;
}

/** What `present` did, by name; nothing that has to be kept from anybody. */
export interface PresentedChallenge {
  readonly name: string;
  readonly kind: 'http-01' | 'dns-01';
}

/** A pair that was checked and lies in the staging directory: `key.pem` (0600), `cert.pem`, `chain.pem`, `fullchain.pem`. */
export interface StagedCertificate {
  readonly directory: string;
  readonly facts: CertificateFacts;
}

/**
 * Gets certificates. Each step is an activity that can be killed anywhere and is called again with the same request; it goes on with the same order,
 * which is kept in a file on the host before anything else is done with it. No key ever crosses this border: keys are made on the host, stay in its
 * files (0600), and what is returned holds none.
 *
 * Steps: `order`, `present`, `answer`, `poll` until `ready`, `cleanup`, `finalize`, `poll` until `valid`, `download`, and `forget` once the pair is in its
 * place. Each asks the issuer a bounded number of times and never waits for it by itself.
 *
 * Errors are FairleadErrors whose reason may hold `retryAt`. Class `dependency`: `ca_away`, `ca_unavailable`, `ca_tls_failed`, `ca_rate_limited`,
 * `ca_answer_invalid`, `ca_refused`, `ca_nonces_rejected`, `validation_failed`, `certificate_*`; class `request`: what has to be configured otherwise;
 * class `host`: `clock_wrong`, and what the disk says.
 */
export interface CertificateIssuer {
  readonly kind: 'acme' | 'certbot' | 'directory';
  /** When the CA would like the certificate renewed; null where it does not say. Never throws for a CA that is away or wrong: then there is no answer. @param certificate PEM */
  renewalInformation(request: CertificateRequest, certificate: string): Promise<RenewalInformation | null>;
  /** The order that is under way, or a new one. @param current PEM of the certificate that it replaces; null on the first one. */
  order(request: CertificateRequest, current: string | null): Promise<OrderProgress>;
  /** Puts the proof for each name that still needs one where the CA looks. */
  present(request: CertificateRequest): Promise<readonly PresentedChallenge[]>;
  /** Tells the CA to look. */
  answer(request: CertificateRequest): Promise<void>;
  /** Asks once. @throws `validation_failed` with what the CA saw; the next `order` is then a new one. */
  poll(request: CertificateRequest): Promise<OrderProgress>;
  /** Takes away what `present` put there. Nothing to take away is fine. */
  cleanup(request: CertificateRequest): Promise<void>;
  /** Has the order issued, for a key that was durable before. */
  finalize(request: CertificateRequest): Promise<OrderProgress>;
  /** Gets the certificate, checks it (`src/domain/certificate/check.ts`) and stages it. What does not hold is not staged, and the next `order` is a new one. */
  download(request: CertificateRequest): Promise<StagedCertificate>;
  /** Drops the order and what was staged. */
  forget(request: CertificateRequest): Promise<void>;
}
