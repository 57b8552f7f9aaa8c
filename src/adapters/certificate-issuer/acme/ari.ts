import { AuthorityKeyIdentifierExtension, X509Certificate } from '@peculiar/x509';
import { readRetryAfter } from '../../../domain/certificate/backoff.ts';
import type { RenewalInformation } from '../../../domain/certificate/renewal.ts';
import type { AcmeClient } from './client.ts';

/**
 * Names a certificate to its CA (RFC 9773, 4.1): the authority's key identifier and the serial number's DER value, both in base64url.
 * @param keyIdentifier hexadecimal @param serial hexadecimal, with or without the leading zero that DER gives to a number whose first bit is set
 */
export function certificateId(keyIdentifier: string, serial: string): string {
  const even = (serial.length % 2 === 0 ? serial : `0${serial}`).replace(/^(00)+(?=..)/, '');
  const der = Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
  return `${base64url(keyIdentifier)}.${base64url(der)}`;
}

/** @returns null where the certificate does not name its authority's key, so that no CA can be asked for it */
export function certificateIdOf(pem: string): string | null {
  const certificate = new X509Certificate(pem);
  const keyIdentifier = certificate.getExtension(AuthorityKeyIdentifierExtension)?.keyId;
  return keyIdentifier === undefined ? null : certificateId(keyIdentifier, certificate.serialNumber);
}

/** Asks the CA when the certificate should be renewed. @returns null where it does not offer that */
export async function askRenewalInformation(client: Pick<AcmeClient, 'directory' | 'get'>, pem: string, now: number): Promise<RenewalInformation | null> {
  const { renewalInfo } = await client.directory();
  const id = certificateIdOf(pem);
  if (typeof renewalInfo !== 'string' || id === null) return null;
  const { data, headers } = await client.get(`${renewalInfo.replace(/\/$/, '')}/${id}`, 'ask when to renew');
  const body = (typeof data === 'object' && data !== null ? data : {}) as { suggestedWindow?: { start?: unknown; end?: unknown } | null; explanationURL?: unknown };
  return { start: body.suggestedWindow?.start, end: body.suggestedWindow?.end, explanationUrl: body.explanationURL, retryAfterMs: readRetryAfter(headers['retry-after'], now) };
}

const base64url = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');
