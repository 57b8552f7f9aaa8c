import type { Reason } from '../failure.ts';
import { lifetimeMs, type CertificateFacts, type ChainLink } from './facts.ts';

export interface NewCertificateExpectation {
  /** What was asked for. */
  readonly names: readonly string[];
  /** SHA-256 of the public key of the private key that lies on the host. */
  readonly publicKeySha256: string;
  /** The certificate that works now; null on the first one. */
  readonly current: Pick<CertificateFacts, 'fingerprintSha256' | 'serial'> | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const day = 24 * 3_600_000;
/** No CA means longer than ten years for a server, and none shorter than an hour can be renewed in time. */
const lifetimeLimits = { leastMs: 3_600_000, mostMs: 10 * 366 * day } as const;
/** By how much a host's clock may be behind a CA that does not date its certificates back. */
const leewayMs = 5 * 60_000;

/**
 * What must hold of a new certificate before it may take the place of one that works.
 * @returns every reason against it; none where it may be used. All are of class `dependency`: what the issuer gave is at fault.
 */
export function checkNewCertificate(facts: CertificateFacts, { names, publicKeySha256, current, now }: NewCertificateExpectation): Reason[] {
  const reasons: Reason[] = [];
  const refuse = (code: string, message: string, hint: string): void => void reasons.push({ class: 'dependency', code, message, hint });
  const which = `The new certificate of ${names[0] ?? 'the host'} (serial ${facts.serial})`;

  if (facts.publicKeySha256 !== publicKeySha256) {
    refuse('certificate_key_mismatch', `${which} is for another key than the one it was asked for.`, 'Nothing was changed. Ask the CA what it issued; the next try uses a new key.');
  }
  const missing = names.filter((name) => !facts.names.includes(name));
  if (missing.length > 0) refuse('certificate_names_missing', `${which} lacks ${missing.join(', ')}; it has ${facts.names.join(', ') || 'no name'}.`, 'Ask for names that the issuer gives, or use another issuer.');
  if (Date.parse(facts.notBefore) > now + leewayMs) {
    refuse('certificate_not_yet_valid', `${which} is valid from ${facts.notBefore}, and it is ${new Date(now).toISOString()} here.`, "Check the host's clock (timedatectl, chronyc tracking).");
  }
  if (Date.parse(facts.notAfter) <= now) {
    refuse('certificate_expired', `${which} expired at ${facts.notAfter}, and it is ${new Date(now).toISOString()} here.`, "Check the host's clock (timedatectl, chronyc tracking).");
  }
  if (current !== null && (current.fingerprintSha256 === facts.fingerprintSha256 || current.serial === facts.serial)) {
    refuse('certificate_same_as_current', `${which} is the one that is in use already.`, 'The issuer gave the old one again: look at its own log.');
  }
  const lifetime = lifetimeMs(facts);
  if (!(lifetime >= lifetimeLimits.leastMs && lifetime <= lifetimeLimits.mostMs)) {
    refuse('certificate_lifetime_absurd', `${which} is valid from ${facts.notBefore} to ${facts.notAfter}: less than an hour or more than ten years.`, "Ask the CA, or choose another of its profiles.");
  }
  const gap = chainGap(facts);
  if (gap !== null) refuse('certificate_chain_incomplete', `${which}: ${gap}`, 'Clients that know only roots could not check it. Have the issuer add its intermediates; for a company CA, give the issuer its roots (rootsFile).');
  const old = facts.chain.find((link) => Date.parse(link.notAfter) <= now);
  if (old !== undefined) refuse('certificate_chain_expired', `${which}: ${old.subject} of its chain expired at ${old.notAfter}.`, 'Ask the CA for its present chain.');
  return reasons;
}

/** Where the way from the certificate to a root is broken; null where it is whole. */
function chainGap(facts: CertificateFacts): string | null {
  const links: readonly ChainLink[] = [facts, ...facts.chain];
  const broken = links.findIndex((link) => link.signedByNext === false);
  if (broken !== -1) return `${links[broken]?.subject} was not signed by ${links[broken + 1]?.subject}, which comes after it in the file.`;
  return facts.anchor === null ? `its chain ends at ${links.at(-1)?.subject}, and no known root is ${links.at(-1)?.issuer}.` : null;
}
