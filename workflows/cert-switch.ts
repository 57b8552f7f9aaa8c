import { CancellationScope } from '@temporalio/workflow';
import type { RunRef } from '../activities/host/dependencies.ts';
import { certificateOutcomeOf, nextCertificateRunState, type CertificateRunEvent, type CertificateRunState, type NewCertificate } from '../src/domain/certificate/state.ts';
import { isAfterCommit, isBeforeSwitch, isPastReturn, planSwitchUndo, switchSteps, type SwitchStep } from '../src/domain/certificate/step.ts';
import type { CertificateRunRequest } from '../src/domain/certificate/wish.ts';
import type { Evidence, Reason } from '../src/domain/failure.ts';
import type { HostInspection } from '../src/domain/host/state.ts';
import type { RunId } from '../src/domain/ids.ts';
import type { RecoveryRecord, RunReport } from '../src/domain/run/report.ts';
import { executeSwitchStep, executeSwitchUndoStep, switchRecoveryInput, type SwitchContext } from './support/certificate-switch-steps.ts';
import { controlCalls } from './support/control-calls.ts';
import type { RunTiming } from './support/host-calls.ts';
import { createJournal, type StoryStart } from './support/journal.ts';
import { strand, strandLimits } from './support/recovery-record.ts';
import { createCourse, StepStopped, type StopEvent } from './support/run-course.ts';

/** A run that has its certificate, and has got the host. */
export interface IssuedRun {
  readonly runId: RunId;
  readonly workflowId: string;
  readonly startedAt: string;
  readonly request: CertificateRunRequest;
  /** Where the pair lies on the host. */
  readonly directory: string;
  readonly issued: NewCertificate;
  readonly story: StoryStart;
  /** What failed tries have left. */
  readonly evidence: readonly Evidence[];
}

/**
 * Has a host serve a certificate that lies on it, under the host's own workflow id, which is its lock: back up, switch, test, reload, prove, commit. Whatever
 * fails from the switch on leads back to the old pair, reloaded and proven. Ends the run that got the certificate, with a report in every case.
 */
export async function certSwitch({ runId, workflowId, startedAt, request, directory, issued, story, evidence }: IssuedRun, timing: Partial<RunTiming> = {}): Promise<RunReport> {
  const { host, product } = request;
  const journal = createJournal(runId, (events) => controlCalls.recordEvents({ events }), story);
  const started: SwitchStep[] = [];
  let state: CertificateRunState = { phase: 'Taken', issued };
  let recovery: RecoveryRecord | null = null;
  let context: SwitchContext | null = null;
  let inspection: HostInspection | null = null;

  const course = createCourse({
    host,
    journal,
    timing,
    phase: () => state.phase,
    headline: () => `**${state.phase}**: certificate ${request.wish.names[0]} of ${product} on ${host}`,
    footnote: `The run is ${runId}, which got the certificate.`,
    cancelReason,
  });
  course.plan(journal.steps.length + switchSteps.length);

  function advance(event: CertificateRunEvent): void {
    state = nextCertificateRunState(state, event);
    course.show();
  }

  async function goForward(c: SwitchContext): Promise<void> {
    for (const step of switchSteps) {
      if (state.phase === 'Taken' && !isBeforeSwitch(step)) advance({ type: 'SwitchBegun' });
      started.push(step);
      const take = () => course.perform(step, step.name, 'do', () => executeSwitchStep(step, c));
      try {
        await (isPastReturn(step) ? CancellationScope.nonCancellable(take) : take());
      } catch (error) {
        if (!isAfterCommit(step) || !(error instanceof StepStopped)) throw error;
      }
      if (step.name === 'commit') advance({ type: 'CertificateCommitted' });
    }
  }

  async function goBack(c: SwitchContext, stopped: StepStopped): Promise<void> {
    await course.goBack({
      stopped,
      undo: planSwitchUndo(started, stopped.reason.class === 'dependency'),
      titleOf: ({ name }) => name,
      isTidying: ({ name }) => name === 'close-intent',
      record: (steps) => controlCalls.recordCertificateUndo({ runId, request, failedStep: stopped.step, reason: stopped.reason, steps }),
      execute: (step) => executeSwitchUndoStep(step, c),
      advance,
    });
    if (state.phase === 'Stranded') recovery = await strandHost(c, state);
  }

  async function strandHost(c: SwitchContext, at: Extract<CertificateRunState, { phase: 'Stranded' }>): Promise<RecoveryRecord> {
    const input = switchRecoveryInput(c, { failedStep: at.failedStep, stuckAt: at.stuckAt, undone: at.undone, reason: at.stuckReason });
    const release = inspection?.state?.activeReleaseId ?? request.releaseId;
    return strand(() => course.call('strandCertificate', input, 'write the recovery record', strandLimits), { runId, request, backupPath: c.backupPath, at, attempted: release, lastGood: release });
  }

  async function look(): Promise<SwitchContext> {
    // The fence of a run that waited for its turn is older than those of the runs that had theirs meanwhile.
    const { fence } = await controlCalls.takeFence({ runId });
    const run: RunRef = { runId, host, product, fence };
    inspection = (await course.call('inspectHost', { product }, 'inspect the host', { startToCloseMs: 60_000 })).value as HostInspection;
    context = { run, request, host: inspection, directory, call: course.call, version: null, backupPath: null, workersBefore: [] };
    return context;
  }

  /** Nothing was switched yet: the host serves what it did. */
  function stopBefore(event: StopEvent): void {
    advance(event);
    advance({ type: 'HostRestored' });
  }

  await course.through({ look, goForward, goBack, isOpen: () => context === null, advance: stopBefore });
  return CancellationScope.nonCancellable(async () => {
    const outcome = certificateOutcomeOf(state);
    if (!outcome) throw new Error(`the run ended in state ${state.phase}`);
    const active = inspection?.state?.activeReleaseId ?? null;
    return course.close({
      schema: 1,
      runId,
      workflowId,
      kind: 'cert-renewal',
      host,
      product,
      fromReleaseId: active,
      toReleaseId: active ?? request.releaseId,
      artifactRole: 'node',
      artifactProfile: '',
      requestedBy: request.requestedBy,
      startedAt,
      endedAt: new Date().toISOString(),
      outcome,
      reason: 'reason' in state ? state.reason : null,
      steps: journal.steps,
      evidence: [...evidence, ...course.evidence].slice(0, 40),
      backupPath: context?.backupPath ?? null,
      recovery,
    });
  });
}

const cancelReason = (step: string): Reason => ({ class: 'request', code: 'cancelled', message: `The run was cancelled at ${step}.`, hint: 'Ask again when it is wanted.' });
