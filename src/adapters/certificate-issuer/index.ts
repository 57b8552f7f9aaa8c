import type { IssuerConfiguration } from '../../domain/certificate/request.ts';
import type { CertificateIssuer } from '../../ports/certificate-issuer.ts';
import { createAcmeIssuer, type AcmeIssuerOptions } from './acme/index.ts';
import { createCertbotIssuer } from './certbot/index.ts';
import { createDirectoryIssuer } from './directory/index.ts';

/** The issuer of each kind, for one product of a host. @param options.directory the state root's `acme`, absolute */
export function createCertificateIssuers(options: AcmeIssuerOptions): Readonly<Record<IssuerConfiguration['kind'], CertificateIssuer>> {
  return { acme: createAcmeIssuer(options), certbot: createCertbotIssuer(options), directory: createDirectoryIssuer(options) };
}
