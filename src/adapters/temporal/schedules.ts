import { Connection, ScheduleAlreadyRunning, ScheduleOverlapPolicy, type ScheduleOptions } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { controlTaskQueue } from '../../domain/ids.ts';
import { certificateSchedule, certificateSweepWorkflow, releaseCheckWorkflow, releaseSchedule } from '../../domain/run/names.ts';
import { createAsk } from './ask-server.ts';
import { createClient } from './client.ts';

export interface ScheduleSettings {
  readonly address: string;
  readonly namespace: string;
  /** Null for payloads as they are. */
  readonly codec?: PayloadCodec | null;
  /** How often certificates are looked at. */
  readonly certificateSweepSeconds: number;
  /** How often newer releases are looked for. */
  readonly releaseCheckSeconds: number;
}

/** Of the interval: controllers and CAs do not see everybody at once. */
const jitterShare = 0.1;
/** After a night without Temporal one start is enough, and the one that was missed is done at once. */
const catchupMs = 3_600_000;

/**
 * Has the server keep the schedules of control as they are meant now. Idempotent, and any number of controllers may do it at once. What an operator has paused in
 * the Web UI stays paused.
 */
export async function keepSchedules({ address, namespace, codec = null, certificateSweepSeconds, releaseCheckSeconds }: ScheduleSettings): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    const { schedule } = createClient({ connection, namespace, codec });
    const ask = createAsk(connection, address);
    const wanted = [
      plan(certificateSchedule, certificateSweepSeconds, certificateSweepWorkflow, 'certificate-sweep', 'look at every certificate, and renew those that are due'),
      plan(releaseSchedule, releaseCheckSeconds, releaseCheckWorkflow, 'release-check', 'look for newer releases, and do about each what its policy says'),
    ];
    for (const options of wanted) {
      try {
        await ask(() => schedule.create(options));
      } catch (error) {
        if (!(error instanceof ScheduleAlreadyRunning)) throw error;
        await ask(() => schedule.getHandle(options.scheduleId).update((before) => ({ ...options, state: before.state })));
      }
    }
  } finally {
    await connection.close();
  }
}

/** One at a time: a start that comes while the last one is at work is left out. */
function plan(scheduleId: string, everySeconds: number, workflowType: string, workflowId: string, staticSummary: string): ScheduleOptions {
  const everyMs = everySeconds * 1000;
  return {
    scheduleId,
    spec: { intervals: [{ every: everyMs }], jitter: Math.round(everyMs * jitterShare) },
    action: { type: 'startWorkflow', workflowType, workflowId, taskQueue: controlTaskQueue, args: [], staticSummary },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: catchupMs, pauseOnFailure: false },
  };
}
