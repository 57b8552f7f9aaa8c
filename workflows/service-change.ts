import { CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { RunRef } from '../activities/host/dependencies.ts';
import type { Reason } from '../src/domain/failure.ts';
import type { RunId } from '../src/domain/ids.ts';
import type { RecoveryRecord, RunReport } from '../src/domain/run/report.ts';
import type { ServiceInspection, ServiceManifest } from '../src/domain/service/inspection.ts';
import { planService } from '../src/domain/service/plan.ts';
import type { ServiceRequest } from '../src/domain/service/request.ts';
import { nextServiceState, serviceOutcomeOf, type ServiceEvent, type ServiceState } from '../src/domain/service/state.ts';
import { isPreparing, serviceStepTitle, type ServiceStep, type ServiceUndoStep } from '../src/domain/service/step.ts';
import { planServiceUndo } from '../src/domain/service/undo.ts';
import { controlCalls } from './support/control-calls.ts';
import type { RunTiming } from './support/host-calls.ts';
import { createJournal, type StoryStart } from './support/journal.ts';
import { strand, strandLimits } from './support/recovery-record.ts';
import { createCourse, StepStopped } from './support/run-course.ts';
import { executeServiceStep, executeServiceUndoStep, serviceRecoveryInput, type ServiceContext, type ServiceStepResult } from './support/service-steps.ts';

/** What a restart hands over that has gathered its requests and got the host: the run is the one that its callers know. */
export interface GatheredRun {
  readonly runId: RunId;
  readonly workflowId: string;
  readonly startedAt: string;
  readonly requestIds: readonly string[];
  readonly story: StoryStart;
}

/**
 * Restarts, reloads, adds or removes instances of a service on one host, under the host's own workflow id, which is its lock. Decides by the plan and
 * the transition function of the domain; everything that is done is an activity. Ends with a report in every case; a cancel is a way back.
 */
export async function serviceChange(request: ServiceRequest, gathered: GatheredRun | null = null, timing: Partial<RunTiming> = {}): Promise<RunReport> {
  const info = workflowInfo();
  const runId = gathered?.runId ?? (info.runId as RunId);
  const workflowId = gathered?.workflowId ?? info.workflowId;
  const startedAt = gathered?.startedAt ?? info.startTime.toISOString();
  const kind = request.action === 'restart' || request.action === 'reload' ? 'restart' : 'scale';
  const journal = createJournal(runId, (events) => controlCalls.recordEvents({ events }), gathered?.story);
  const started: ServiceStep[] = [];
  const ended: ServiceStep[] = [];

  let state: ServiceState = { phase: 'Requested', service: request.service };
  let manifest: ServiceManifest | null = null;
  let recovery: RecoveryRecord | null = null;

  const course = createCourse({
    host: request.host,
    journal,
    timing,
    phase: () => state.phase,
    headline: () => `**${state.phase}**: ${request.action} ${request.service} of ${request.product} on ${request.host}`,
    footnote: gathered ? `The run is ${runId}, which gathered the requests for it.` : '',
    cancelReason,
  });
  const { call } = course;

  function advance(event: ServiceEvent): void {
    state = nextServiceState(state, event);
    course.show();
  }

  const perform = (of: ServiceStep, run: () => Promise<ServiceStepResult>): Promise<ServiceStepResult> => course.perform(of, serviceStepTitle(of), 'do', run);

  async function goForward(context: ServiceContext): Promise<void> {
    const left = [...context.plan.steps];
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const current = next;
      if (state.phase === 'Planned' && !isPreparing(current)) advance({ type: 'ChangeBegun' });
      if (current.name === 'close-intent') advance({ type: 'ChangeCompleted' });
      started.push(current);
      try {
        const run = () => executeServiceStep(current, context);
        const result = await (isPastReturn(current) ? CancellationScope.nonCancellable(() => perform(current, run)) : perform(current, run));
        ended.push(current);
        if (result.overran && 'instance' in current && left[0]?.name === 'restart') {
          left.unshift({ name: 'stop', instance: current.instance });
          course.plan(1);
        }
      } catch (error) {
        if (!(error instanceof StepStopped)) throw error;
        // What was asked for is done and proven: what is left undone now is tidying, which the next run does as well.
        if (state.phase === 'Succeeded') continue;
        if (error.cancelled || !fallsBack(current, request)) throw error;
        const own = left.filter((each) => 'instance' in each && each.instance === current.instance).length;
        left.splice(0, own, { name: 'drain', instance: current.instance }, { name: 'restart', instance: current.instance }, { name: 'prove', instance: current.instance }, { name: 'admit', instance: current.instance });
        course.plan(4 - own);
      }
      if (isLastOf(current, left)) advance({ type: 'InstanceDone', instance: current.instance });
    }
  }

  /** A reload that was to fall back, and whose instance was not restarted for it yet. */
  function fallsBack(current: ServiceStep, asked: ServiceRequest): current is Extract<ServiceStep, { name: 'reload' | 'prove' }> {
    if (asked.action !== 'reload' || !asked.orRestart || (current.name !== 'reload' && current.name !== 'prove')) return false;
    return !started.some((each) => each.name === 'restart' && each.instance === current.instance);
  }

  async function goBack(context: ServiceContext, stopped: StepStopped): Promise<void> {
    await course.goBack<ServiceUndoStep>({
      stopped,
      undo: planServiceUndo(context.plan, started, ended, stopped.cancelled),
      titleOf: serviceStepTitle,
      isTidying: ({ name }) => name === 'close-intent',
      record: (steps) => controlCalls.recordServiceUndo({ runId, request, failedStep: stopped.step, reason: stopped.reason, steps }),
      execute: (step) => executeServiceUndoStep(step, context),
      advance,
    });
    if (state.phase === 'Stranded') recovery = await strandHost(context, state);
  }

  async function strandHost(context: ServiceContext, at: Extract<ServiceState, { phase: 'Stranded' }>): Promise<RecoveryRecord> {
    const input = serviceRecoveryInput(context, { failedStep: at.failedStep, stuckAt: at.stuckAt, undone: at.undone, reason: at.stuckReason });
    return strand(() => call('strandHost', input, 'write the recovery record', strandLimits), { runId, request, backupPath: null, at, attempted: at.release, lastGood: at.release });
  }

  async function end(): Promise<RunReport> {
    const outcome = serviceOutcomeOf(state);
    if (!outcome) throw new Error(`the run ended in state ${state.phase}`);
    const releaseId = manifest?.releaseId ?? request.releaseId;
    const report: RunReport = {
      schema: 1,
      runId,
      workflowId,
      kind,
      host: request.host,
      product: request.product,
      fromReleaseId: manifest?.releaseId ?? null,
      toReleaseId: releaseId,
      artifactRole: manifest?.artifact.role ?? 'node',
      artifactProfile: manifest?.artifact.profile ?? '',
      requestedBy: request.requestedBy,
      startedAt,
      endedAt: new Date().toISOString(),
      outcome,
      reason: 'reason' in state ? state.reason : null,
      steps: journal.steps,
      evidence: course.evidence.slice(0, 40),
      backupPath: null,
      recovery,
    };
    return course.close(report);
  }

  async function look(): Promise<ServiceContext | null> {
    // The fence of a run that waited for its turn is older than those of the runs that had theirs meanwhile.
    const { fence } = gathered ? await controlCalls.takeFence({ runId }) : await controlCalls.openServiceRun({ runId, workflowId, kind, request, requestedAt: startedAt });
    const run: RunRef = { runId, host: request.host, product: request.product, fence };
    const { value } = await call('inspectServices', { product: request.product }, 'look at the services', { startToCloseMs: 60_000 });
    const inspection = value as ServiceInspection;
    manifest = inspection.manifest;
    const decision = planService(inspection, request);
    if (decision.kind === 'unchanged') {
      advance({ type: 'NothingToDo', release: decision.releaseId });
      return null;
    }
    if (decision.kind === 'refuse') {
      advance({ type: 'PreconditionFailed', reason: decision.reason });
      return null;
    }
    const { plan } = decision;
    course.plan(plan.steps.length);
    await controlCalls.recordServiceIntent({ runId, request, plan, requestIds: gathered?.requestIds ?? [request.requestId] });
    advance({ type: 'HostInspected', release: plan.releaseId });
    return { run, request, manifest: manifest as ServiceManifest, plan, call };
  }

  if (!gathered) journal.tell('run_started', null, `${request.action} ${request.service} of ${request.product} on ${request.host}, asked for by ${request.requestedBy}`);
  await course.through({ look, goForward, goBack, isOpen: () => state.phase === 'Requested', advance });
  return CancellationScope.nonCancellable(end);
}

/** After these there is no way back worth taking: what was asked for is proven, and is being written down. */
const isPastReturn = ({ name }: ServiceStep): boolean => name === 'settle' || name === 'forget' || name === 'close-intent';

/** Whether the run is done with the step's instance, as far as clients are concerned. */
function isLastOf(step: ServiceStep, left: readonly ServiceStep[]): step is Extract<ServiceStep, { readonly instance: unknown }> {
  if (step.name !== 'admit' && step.name !== 'prove' && step.name !== 'retire') return false;
  return !left.some((each) => (each.name === 'drain' || each.name === 'restart' || each.name === 'prove' || each.name === 'admit') && each.instance === step.instance);
}

const cancelReason = (step: string): Reason => ({ class: 'request', code: 'cancelled', message: `The run was cancelled at ${step}.`, hint: 'Ask again when it is wanted.' });
