import type { ProductName } from '../ids.ts';
import { reached } from './instant.ts';

/** Nothing is rolled out while it lasts: no rollout begins, those under way begin no further host. Hosts in flight finish, and a rollback goes on. */
export interface Freeze {
  readonly id: string;
  /** Null: every product. */
  readonly product: ProductName | null;
  /** Why, for whoever is held by it. */
  readonly reason: string;
  readonly setBy: string;
  readonly since: string;
  /** When it ends by itself. A freeze without an end is not accepted: it would be forgotten. */
  readonly until: string;
}

/** The freeze that holds a product at `now`: of several, the one that lasts longest; null where there is none. */
export function freezeOf(freezes: readonly Freeze[], product: ProductName, now: string): Freeze | null {
  const inForce = freezes.filter((freeze) => (freeze.product === null || freeze.product === product) && reached(now, freeze.since) && !reached(now, freeze.until));
  return inForce.reduce<Freeze | null>((longest, freeze) => (longest === null || Date.parse(freeze.until) > Date.parse(longest.until) ? freeze : longest), null);
}
