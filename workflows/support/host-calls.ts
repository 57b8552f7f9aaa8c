import { proxyActivities } from '@temporalio/workflow';
import type { Done, HostActivities, HostActivityInput, HostActivityName } from '../../activities/host/index.ts';
import { hostTaskQueue, type HostId } from '../../src/domain/ids.ts';
import type { Waiting } from '../../src/domain/run/report.ts';
import { isHostAway } from './failures.ts';

/** Limits that a run is started with. All in milliseconds. */
export interface RunTiming {
  /** After this long without a sign the agent counts as lost, and the step is tried again. */
  readonly heartbeatMs: number;
  /** How long one wait for the host to take up a step lasts; the wait is then shown and renewed. */
  readonly takeUpMs: number;
  /** How long all of them together may last. */
  readonly hostWaitMs: number;
  /** How long a dependency that is away (the artifact endpoint) is waited for. */
  readonly dependencyWaitMs: number;
}

export const defaultTiming: RunTiming = { heartbeatMs: 20_000, takeUpMs: 30_000, hostWaitMs: 1_800_000, dependencyWaitMs: 1_800_000 };

export interface CallLimits {
  readonly startToCloseMs: number;
  /** Retry until `dependencyWaitMs` instead of a fixed number of attempts. */
  readonly waitsForDependency?: boolean;
  readonly maximumAttempts?: number;
}

/** Calls activities on one host. While the host does not answer, the wait is told by `onWait`, with its limit, and ended by null. */
export function createHostCalls(host: HostId, timing: RunTiming, onWait: (waiting: Waiting | null) => void) {
  return async function call<Name extends HostActivityName>(
    name: Name,
    input: HostActivityInput<Name>,
    summary: string,
    limits: CallLimits,
  ): Promise<Awaited<ReturnType<HostActivities[Name]>>> {
    const began = Date.now();
    const activities = proxyActivities<HostActivities>({
      taskQueue: hostTaskQueue(host),
      scheduleToStartTimeout: timing.takeUpMs,
      startToCloseTimeout: limits.startToCloseMs,
      heartbeatTimeout: timing.heartbeatMs,
      ...(limits.waitsForDependency ? { scheduleToCloseTimeout: timing.dependencyWaitMs } : {}),
      cancellationType: 'WAIT_CANCELLATION_COMPLETED',
      summary,
      retry: {
        initialInterval: 200,
        backoffCoefficient: 2,
        maximumInterval: 10_000,
        ...(limits.waitsForDependency ? {} : { maximumAttempts: limits.maximumAttempts ?? 8 }),
      },
    });
    const invoke = activities[name] as unknown as (input: HostActivityInput<Name>) => Promise<Done<unknown>>;
    for (;;) {
      try {
        const done = await invoke(input);
        onWait(null);
        return done as Awaited<ReturnType<HostActivities[Name]>>;
      } catch (error) {
        if (!isHostAway(error) || Date.now() - began >= timing.hostWaitMs) {
          onWait(null);
          throw error;
        }
        onWait({
          for: `host ${host} to take up: ${summary}`,
          since: new Date(began).toISOString(),
          until: new Date(began + timing.hostWaitMs).toISOString(),
          release: `the agent of host ${host}, by connecting again; or whoever cancels the run`,
        });
      }
    }
  };
}
export type HostCalls = ReturnType<typeof createHostCalls>;
