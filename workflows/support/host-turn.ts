import { sleep } from '@temporalio/workflow';
import type { Reason } from '../../src/domain/failure.ts';
import { hostWorkflowId, type HostId, type ProductName, type RunId } from '../../src/domain/ids.ts';
import type { Waiting } from '../../src/domain/run/report.ts';
import { controlCalls } from './control-calls.ts';

export interface HostTurn<Taken> {
  readonly host: HostId;
  readonly product: ProductName;
  readonly runId: RunId;
  /** How long the run may wait. Milliseconds. */
  readonly limitMs: number;
  /** One try to start what goes on under the host's workflow id, which is its lock. @returns null while another run has it */
  readonly take: () => Promise<Taken | null>;
  readonly wait: (waiting: Waiting) => void;
  /** What the run is called in the reason, with its article, and what is true of the host if its turn does not come. */
  readonly waiter: string;
  readonly hint: string;
  /** What is thrown if its turn does not come. */
  readonly notCome: (reason: Reason) => Error;
}

const firstPauseMs = 250;
const longestPauseMs = 10_000;

/**
 * Takes a host when no other run has it: tried again with growing pauses, and told as waiting for whoever has it.
 * @throws what `take` throws, and what `notCome` makes of the reason `host_busy` at the limit
 */
export async function takeTurn<Taken>({ host, product, runId, limitMs, take, wait, waiter, hint, notCome }: HostTurn<Taken>): Promise<Taken> {
  const hostId = hostWorkflowId(host, product);
  const since = Date.now();
  const until = new Date(since + limitMs).toISOString();
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    const taken = await take();
    if (taken !== null) return taken;
    const holder = await controlCalls.holderOf({ host, product, but: runId });
    const who = holder ? `run ${holder.runId} (${holder.kind})` : 'another run';
    if (Date.now() - since >= limitMs) {
      throw notCome({ class: 'host', code: 'host_busy', message: `${hostId} was held by other runs for ${Math.round(limitMs / 1000)} s, the longest that ${waiter} waits for its turn; now by ${who}.`, hint });
    }
    wait({ for: `${hostId}, which is held by ${who}`, since: new Date(since).toISOString(), until, release: holder ? `${who}, by ending; fairlead runs cancel ${holder.runId} rolls it back` : `${who}, by ending` });
    await sleep(pauseMs);
  }
}
