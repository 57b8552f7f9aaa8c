import type { HostId, ProductName } from '../domain/ids.ts';
import type { UpdatePolicy } from '../domain/release-check/policy.ts';

/** What the release check may do by itself, by product and host. */
export interface UpdatePolicyStore {
  list(): Promise<UpdatePolicy[]>;
  /** Takes the place of one for the same product and host. */
  set(policy: UpdatePolicy): Promise<void>;
  /** @returns whether there was one */
  remove(product: ProductName, host: HostId | null): Promise<boolean>;
}
