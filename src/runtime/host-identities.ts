import type { HostId } from '../domain/ids.ts';
import type { KeyIdentity, KeyStore } from '../ports/control-stores.ts';
import type { HostIdentities } from '../ports/host-identities.ts';

/**
 * Hosts by their agents' keys. Where the store binds keys to hosts, that alone counts; where it does not, a key is of the host that it is named after, as
 * `fairlead dev` and the directory of agent keys name them. A key of another role is no host's.
 */
export function hostIdentitiesOf(keys: Pick<KeyStore, 'identify'>): HostIdentities {
  return {
    async identify(keyText) {
      const identity: (KeyIdentity & { readonly host?: HostId | null }) | null = await keys.identify(keyText);
      if (identity?.role !== 'agent') return null;
      const host = identity.host === undefined ? (identity.name as HostId) : identity.host;
      return host === null ? null : { host };
    },
  };
}
