import { CancellationScope, defineQuery, setCurrentDetails, setHandler, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { Evidence, Reason } from '../../src/domain/failure.ts';
import type { HostId, InstanceName } from '../../src/domain/ids.ts';
import { progressQuery, searchAttributes } from '../../src/domain/run/names.ts';
import type { RunProgress, RunReport, StepReport, Waiting } from '../../src/domain/run/report.ts';
import { controlCalls } from './control-calls.ts';
import { isCancel, readFailure } from './failures.ts';
import { createHostCalls, defaultTiming, type RunTiming } from './host-calls.ts';
import type { Journal } from './journal.ts';

const progress = defineQuery<RunProgress>(progressQuery);

/** A step did not come to its end: it failed, or the run was cancelled meanwhile. */
export class StepStopped extends Error {
  readonly step: string;
  readonly reason: Reason;
  readonly cancelled: boolean;
  constructor(step: string, reason: Reason, cancelled: boolean) {
    super(reason.message);
    this.step = step;
    this.reason = reason;
    this.cancelled = cancelled;
  }
}

export interface CourseOptions {
  readonly host: HostId;
  readonly journal: Journal;
  readonly timing: Partial<RunTiming>;
  /** The name of the state that the run is in. */
  readonly phase: () => string;
  /** Markdown for the Web UI, around the step and the wait: what the run is about, and what else there is to say. */
  readonly headline: () => string;
  readonly footnote?: string;
  /** What a cancel is called in the report. */
  readonly cancelReason: (step: string) => Reason;
}

/** What a step has to say when it is done. */
interface Performed {
  readonly attempts: number;
  readonly note?: string;
}

/**
 * How a run on a host goes through its steps, whatever they are: each is told, timed and kept; a failure is read and its evidence kept before anything else
 * happens; the query `progress` and the Web UI show where it stands and what it waits for.
 */
export function createCourse({ host, journal, timing, phase, headline, footnote = '', cancelReason }: CourseOptions) {
  const evidence: Evidence[] = [];
  let waiting: Waiting | null = null;
  let step: string | null = null;
  let direction: 'do' | 'undo' = 'do';
  let stepsPlanned = 0;

  function show(): void {
    const lines = [
      headline(),
      step ? `${direction === 'undo' ? 'Undoing' : 'Step'}: \`${step}\` (${journal.steps.length + 1} of ${stepsPlanned})` : '',
      waiting ? `Waiting for ${waiting.for}, since ${waiting.since}, until ${waiting.until ?? 'it comes'}. Released by ${waiting.release}.` : '',
      footnote,
    ];
    setCurrentDetails(lines.filter(Boolean).join('\n\n'));
  }

  /** Says what the run waits for, once for each thing, and null when it no longer does. */
  function wait(next: Waiting | null): void {
    if (next && waiting?.for !== next.for) journal.tell('waiting', step, `Waiting for ${next.for}`, { ...next });
    waiting = next;
    show();
  }

  setHandler(progress, () => ({
    phase: phase(),
    step,
    stepsDone: journal.steps.filter((entry) => entry.outcome === 'done').length,
    stepsPlanned,
    direction,
    waiting,
    steps: journal.steps,
  }));

  return {
    /** What failed steps have kept, in order. */
    evidence: evidence as readonly Evidence[],
    call: createHostCalls(host, { ...defaultTiming, ...timing }, wait),
    wait,
    show,
    /** More steps are to come than were known. */
    plan(count: number): void {
      stepsPlanned += count;
    },
    /** Shows how the run ended, and keeps its report with the rest of its story. */
    async close(report: RunReport): Promise<RunReport> {
      show(); // Without the last step, which is over.
      const { outcome, reason } = report;
      upsertSearchAttributes([{ key: defineSearchAttributeKey(searchAttributes.outcome, 'KEYWORD'), value: outcome }]);
      journal.tell('run_ended', null, outcome, { outcome, reason });
      await controlCalls.closeRun({ report, events: await journal.settle() });
      // A parent's history holds the results of its children, of five hundred hosts at most: what is long lies in the database.
      return workflowInfo().parent === undefined ? report : { ...report, steps: [], evidence: [] };
    },
    /**
     * Runs one step, forward or back, and keeps what it took and what came of it.
     * @throws StepStopped where it failed or was cancelled
     */
    async perform<Result extends Performed>(of: { readonly name: string; readonly instance?: InstanceName }, title: string, way: 'do' | 'undo', run: () => Promise<Result>): Promise<Result> {
      const began = Date.now();
      const scope = CancellationScope.current();
      step = title;
      direction = way;
      show();
      journal.tell('step_started', title, way === 'undo' ? `undo: ${title}` : title, { direction: way });
      const report = (outcome: StepReport['outcome'], more: Partial<StepReport>): void => {
        const entry: StepReport = {
          name: of.name,
          direction: way,
          ...(of.instance === undefined ? {} : { instance: of.instance }),
          startedAt: new Date(began).toISOString(),
          durationMs: Date.now() - began,
          attempts: 1,
          outcome,
          ...more,
        };
        journal.keep(entry);
        journal.tell('step_ended', title, `${title}: ${outcome}${entry.note ? ` (${entry.note})` : ''}${entry.reason ? `: ${entry.reason.message}` : ''}`, { ...entry });
      };
      try {
        const result = await run();
        report('done', { attempts: result.attempts, ...(result.note === undefined ? {} : { note: result.note }) });
        return result;
      } catch (error) {
        if (isCancel(error, scope.consideredCancelled)) {
          report('cancelled', {});
          throw new StepStopped(title, cancelReason(title), true);
        }
        const failure = readFailure(error, title, host);
        evidence.push(...failure.evidence);
        report('failed', { reason: failure.reason, attempts: failure.attempts });
        throw new StepStopped(title, failure.reason, false);
      } finally {
        step = null;
      }
    },
  };
}
export type Course = ReturnType<typeof createCourse>;
