import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { CertificateRequest, Challenge, IssuerConfiguration } from './request.ts';
import type { SealedDelivery } from './seal.ts';

/** How names are proven, before it is known where the host answers: the folder for HTTP-01 is its router's. */
export type ChallengeChoice = { readonly kind: 'http-01' } | Extract<Challenge, { readonly kind: 'dns-01' | 'none' }>;

/** What certificate a product on a host is to have. Kept by control, so that it can be renewed; holds paths of secrets on the host, never a secret. */
export interface CertificateWish {
  /** As `parseNames` returned them. The first one names the certificate. */
  readonly names: readonly string[];
  readonly issuer: IssuerConfiguration;
  readonly challenge: ChallengeChoice;
  readonly keyType: CertificateRequest['keyType'];
  /** Other hosts that serve the same certificate: this one orders it, and they get it sealed. Left out: none. */
  readonly alsoOn?: readonly HostId[];
  /** The host that orders it, where that is another one. Left out: this one. */
  readonly orderedBy?: HostId;
}

/** The input of a run that gets a certificate. */
export interface CertificateRunRequest {
  readonly action: 'issue' | 'renew';
  readonly host: HostId;
  readonly product: ProductName;
  /** The release that the host ran when it was asked: for the run's row. */
  readonly releaseId: ReleaseId;
  readonly wish: CertificateWish;
  /** Where the authority comes to, for the look whether the names lead to this host; null leaves that out. */
  readonly originPort: number | null;
  /** Renews although nothing is due. */
  readonly force: boolean;
  /** Instead of an order: the pair that another host has got, sealed for this one. Left out: it is ordered. */
  readonly delivery?: SealedDelivery;
  readonly requestedBy: string;
  readonly requestId: string;
}

/** How an issuer is known. */
export const issuerKinds = ['acme', 'certbot', 'directory'] as const;
/** Which proof an issuer needs, where nothing else was said. */
export const usualChallenge = (issuer: IssuerConfiguration): ChallengeChoice => (issuer.kind === 'directory' ? { kind: 'none' } : { kind: 'http-01' });
