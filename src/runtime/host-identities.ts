import type { KeyStore } from '../ports/control-stores.ts';
import type { HostIdentities } from '../ports/host-identities.ts';

/** Hosts by their agents' keys. A key of another role is no host's, nor is one that was never bound to a host: its first hello does that. */
export function hostIdentitiesOf(keys: Pick<KeyStore, 'identify'>): HostIdentities {
  return {
    async identify(keyText) {
      const identity = await keys.identify(keyText);
      return identity?.role === 'agent' && identity.host !== null ? { host: identity.host } : null;
    },
  };
}
