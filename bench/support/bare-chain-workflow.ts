import { proxyActivities } from '@temporalio/workflow';

/** Nothing but activities in turn: the least that Temporal asks for so many steps. */
export async function bareChain(queue: string, count: number): Promise<void> {
  const { step } = proxyActivities<{ step(): Promise<void> }>({ taskQueue: queue, startToCloseTimeout: '1 minute' });
  for (let at = 0; at < count; at += 1) await step();
}
