import type { CertificateName } from '../ids.ts';

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/**
 * Pure: why no public certificate authority would give a certificate for a name; null where one would. In words that go on from the name.
 * A star may stand for the whole first label (RFC 9525 section 6.3). Names beyond ASCII have to be written as `xn--…` (RFC 5891).
 */
export function hostNameProblem(name: string): string | null {
  const plain = name.startsWith('*.') ? name.slice(2) : name;
  if (name.length > 253) return 'is longer than 253 characters';
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(plain) || plain.includes(':')) return 'is an address; it must be a host name';
  if (/[^\x21-\x7e]/.test(plain)) return 'holds letters beyond ASCII; write it as xn--…';
  const labels = plain.split('.');
  if (!labels.every((part) => label.test(part))) return 'must be a host name: labels of letters, digits and dashes, parted by dots; a star may stand for the whole first label';
  if (labels.length < 2) return 'has no dot: no certificate authority gives a certificate for a name of one label';
  if (['localhost', 'local', 'internal', 'localdomain', 'onion'].includes(labels.at(-1)?.toLowerCase() ?? '')) return 'lies in a domain that is not public';
  return null;
}

/** Pure: whether a name of a certificate, which may begin with a star, stands for a host name (RFC 9525 section 6.3: the star for exactly one label). */
export function covers(certified: string, name: string): boolean {
  const [a, b] = [certified.toLowerCase(), name.toLowerCase()];
  return a === b || (a.startsWith('*.') && !b.startsWith('*.') && b.includes('.') && b.slice(b.indexOf('.')) === a.slice(1));
}

/** Pure: what a certificate for these names is called on a host. The first name decides. */
export function certificateNameOf(names: readonly string[]): CertificateName {
  return (names[0] ?? '').toLowerCase().replace(/^\*/, 'wildcard').slice(0, 63).replace(/[.-]+$/, '') as CertificateName;
}
