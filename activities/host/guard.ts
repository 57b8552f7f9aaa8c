import { FairleadError } from '../../src/domain/failure.ts';
import type { ProductName } from '../../src/domain/ids.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { FenceLine, HostStore } from '../../src/ports/host-store.ts';
import type { Command, HostDependencies, RunRef } from './dependencies.ts';

/** Stands around every command that was let through. */
type AroundCommand = <Output>(command: Guarded, work: () => Promise<Output>, context: ActivityContext) => Promise<Output>;
type Guarded = { readonly run: RunRef; readonly direction?: Command['direction'] };

/**
 * What stands in front of every command: it is for this host, it is not older than what the host has seen, and no other command
 * of the product is at work (an attempt that was given up may still be ending).
 * @param options.line which commands these are: each line has its own fence and its own turn
 */
export function createGuard({ host, store }: Pick<HostDependencies, 'host' | 'store'>, { line = 'host', around = (_command, work) => work() }: { readonly line?: FenceLine; readonly around?: AroundCommand } = {}) {
  const tails = new Map<ProductName, Promise<unknown>>();

  /** Runs `work` when every earlier work of the product has ended. */
  async function exclusively<T>(product: ProductName, work: () => Promise<T>): Promise<T> {
    const before = tails.get(product) ?? Promise.resolve();
    const mine = before.then(work, work);
    tails.set(
      product,
      mine.catch(() => undefined),
    );
    return mine;
  }

  function guarded<Input extends Guarded, Output>(
    activity: (input: Input, context: ActivityContext) => Promise<Output>,
  ): (input: Input, context: ActivityContext) => Promise<Output> {
    return async (input, context) => {
      if (input.run.host !== host) {
        throw new FairleadError({
          class: 'orchestrator',
          code: 'wrong_host',
          message: `A command for host ${input.run.host} reached host ${host}.`,
          hint: 'Two agents may share a task queue: see that every agent has a host id of its own.',
        });
      }
      return exclusively(input.run.product, async () => {
        await fence(store, input.run, line);
        context.cancel.throwIfAborted();
        return around(input, () => activity(input, context), context);
      });
    };
  }

  return { guarded, exclusively };
}

async function fence(store: HostStore, run: RunRef, line: FenceLine): Promise<void> {
  const seen = await store.readFence(run.product, line);
  if (seen && (run.fence < seen.fence || (run.fence === seen.fence && run.runId !== seen.runId))) {
    throw new FairleadError({
      class: 'orchestrator',
      code: 'stale_command',
      message: `A command of run ${run.runId} (fence ${run.fence}) came after run ${seen.runId} (fence ${seen.fence}) had taken the host over.`,
      hint: `Nothing was changed by it. What holds now: fairlead runs show ${seen.runId}`,
    });
  }
  if (!seen || run.fence > seen.fence) await store.writeFence(run.product, run.fence, run.runId, line);
}
