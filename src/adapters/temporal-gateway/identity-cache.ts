import { createHash } from 'node:crypto';
import type { HostId } from '../../domain/ids.ts';
import type { HostIdentities } from '../../ports/host-identities.ts';

/** For how long an answer holds before the store is asked again: a revoked key is refused after that at the latest. */
const freshMs = 2_000;
/**
 * For how long a key that was good stays good while the store is away. Nobody can revoke a key meanwhile, since that is written to the same store; and hosts
 * go on with what they do, as they would with Temporal next to them.
 */
const graceMs = 15 * 60_000;
const mostEntries = 50_000;

interface Entry {
  readonly identity: { readonly host: HostId } | null;
  readonly at: number;
}

/** Asks `identities` once for each key within 2 s, however many calls there are. Keys are remembered by their digest only. */
export function createIdentityCache(identities: HostIdentities, now: () => number = () => performance.now()): HostIdentities {
  const entries = new Map<string, Entry>();
  const asked = new Map<string, Promise<Entry['identity']>>();

  async function ask(digest: string, keyText: string): Promise<Entry['identity']> {
    const before = entries.get(digest);
    try {
      const began = now();
      const identity = await identities.identify(keyText);
      entries.delete(digest); // So that it comes last again.
      entries.set(digest, { identity, at: began });
      for (const [oldest] of entries) {
        if (entries.size <= mostEntries) break;
        entries.delete(oldest);
      }
      return identity;
    } catch (error) {
      if (before?.identity && now() - before.at < graceMs) return before.identity;
      throw error;
    }
  }

  return {
    async identify(keyText) {
      const digest = createHash('sha256').update(keyText, 'utf8').digest('base64');
      const known = entries.get(digest);
      if (known !== undefined && now() - known.at < freshMs) return known.identity;
      const pending = asked.get(digest) ?? ask(digest, keyText).finally(() => asked.delete(digest));
      asked.set(digest, pending);
      return pending;
    },
  };
}
