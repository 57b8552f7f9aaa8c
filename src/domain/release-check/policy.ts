import type { HostId, ProductName } from '../ids.ts';
import type { Window } from '../rollout/window.ts';
import { defaultChannel, type Channel } from './channel.ts';

/** What the release check does by itself with a newer release. `notify` notes it, `download` has the host fetch it as well, `apply` starts the update. */
export const checkActions = ['notify', 'download', 'apply'] as const;
export type CheckAction = (typeof checkActions)[number];

/** What holds for a product on one host, or on every host that has no policy of its own. */
export interface UpdatePolicy {
  readonly product: ProductName;
  /** Null: every host of the product without one of its own. */
  readonly host: HostId | null;
  readonly channel: Channel;
  readonly action: CheckAction;
  /** When updates may begin by themselves: while any of them is open. None: at any time. */
  readonly windows: readonly Window[];
  readonly setBy: string;
  readonly setAt: string;
}

/** What holds where nobody said anything: what is stable is noted. */
const unsaid: Pick<UpdatePolicy, 'channel' | 'action' | 'windows'> = { channel: defaultChannel, action: 'notify', windows: [] };

/** The policy of a product on a host: its own, else that of the product, else that stable releases are noted. */
export function policyOf(policies: readonly UpdatePolicy[], host: HostId, product: ProductName): Pick<UpdatePolicy, 'channel' | 'action' | 'windows'> & { readonly host: HostId | null } {
  const own = policies.find((policy) => policy.product === product && policy.host === host);
  return own ?? policies.find((policy) => policy.product === product && policy.host === null) ?? { ...unsaid, host: null };
}
