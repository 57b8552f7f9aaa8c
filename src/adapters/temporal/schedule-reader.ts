import { ScheduleNotFoundError, type Connection } from '@temporalio/client';
import type { ScheduleStanding } from '../../domain/control/health.ts';
import { certificateSchedule, releaseSchedule } from '../../domain/run/names.ts';
import { createAsk } from './ask-server.ts';
import { createClient } from './client.ts';

const limitMs = 3_000;

/** Asks a Temporal server for the schedules of control. @returns a function that gives null where the server does not answer */
export function createScheduleReader(connection: Connection, { address, namespace }: { readonly address: string; readonly namespace: string }): () => Promise<readonly ScheduleStanding[] | null> {
  const { schedule } = createClient({ connection, namespace });
  const ask = createAsk(connection, address);
  async function read(id: string): Promise<ScheduleStanding> {
    try {
      const { state, spec, info } = await ask(() => schedule.getHandle(id).describe(), limitMs);
      const every = spec.intervals?.[0]?.every;
      return {
        id,
        state: state.paused ? 'paused' : 'running',
        note: state.note ?? null,
        everySeconds: typeof every === 'number' ? every / 1000 : null,
        lastStartedAt: info.recentActions.at(-1)?.takenAt.toISOString() ?? null,
        nextAt: info.nextActionTimes[0]?.toISOString() ?? null,
      };
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
      return { id, state: 'missing', note: null, everySeconds: null, lastStartedAt: null, nextAt: null };
    }
  }
  return () => Promise.all([certificateSchedule, releaseSchedule].map(read)).catch(() => null);
}
