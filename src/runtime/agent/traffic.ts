import type { AroundActivity } from '../../adapters/temporal/activity-poller.ts';
import type { ProductName } from '../../domain/ids.ts';

/** Which commands of runs come to the agent, and when: whoever acts on the host by itself keeps out of their way. */
export interface CommandTraffic {
  readonly around: AroundActivity;
  /** Whether a command of the product is at work now. */
  isBusy(product: ProductName): boolean;
  /** How many have come since the agent's start. */
  count(product: ProductName): number;
  /** Since the last one was at work, or since the agent's start where none has come. 0 while one is. */
  silentMs(product: ProductName): number;
}

export function createCommandTraffic(inner: AroundActivity | undefined, clock: () => number = () => performance.now()): CommandTraffic {
  const began = clock();
  const seen = new Map<ProductName, { atWork: number; count: number; last: number }>();
  const of = (product: ProductName) => {
    const known = seen.get(product) ?? { atWork: 0, count: 0, last: began };
    seen.set(product, known);
    return known;
  };
  return {
    around: async (call, run) => {
      // An inspection has no run, and changes nothing.
      const product = (call.input as { run?: { product?: ProductName } } | undefined)?.run?.product;
      const mine = product === undefined ? null : of(product);
      if (mine) {
        mine.atWork += 1;
        mine.count += 1;
      }
      try {
        return await (inner ? inner(call, run) : run());
      } finally {
        if (mine) {
          mine.atWork -= 1;
          mine.last = clock();
        }
      }
    },
    isBusy: (product) => of(product).atWork > 0,
    count: (product) => of(product).count,
    silentMs: (product) => (of(product).atWork > 0 ? 0 : clock() - of(product).last),
  };
}
