import { CancellationScope, sleep, workflowInfo } from '@temporalio/workflow';
import type { RunRef } from '../../activities/host/dependencies.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { Reason } from '../../src/domain/failure.ts';
import { withExtras } from '../../src/domain/host/instances.ts';
import type { HostInspection } from '../../src/domain/host/state.ts';
import { ownProduct, type CertificateVersion, type ReleaseId, type RunId } from '../../src/domain/ids.ts';
import type { RecoveryRecord, RunReport } from '../../src/domain/run/report.ts';
import type { PlanDecision, UpdatePlan } from '../../src/domain/update/plan.ts';
import type { PromotionRequest } from '../../src/domain/promotion/request.ts';
import { nextUpdateState, outcomeOf, type UpdateEvent, type UpdateState } from '../../src/domain/update/state.ts';
import { isPastReturn, isTidying, stepTitle, type UndoStep, type UpdateStep } from '../../src/domain/update/step.ts';
import { planUndo } from '../../src/domain/update/undo.ts';
import { controlCalls } from './control-calls.ts';
import type { RunTiming } from './host-calls.ts';
import { createJournal } from './journal.ts';
import { cameBack, strand, strandLimits } from './recovery-record.ts';
import { createCourse, StepStopped } from './run-course.ts';
import { executeStep, executeUndoStep, recoveryInput, restoresData, type StepContext, type StepResult } from './update-steps.ts';

/** What tells one kind of run on a host from another: only what it decides to do. */
export interface HostRun<Request extends PromotionRequest> {
  readonly kind: UpdatePlan['kind'];
  readonly request: Request;
  readonly timing: Partial<RunTiming>;
  readonly decide: (inspection: HostInspection, artifact: Artifact, request: Request) => PlanDecision;
  /** `brief`: without steps and evidence, which lie in the database. For a parent whose history holds the results of five hundred of these. Default `whole`. */
  readonly answer?: RunAnswer;
}
export type RunAnswer = 'whole' | 'brief';

/**
 * Changes one host by a plan and proves the result, or brings the host back. Decides by the plan and the transition function of the domain;
 * everything that is done is an activity. Ends with a report in every case; a cancel is a rollback.
 */
export async function runOnHost<Request extends PromotionRequest>({ kind, request, timing, decide, answer = 'whole' }: HostRun<Request>): Promise<RunReport> {
  const { workflowId, runId: temporalRunId, startTime } = workflowInfo();
  const runId = temporalRunId as RunId;
  const startedAt = startTime.toISOString();
  const journal = createJournal(runId, (events) => controlCalls.recordEvents({ events }));
  const started: UpdateStep[] = [];

  let state: UpdateState = { phase: 'Requested', target: request.releaseId };
  let plan: UpdatePlan | null = null;
  let artifact: Artifact | null = null;
  let servedBefore: ReleaseId | null = null;
  let backupPath: string | null = null;
  let shiftedAt: string | null = null;
  let certificateVersion: CertificateVersion | null = null;
  let recovery: RecoveryRecord | null = null;

  const course = createCourse({
    host: request.host,
    journal,
    timing,
    phase: () => state.phase,
    headline: () =>
      kind === 'promotion'
        ? `**${state.phase}**: promotion of ${request.product} ${request.releaseId} on ${request.host}`
        : `**${state.phase}**: ${request.product} ${plan?.fromReleaseId ?? '(nothing)'} → ${request.releaseId} on ${request.host}`,
    cancelReason,
  });
  const { call } = course;

  function advance(event: UpdateEvent): void {
    state = nextUpdateState(state, event);
    course.show();
  }

  const perform = (of: UpdateStep, run: () => Promise<StepResult>): Promise<StepResult> => course.perform(of, stepTitle(of), 'do', run);

  async function goForward(context: () => StepContext): Promise<void> {
    for (const next of (plan as UpdatePlan).steps) {
      started.push(next);
      const run = () => executeStep(next, context());
      // What comes after the commit only tidies up: a cancel is too late for it.
      const late = isPastReturn(next) || state.phase === 'Succeeded';
      try {
        const result = await (late ? CancellationScope.nonCancellable(() => perform(next, run)) : perform(next, run));
        if (result.backupPath) backupPath = result.backupPath;
        if (result.shiftedAt) shiftedAt = result.shiftedAt;
        if (result.certificateVersion) certificateVersion = result.certificateVersion;
      } catch (error) {
        // The release serves and is committed: what is left undone now is tidying, which the next run does as well.
        if (state.phase === 'Succeeded' && error instanceof StepStopped) continue;
        throw error;
      }
      const event = eventAfter(next, kind, backupPath);
      if (event) advance(event);
    }
  }

  async function goBack(context: () => StepContext, stopped: StepStopped): Promise<void> {
    const isBarred = plan?.fromReleaseId && started.some(({ name }) => name === 'migrate') && artifact?.manifest.data.onRollback === 'stop';
    const undone = await course.goBack<UndoStep>({
      stopped,
      undo: planUndo(plan as UpdatePlan, started, restoresData(artifact as Artifact), stopped.reason.class),
      barred: isBarred ? new StepStopped('restore-data', irreversible(request), false) : null,
      titleOf: stepTitle,
      isTidying,
      record: (steps) => controlCalls.recordUndo({ runId, request, failedStep: stopped.step, reason: stopped.reason, steps }),
      execute: (step) => executeUndoStep(step, context()),
      advance,
    });
    // Whoever updates Fairlead itself gets the same record where it came back as where it did not: the backup, and what it is on now.
    if (undone !== null && request.product === ownProduct && started.some(({ name }) => name === 'activate')) recovery = cameBack({ runId, request, backupPath }, plan as UpdatePlan, stopped, undone);
    if (state.phase === 'Stranded') recovery = await strandHost(context(), state);
  }

  async function strandHost(context: StepContext, at: Extract<UpdateState, { phase: 'Stranded' }>): Promise<RecoveryRecord> {
    const input = recoveryInput(context, { failedStep: at.failedStep, stuckAt: at.stuckAt, undone: at.undone, reason: at.stuckReason });
    return strand(() => call('strandHost', input, 'write the recovery record', strandLimits), { runId, request, backupPath: at.backupPath, at, attempted: at.target, lastGood: at.lastGood });
  }

  async function end(): Promise<RunReport> {
    const outcome = outcomeOf(state);
    if (!outcome) throw new Error(`the run ended in state ${state.phase}`);
    const report: RunReport = {
      schema: 1,
      runId,
      workflowId,
      kind,
      host: request.host,
      product: request.product,
      fromReleaseId: plan?.fromReleaseId ?? servedBefore,
      toReleaseId: request.releaseId,
      artifactRole: artifact?.role ?? request.role ?? 'node',
      artifactProfile: artifact?.profile ?? '',
      requestedBy: request.requestedBy,
      startedAt,
      endedAt: new Date().toISOString(),
      outcome,
      reason: 'reason' in state ? state.reason : null,
      steps: journal.steps,
      evidence: course.evidence.slice(0, 40),
      backupPath: state.phase === 'Refused' || state.phase === 'Unchanged' ? null : backupPath,
      recovery,
    };
    await course.close(report);
    return answer === 'whole' ? report : { ...report, steps: [], evidence: [] };
  }

  async function look(): Promise<(() => StepContext) | null> {
    const opened = await controlCalls.openRun({ runId, kind, request, requestedAt: startedAt });
    artifact = opened.artifact;
    const run: RunRef = { runId, host: request.host, product: request.product, fence: opened.fence };
    const { value } = await call('inspectHost', { product: request.product }, 'inspect the host', { startToCloseMs: 60_000 });
    const inspection = value as HostInspection;
    servedBefore = inspection.state?.lastGoodReleaseId ?? null;
    const decision = decide(inspection, artifact, request);
    if (decision.kind === 'unchanged') {
      advance({ type: 'NothingToDo', active: decision.activeReleaseId });
      return null;
    }
    if (decision.kind === 'refuse') {
      advance({ type: 'PreconditionFailed', reason: decision.reason });
      return null;
    }
    plan = decision.plan;
    // The time that a step may take follows the service, also where the instance was added on this host.
    artifact = { ...artifact, manifest: withExtras(artifact.manifest, inspection.state?.extras) };
    course.plan(plan.steps.length);
    await controlCalls.recordIntent({ runId, request, plan });
    advance({ type: 'HostInspected', from: plan.fromReleaseId });
    return () => ({ run, request, artifact: artifact as Artifact, plan: plan as UpdatePlan, call, backupPath, shiftedAt, certificateVersion, pause: sleep, wait: course.wait });
  }

  const what = kind === 'promotion' ? `promotion of ${request.product} ${request.releaseId}` : `${request.product} ${request.releaseId}`;
  journal.tell('run_started', null, `${what} on ${request.host}, asked for by ${request.requestedBy}`);
  await course.through({ look, goForward, goBack, isOpen: () => state.phase === 'Requested', advance });
  return CancellationScope.nonCancellable(end);
}

function eventAfter(step: UpdateStep, kind: UpdatePlan['kind'], backupPath: string | null): UpdateEvent | null {
  switch (step.name) {
    case 'check-setup':
      return { type: 'SetupConfirmed' };
    case 'shift':
      // In an update the release becomes active by the step of that name.
      return kind === 'promotion' ? { type: 'TrafficShifted' } : null;
    case 'extract':
      return { type: 'BundleStaged' };
    case 'backup':
      return { type: 'BackupTaken', backupPath: backupPath ?? '' };
    case 'migrate':
      return { type: 'DataMigrated' };
    case 'activate':
      return { type: 'ReleaseActivated' };
    case 'admit':
      return { type: 'InstanceRolled', instance: step.instance };
    case 'verify-health':
      return { type: 'HealthProven' };
    case 'commit':
      return { type: 'ReleaseCommitted' };
    default:
      return null;
  }
}

const cancelReason = (step: string): Reason => ({ class: 'request', code: 'cancelled', message: `The run was cancelled at ${step}.`, hint: 'Start the update again when it is wanted.' });

const irreversible = (request: PromotionRequest): Reason => ({
  class: 'release',
  code: 'migration_irreversible',
  message: `Release ${request.releaseId} has migrated the data, and declares that the old release cannot read it (data.onRollback: stop).`,
  hint: 'Decide: mend and apply a newer release, or restore the backup by hand and run fairlead recover.',
});
