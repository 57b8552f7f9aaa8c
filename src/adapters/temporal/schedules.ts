import { Client, Connection, ScheduleAlreadyRunning, ScheduleOverlapPolicy, type ScheduleOptions } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { controlTaskQueue } from '../../domain/ids.ts';
import { certificateSchedule, certificateSweepWorkflow } from '../../domain/run/names.ts';
import { createAsk } from './ask-server.ts';

export interface ScheduleSettings {
  readonly address: string;
  readonly namespace: string;
  /** Null for payloads as they are. */
  readonly codec?: PayloadCodec | null;
  /** How often certificates are looked at. */
  readonly certificateSweepSeconds: number;
}

/** Of the interval: controllers and CAs do not see everybody at once. */
const jitterShare = 0.1;
/** After a night without Temporal one sweep is enough, and the one that was missed is done at once. */
const catchupMs = 3_600_000;

/**
 * Has the server keep the schedules of control as they are meant now. Idempotent, and any number of controllers may do it at once. What an operator has paused in
 * the Web UI stays paused.
 */
export async function keepSchedules({ address, namespace, codec = null, certificateSweepSeconds }: ScheduleSettings): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    const { schedule } = new Client({ connection, namespace, ...(codec === null ? {} : { dataConverter: { payloadCodecs: [codec] } }) });
    const ask = createAsk(connection, address);
    const everyMs = certificateSweepSeconds * 1000;
    const wanted = {
      spec: { intervals: [{ every: everyMs }], jitter: Math.round(everyMs * jitterShare) },
      action: { type: 'startWorkflow', workflowType: certificateSweepWorkflow, workflowId: 'certificate-sweep', taskQueue: controlTaskQueue, args: [], staticSummary: 'look at every certificate, and renew those that are due' },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: catchupMs, pauseOnFailure: false },
    } satisfies Omit<ScheduleOptions, 'scheduleId'>;
    try {
      await ask(() => schedule.create({ scheduleId: certificateSchedule, ...wanted }));
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
      await ask(() => schedule.getHandle(certificateSchedule).update((before) => ({ ...wanted, state: before.state })));
    }
  } finally {
    await connection.close();
  }
}
