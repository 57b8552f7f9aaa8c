import type { Reason } from '../failure.ts';

/** How a CA may ask for proof that a name is ours (RFC 8555, 8). `none` where the issuer sees to it. */
export type ChallengeKind = 'http-01' | 'dns-01' | 'none';
/** Names that every resolver knows, or names of a company's own network, which only its own CA certifies. */
export type NameScope = 'public' | 'private';

export const maxNames = 100;

/** Never delegated, so no public CA certifies them (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476, and ICANN's `internal`). */
const specialUse = ['localhost', 'local', 'invalid', 'test', 'example', 'onion', 'alt', 'internal', 'home.arpa'];
const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;

/**
 * The names that a certificate is asked for: lower case, without repetition, in the order given.
 * @returns every problem at once, or the names
 */
export function parseNames(given: readonly string[], challenge: ChallengeKind, scope: NameScope): { readonly names: readonly string[] } | { readonly problems: readonly Reason[] } {
  const names = [...new Set(given.map((name) => name.trim().toLowerCase()))];
  const problems = names.flatMap((name) => problemOf(name, challenge, scope) ?? []);
  if (names.length === 0) problems.push(refusal('certificate_name_missing', 'A certificate needs at least one name.', 'Give the public name of the product, as app.example.org.'));
  if (names.length > maxNames) problems.push(refusal('certificate_names_too_many', `${names.length} names were asked for; ${maxNames} is the most that public CAs put into one certificate.`, 'Split them over several certificates.'));
  return problems.length === 0 ? { names } : { problems };
}

function problemOf(name: string, challenge: ChallengeKind, scope: NameScope): Reason | null {
  const invalid = (why: string, hint: string): Reason => refusal('certificate_name_invalid', `${JSON.stringify(name.slice(0, 260))} ${why}.`, hint);
  const isWildcard = name.startsWith('*.');
  const host = isWildcard ? name.slice(2) : name;
  const labels = host.split('.');
  if (/[^\x21-\x7e]/.test(name)) return invalid('has letters beyond ASCII', 'Give the name in its ASCII form, which begins with xn-- (RFC 5890).');
  if (name.includes('://') || name.includes('/') || name.includes(':')) return invalid('is not a bare DNS name', 'Leave out scheme, port and path.');
  if (host.length > 253 || !labels.every((part) => label.test(part))) return invalid('is not a DNS name', 'Letters, digits and hyphens, in labels of 1 to 63, 253 together (RFC 1123, 2.1).');
  if (/^[0-9]+$/.test(labels.at(-1) ?? '')) return invalid('is an address, not a name', 'Certificates are asked for by DNS name.');
  if (isWildcard && labels.length < 2) return invalid('stands for a whole top-level domain', 'A wildcard needs a domain below it, as *.app.example.org.');
  if (isWildcard && challenge === 'http-01') {
    return refusal('certificate_wildcard_needs_dns', `${name} is a wildcard, for which a CA accepts proof through DNS alone (RFC 8555, 7.1.3).`, 'Set the challenge to dns-01 and give its hook.');
  }
  if (scope === 'public' && labels.length < 2) return invalid('has a single label', 'A public CA certifies names below a public domain.');
  if (scope === 'public' && specialUse.some((suffix) => host === suffix || host.endsWith(`.${suffix}`))) return invalid('is not a public name', 'A company CA can certify it: give its issuer the scope private.');
  return null;
}

const refusal = (code: string, message: string, hint: string): Reason => ({ class: 'request', code, message, hint });
