import { canonicalJson } from '../canonical-json.ts';
import type { HashFunction } from './chain.ts';

/** What a row holds of a request at most; a larger one is told by its size and digest. Characters of canonical JSON. */
const longest = 8_192;

/** Names of members whose values are secrets, wherever they stand. `keyFile` and the like name a place and are none. */
const secretName = /^(token|secret|password|passphrase|authorization|text|apiKey|privateKey|hmacKey|credentials?)$/i;

/** A request's body as the audit keeps it: without secrets, and of a bounded size. Pure. */
export function askedForAudit(body: unknown, sha256: HashFunction): unknown {
  const shown = withoutSecrets(body);
  const text = canonicalJson(shown ?? null);
  return text.length <= longest ? shown : { characters: text.length, sha256: sha256(text) };
}

/** The value with secret members, and passwords and queries within addresses, taken out. */
export function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s:/@"\\]*:[^\s@"\\]+@/gi, '$1[redacted]@').replace(/\bfl_([a-z]+)_[A-Za-z0-9_-]{20,}/g, 'fl_$1_[redacted]').replace(/([?&][^=&\s]*(?:token|key|secret|password)[^=&\s]*=)[^&\s]+/gi, '$1[redacted]');
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, secretName.test(name) ? '[redacted]' : withoutSecrets(member)]));
}
