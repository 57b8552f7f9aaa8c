import type { Reason } from '../failure.ts';
import type { CertificateVersion } from '../ids.ts';
import type { CertificateFacts, ChainLink } from './facts.ts';
import { covers } from './host-name.ts';

/** What a pair of key and certificate on a host is. Of the key nothing but whether it fits. */
export interface PairFacts extends CertificateFacts {
  readonly version: CertificateVersion;
  readonly keyMatches: boolean;
}

/** What the certificates of one name on a host are. */
export interface CertificateInspection {
  readonly certificate: string;
  /** What is served after the next reload of the router; null where there is none. */
  readonly active: CertificateVersion | null;
  /** What was served before, and stays for the way back. */
  readonly previous: CertificateVersion | null;
  /** Those that are whole. */
  readonly versions: readonly PairFacts[];
  /** Those that are not: they are never activated. */
  readonly broken: readonly string[];
}

/**
 * Pure: why a pair must not be served; null where it may. Asked right before anything is switched, of what lies on the disk by then.
 * @param names every host name that the router serves with it
 */
export function pairProblem(facts: PairFacts, names: readonly string[], now: Date): Reason | null {
  const missing = names.filter((name) => !facts.names.some((certified) => covers(certified, name)));
  const problem = (code: string, message: string, hint: string): Reason => ({ class: 'dependency', code, message: `Certificate ${facts.serial} by ${facts.issuer} ${message}`, hint: `Nothing was switched. ${hint}` });
  if (!facts.keyMatches) return problem('certificate_key_mismatch', 'belongs to another key than the one that it came with.', 'The issuer mixed up two orders: issue again.');
  if (missing.length > 0) return problem('certificate_names_missing', `is for ${facts.names.join(', ') || 'no host name'}; it lacks ${missing.join(', ')}.`, 'Issue one for every name that the router serves.');
  if (Date.parse(facts.notAfter) <= now.getTime()) return problem('certificate_expired', `expired at ${facts.notAfter}, and it is ${now.toISOString()} here.`, "Check the host's clock, and what the issuer sent.");
  if (Date.parse(facts.notBefore) > now.getTime()) return problem('certificate_not_yet_valid', `is valid from ${facts.notBefore}, and it is ${now.toISOString()} here.`, "Check the host's clock.");
  const gap = chainGap(facts);
  return gap === null ? null : problem('certificate_chain_incomplete', gap, 'Have the issuer send the full chain, in the order in which each is signed by the next.');
}

/**
 * Whether a client that knows only roots can follow the chain. Roots that are no public ones are not known here, so that a chain in order with an intermediate in
 * it is taken for whole.
 */
function chainGap(facts: PairFacts): string | null {
  const links: readonly ChainLink[] = [facts, ...facts.chain];
  const broken = links.findIndex(({ signedByNext }) => signedByNext === false);
  if (broken !== -1) return `came with a chain in which ${links[broken]?.subject} is not signed by ${links[broken + 1]?.subject}.`;
  const last = links.at(-1) as ChainLink;
  return facts.chain.length > 0 || facts.anchor !== null || last.subject === last.issuer ? null : `came without the certificate of ${last.issuer}, which most clients do not know.`;
}
