import { CancellationScope, isCancellation, proxyActivities, type RetryPolicy } from '@temporalio/workflow';

/** One call of an activity on a queue, and what came of it. */
export interface OneCall {
  readonly taskQueue: string;
  readonly activity: string;
  readonly input?: unknown;
  readonly heartbeatMs?: number;
  readonly startToCloseMs?: number;
  readonly retry?: RetryPolicy;
}

/** Calls an activity once and ends with its result. A cancel is waited out, and told by the result `cancelled`. */
export async function callOne({ taskQueue, activity, input = null, heartbeatMs = 10_000, startToCloseMs = 60_000, retry = { initialInterval: 50, maximumInterval: 200 } }: OneCall): Promise<unknown> {
  const activities = proxyActivities<Record<string, (given: unknown) => Promise<unknown>>>({
    taskQueue,
    startToCloseTimeout: startToCloseMs,
    heartbeatTimeout: heartbeatMs,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry,
  });
  try {
    return await (activities[activity] as (given: unknown) => Promise<unknown>)(input);
  } catch (error) {
    if (isCancellation(error) && CancellationScope.current().consideredCancelled) return 'cancelled';
    throw error;
  }
}

/** Calls an activity so many times at once. */
export async function callMany({ count, ...call }: OneCall & { readonly count: number }): Promise<unknown[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => callOne({ ...call, input: index })));
}
