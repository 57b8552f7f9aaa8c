import type { Reason } from '../failure.ts';
import type { ProductName } from '../ids.ts';
import type { RolloutRequest } from './request.ts';
import type { RolloutState } from './state.ts';

/** A rollout that has not ended. */
export interface OpenRollout {
  readonly rollout: string;
  readonly product: ProductName;
  readonly phase: RolloutState['phase'];
  readonly requestedAt: string;
}

export type Turn =
  | { readonly kind: 'begin' }
  /** Wait for this one to end. */
  | { readonly kind: 'queue'; readonly behind: string }
  /** Tell these `NewerRolloutCame`, and wait for `behind` to end. */
  | { readonly kind: 'supersede'; readonly rollouts: readonly string[]; readonly behind: string }
  | { readonly kind: 'refuse'; readonly reason: Reason };

/**
 * Whether a rollout may begin beside those that are open: one at a time per product, by the newer one's policy. A rollout on its way back is never superseded: the
 * newer one waits until its hosts are in a known state.
 * @param open every open rollout that was requested before this one
 */
export function turnOf(open: readonly OpenRollout[], request: Pick<RolloutRequest, 'product' | 'whenBusy'>): Turn {
  const before = open.filter(({ product, phase }) => product === request.product && phase !== 'Ended').sort((a, b) => Date.parse(a.requestedAt) - Date.parse(b.requestedAt) || (a.rollout < b.rollout ? -1 : 1));
  const newest = before.at(-1);
  if (!newest) return { kind: 'begin' };
  if (request.whenBusy === 'refuse') {
    return { kind: 'refuse', reason: { class: 'request', code: 'rollout_open', message: `Rollout ${newest.rollout} of ${request.product} is open.`, hint: 'Wait for it, abort it, or ask with whenBusy queue or supersede.' } };
  }
  const replaced = before.filter(({ phase }) => phase !== 'RollingBack').map(({ rollout }) => rollout);
  if (request.whenBusy === 'queue' || replaced.length === 0) return { kind: 'queue', behind: newest.rollout };
  return { kind: 'supersede', rollouts: replaced, behind: newest.rollout };
}
