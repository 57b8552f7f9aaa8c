import { canonicalJson } from '../canonical-json.ts';
import { hideSecrets } from '../secret-text.ts';
import type { HashFunction } from './chain.ts';

/** What a row holds of a request at most; a larger one is told by its size and digest. Characters of canonical JSON. */
const longest = 8_192;

/** Names of members whose values are secrets, wherever they stand. `keyFile` and the like name a place and are none. */
const secretName = /^(token|secret|password|passphrase|authorization|text|apiKey|privateKey|hmacKey|credentials?)$/i;

/** Members that are secrets in the body of one route, and nothing of the kind elsewhere. By `METHOD /path/:id`. */
const secretMembers: Readonly<Record<string, readonly string[]>> = { 'PUT /api/settings/:name': ['value'], 'POST /api/webhooks': ['url'] };

/**
 * A request's body as the audit keeps it: without secrets, and of a bounded size. Pure.
 * @param route where it was sent, as `METHOD /path/:id`; left out for what is no request
 */
export function askedForAudit(body: unknown, sha256: HashFunction, route = ''): unknown {
  const secret = secretMembers[route] ?? [];
  const named = secret.length === 0 || typeof body !== 'object' || body === null ? body : Object.fromEntries(Object.entries(body).map(([name, member]) => [name, secret.includes(name) ? '[redacted]' : member]));
  const shown = withoutSecrets(named);
  const text = canonicalJson(shown ?? null);
  return text.length <= longest ? shown : { characters: text.length, sha256: sha256(text) };
}

/** The value with secret members, and whatever looks like a secret in its texts, taken out. */
export function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return hideSecrets(value);
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, secretName.test(name) ? '[redacted]' : withoutSecrets(member)]));
}
