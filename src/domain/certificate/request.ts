import { namePattern } from '../ids.ts';
import type { ChallengeKind, NameScope } from './names.ts';

/**
 * Where certificates come from. It travels through workflows, so it holds the paths of secrets on the host, never a secret.
 * Paths are absolute.
 */
export type IssuerConfiguration = AcmeIssuerConfiguration | CertbotIssuerConfiguration | DirectoryIssuerConfiguration;

interface CommonConfiguration {
  /** Names the issuer in what people read. */
  readonly name: string;
  readonly scope: NameScope;
  /** PEM roots that its certificates lead to; null: those that Node brings. */
  readonly rootsFile: string | null;
}

export interface AcmeIssuerConfiguration extends CommonConfiguration {
  readonly kind: 'acme';
  readonly directoryUrl: string;
  /** Addresses for the CA's own mail, as `mailto:ops@example.org`. */
  readonly contact: readonly string[];
  /** PEM roots for HTTPS to the CA itself; null: those that Node brings. */
  readonly caBundleFile: string | null;
  /** RFC 8555, 7.3.4. The file holds the MAC key in base64url. */
  readonly externalAccountBinding: { readonly keyIdentifier: string; readonly hmacKeyFile: string } | null;
  /** One of the directory's `meta.profiles` (draft-aaron-acme-profiles); null: the CA's own choice. */
  readonly profile: string | null;
}

export interface CertbotIssuerConfiguration extends CommonConfiguration {
  readonly kind: 'certbot';
  /** Where certbot keeps its configuration: /etc/letsencrypt. */
  readonly configDir: string;
  readonly workDir: string;
  readonly logsDir: string;
  /** Null: the server that certbot is configured for. */
  readonly directoryUrl: string | null;
  readonly caBundleFile: string | null;
  readonly email: string | null;
}

export interface DirectoryIssuerConfiguration extends CommonConfiguration {
  readonly kind: 'directory';
  /** Where the company's CA puts `<certificate>/key.pem` and `<certificate>/fullchain.pem`, or `cert.pem` with `chain.pem`. */
  readonly directory: string;
}

/** How a name is proven. A hook is called as `HOOK present|cleanup NAME VALUE`, where NAME is the TXT record's (RFC 8555, 8.4). */
export type Challenge =
  | { readonly kind: 'http-01'; readonly webroot: string }
  | { readonly kind: 'dns-01'; readonly hook: readonly string[]; readonly timeoutSeconds: number }
  | { readonly kind: 'none' };

/** What is asked of an issuer. No secret is part of it, so a workflow may carry it. */
export interface CertificateRequest {
  /** Names the pair on the host: a file name. */
  readonly certificate: string;
  /** As `parseNames` returned them. */
  readonly names: readonly string[];
  readonly issuer: IssuerConfiguration;
  readonly challenge: Challenge;
  readonly keyType: 'ecdsa-p256' | 'rsa-2048' | 'rsa-4096';
}

/** Whether `name` can name a certificate: it becomes a directory. */
export const isCertificateName = (name: string): boolean => namePattern.test(name) && !name.includes('..');

/** Two requests with the same text are one order: whatever else changes between attempts, as paths of hooks, does not start a new one. */
export function orderIdentity({ names, issuer, keyType, challenge }: CertificateRequest): string {
  const at = issuer.kind === 'directory' ? issuer.directory : issuer.directoryUrl;
  const kind: ChallengeKind = challenge.kind;
  return JSON.stringify([issuer.kind, at, issuer.kind === 'acme' ? issuer.profile : null, [...names].sort(), keyType, kind]);
}
