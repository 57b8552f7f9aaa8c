import { CancellationScope, defineQuery, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { Evidence, Reason } from '../../src/domain/failure.ts';
import type { HostId, InstanceName } from '../../src/domain/ids.ts';
import { progressQuery } from '../../src/domain/run/names.ts';
import type { RunProgress, RunReport, StepReport, Waiting } from '../../src/domain/run/report.ts';
import { controlCalls } from './control-calls.ts';
import { isCancel, readFailure } from './failures.ts';
import { createHostCalls, defaultTiming, type RunTiming } from './host-calls.ts';
import type { Journal } from './journal.ts';
import { showOutcome } from './search-attributes.ts';

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

/** What stops a run on its way forward, whatever it is about: its transition function takes these. */
export type StopEvent = { readonly type: 'CancelRequested' | 'StepFailed'; readonly step: string; readonly reason: Reason };
/** The same for the way back. */
export type WayBackEvent =
  | StopEvent
  | { readonly type: 'UndoStuck'; readonly step: string; readonly reason: Reason }
  | { readonly type: 'UndoStepDone'; readonly step: string }
  | { readonly type: 'HostRestored' };

/** The way of a run, from its first look at the host to its last step. */
export interface Way<Context> {
  /** Until the first step: looks at the host and decides. Null where nothing is to be done, for which it has already said so. */
  readonly look: () => Promise<Context | null>;
  readonly goForward: (context: Context) => Promise<void>;
  /** Not to be cancelled. */
  readonly goBack: (context: Context, stopped: StepStopped) => Promise<void>;
  /** Whether nothing is decided yet: then a failure is told as an event, and there is nothing to take back. */
  readonly isOpen: () => boolean;
  readonly advance: (event: StopEvent) => void;
}

export interface WayBack<Step> {
  readonly stopped: StepStopped;
  readonly undo: readonly Step[];
  /** Set where there is no way back at all: it then ends before its first step. */
  readonly barred?: StepStopped | null;
  readonly titleOf: (step: Step) => string;
  /** A step that may fail without keeping the host from being restored. */
  readonly isTidying: (step: Step) => boolean;
  /** Writes the audit row that stands before the first step back. */
  readonly record: (steps: readonly string[]) => Promise<void>;
  readonly execute: (step: Step) => Promise<Performed>;
  readonly advance: (event: WayBackEvent) => void;
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

  const course = {
    /** What failed steps have kept, in order. */
    evidence: evidence as readonly Evidence[],
    call: createHostCalls(host, { ...defaultTiming, ...timing }, wait),
    wait,
    show,
    /** More steps are to come than were known. */
    plan(count: number): void {
      stepsPlanned += count;
    },
    /**
     * Goes forward, and back where a step stopped. What stops the run before its first step (an unknown release, a host that cannot be reached, an early
     * cancel) ends it as well.
     * @throws what is neither a step that stopped nor came before the first
     */
    async through<Context>({ look, goForward, goBack, isOpen, advance }: Way<Context>): Promise<void> {
      try {
        const context = await look();
        if (context === null) return;
        try {
          await goForward(context);
        } catch (error) {
          if (!(error instanceof StepStopped)) throw error;
          await CancellationScope.nonCancellable(() => goBack(context, error));
        }
      } catch (error) {
        if (!isOpen()) throw error;
        if (isCancel(error, CancellationScope.current().consideredCancelled)) advance({ type: 'CancelRequested', step: 'inspect', reason: cancelReason('the first step') });
        else advance({ type: 'StepFailed', step: 'inspect', reason: readFailure(error, 'inspect', host).reason });
      }
    },
    /** Shows how the run ended, and keeps its report with the rest of its story. */
    async close(report: RunReport): Promise<RunReport> {
      show(); // Without the last step, which is over.
      const { outcome, reason } = report;
      showOutcome(outcome);
      journal.tell('run_ended', null, outcome, { outcome, reason });
      await controlCalls.closeRun({ report, events: await journal.settle() });
      return report;
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
    /**
     * Takes the steps back that a run has to take after one that stopped, each told, timed and kept as on the way forward.
     * @returns the titles of those that were taken; null where one of them stopped as well, and the host is stranded
     */
    async goBack<Step extends { readonly name: string; readonly instance?: InstanceName }>({ stopped, undo, barred, titleOf, isTidying, record, execute, advance }: WayBack<Step>): Promise<readonly string[] | null> {
      const undone: string[] = [];
      advance({ type: stopped.cancelled ? 'CancelRequested' : 'StepFailed', step: stopped.step, reason: stopped.reason });
      course.plan(undo.length);
      journal.tell('undo_started', stopped.step, `${stopped.cancelled ? 'Cancelled' : 'Failed'} at ${stopped.step}; going back in ${undo.length} steps`, { reason: stopped.reason });
      await record(undo.map(titleOf));
      try {
        if (barred) throw barred;
        for (const next of undo) {
          try {
            await course.perform(next, titleOf(next), 'undo', () => execute(next));
          } catch (error) {
            if (isTidying(next) && error instanceof StepStopped) continue;
            throw error;
          }
          advance({ type: 'UndoStepDone', step: titleOf(next) });
          undone.push(titleOf(next));
        }
        advance({ type: 'HostRestored' });
        return undone;
      } catch (error) {
        if (!(error instanceof StepStopped)) throw error;
        advance({ type: 'UndoStuck', step: error.step, reason: error.reason });
        return null;
      }
    },
  };
  return course;
}
export type Course = ReturnType<typeof createCourse>;
