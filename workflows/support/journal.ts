import { CancellationScope, TemporalFailure, condition, sleep } from '@temporalio/workflow';
import type { RunId } from '../../src/domain/ids.ts';
import type { RunEvent } from '../../src/domain/run/event.ts';
import type { StepReport } from '../../src/domain/run/report.ts';

/** How long lines are gathered before they are sent on: live enough for a person, and no activity beside a run that is over as soon. */
const usualGatherMs = 1_000;

/** A story that another workflow of the same run has begun: how many lines it has, and those of them that were not written yet. */
export interface StoryStart {
  readonly sequence: number;
  readonly unsent: readonly RunEvent[];
  /** The steps that were taken before. Left out: none. */
  readonly steps?: readonly StepReport[];
}

/**
 * The story of a run, told while it goes on. Lines are written to PostgreSQL beside the steps, never in their way: a database that is away
 * delays the story, not the update. `settle` waits for what is being written, and hands over the rest, which goes with the report.
 *
 * @param gatherMs for how long lines are gathered, asked each time that there are some
 */
export function createJournal(runId: RunId, write: (events: readonly RunEvent[]) => Promise<void>, start: StoryStart = { sequence: 0, unsent: [] }, gatherMs: () => number = () => usualGatherMs) {
  const waiting: RunEvent[] = [...start.unsent];
  const steps: StepReport[] = [...(start.steps ?? [])];
  let sequence = start.sequence;
  let closing = false;
  let writing = false;

  const writer = CancellationScope.nonCancellable(async () => {
    for (;;) {
      await condition(() => waiting.length > 0 || closing);
      if (!closing) await Promise.race([sleep(gatherMs()), condition(() => closing)]);
      if (closing) return;
      writing = true;
      try {
        await write(waiting.splice(0, 200));
      } catch (error) {
        // What cannot be written by any further attempt is left out: no run may stand still for its story.
        if (!(error instanceof TemporalFailure)) throw error;
      }
      writing = false;
    }
  });

  return {
    steps: steps as readonly StepReport[],
    tell(kind: RunEvent['kind'], step: string | null, message: string, data: Readonly<Record<string, unknown>> = {}): void {
      sequence += 1;
      waiting.push({ runId, sequence, at: new Date().toISOString(), kind, step, message, data });
    },
    keep(step: StepReport): void {
      steps.push(step);
    },
    /** Waits until all that was told is written: another workflow goes on with the story, and its lines must not come before these. */
    flush: () => condition(() => waiting.length === 0 && !writing),
    /** How many lines the story has. */
    length: () => sequence,
    async settle(): Promise<RunEvent[]> {
      closing = true;
      await writer;
      return waiting.splice(0);
    },
  };
}
export type Journal = ReturnType<typeof createJournal>;
