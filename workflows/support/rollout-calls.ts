import { proxyActivities } from '@temporalio/workflow';
import type { RolloutHostActivities } from '../../activities/control/rollout-hosts.ts';
import type { RolloutActivities } from '../../activities/control/rollouts.ts';
import { controlTaskQueue } from '../../src/domain/ids.ts';

/** Never given up, as in `control-calls.ts`: while the database is away, the rollout waits, visibly. */
const retry = { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' } as const;

export const rolloutCalls = proxyActivities<RolloutActivities & Omit<RolloutHostActivities, 'concludeHost'>>({ taskQueue: controlTaskQueue, startToCloseTimeout: '60s', heartbeatTimeout: '5s', retry });

/** It waits for the host to come back, so its limit follows that of the wait. */
export const concludeHost = (summary: string, verifySeconds: number) =>
  proxyActivities<Pick<RolloutHostActivities, 'concludeHost'>>({ taskQueue: controlTaskQueue, startToCloseTimeout: (verifySeconds + 60) * 1000, heartbeatTimeout: '5s', summary, retry }).concludeHost;
