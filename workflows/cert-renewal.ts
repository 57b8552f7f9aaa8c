import { CancellationScope, condition, defineSignal, ParentClosePolicy, setHandler, startChild, workflowInfo, type ChildWorkflowHandle } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { RunRef } from '../activities/host/dependencies.ts';
import { nextTryAt } from '../src/domain/certificate/backoff.ts';
import type { CertificateLook } from '../src/domain/certificate/look.ts';
import { planCertificate } from '../src/domain/certificate/plan.ts';
import { certificateOutcomeOf, nextCertificateRunState, type CertificateRunEvent, type CertificateRunState } from '../src/domain/certificate/state.ts';
import type { CertificateRunRequest } from '../src/domain/certificate/wish.ts';
import type { Reason } from '../src/domain/failure.ts';
import { hostWorkflowId, type RunId } from '../src/domain/ids.ts';
import { tryNowSignal } from '../src/domain/run/names.ts';
import type { RunReport } from '../src/domain/run/report.ts';
import { certSwitch, type IssuedRun } from './cert-switch.ts';
import { forgetDelivered, obtainCertificate, openDelivered, type ObtainedCertificate } from './support/certificate-issuing-steps.ts';
import { controlCalls } from './support/control-calls.ts';
import { isCancel, readFailure } from './support/failures.ts';
import type { RunTiming } from './support/host-calls.ts';
import { takeTurn } from './support/host-turn.ts';
import { createJournal } from './support/journal.ts';
import { createCourse, StepStopped } from './support/run-course.ts';
import { attributesOf } from './support/search-attributes.ts';
import { startDistribution } from './support/start-distribution.ts';

/** All in milliseconds. */
export interface CertificateTiming {
  /** How long the issuer may take to answer within one try. */
  readonly answerWaitMs: number;
  /** How long a run goes on trying; then it ends, and the schedule starts another one when that is due. */
  readonly patienceMs: number;
  /** How long it may wait for its turn on the host. */
  readonly turnWaitMs: number;
  readonly steps: Partial<RunTiming>;
}

const day = 86_400_000;
const defaultCertificateTiming: CertificateTiming = { answerWaitMs: 600_000, patienceMs: 30 * day, turnWaitMs: day, steps: {} };
const tryNow = defineSignal(tryNowSignal);

/**
 * Gets the certificate of a product on a host, where it is due, and has the host serve it. Runs under an id of its own: an issuer may take days, in which the host
 * is free for other runs, and the certificate that works is not touched. With the new one on the host, a child takes the host's own workflow id, its lock, for
 * the few seconds of the switch. The run is one, with one id, story and report, though two workflows carry it.
 */
export async function certRenewal(request: CertificateRunRequest, given: Partial<CertificateTiming> = {}): Promise<RunReport> {
  const timing = { ...defaultCertificateTiming, ...given };
  const { workflowId, runId: temporalRunId, startTime, taskTimeoutMs } = workflowInfo();
  const runId = temporalRunId as RunId;
  const startedAt = startTime.toISOString();
  const { host, product, wish } = request;
  const hostId = hostWorkflowId(host, product);
  /** Spreads the tries of many hosts. */
  const seed = `${host}/${product}/${wish.names[0]}`;
  const title = `certificate ${wish.names[0]} of ${product} on ${host}`;
  const journal = createJournal(runId, (events) => controlCalls.recordEvents({ events }));
  let state: CertificateRunState = { phase: 'Requested' };
  let nudged = false;
  let failures = 0;
  let release = request.releaseId;
  let isKept = false;
  /** Set once something may have been opened on the host. */
  let opening: RunRef | null = null;

  const course = createCourse({ host, journal, timing: timing.steps, phase: () => state.phase, headline: () => `**${state.phase}**: ${title}, by ${wish.issuer.name}`, cancelReason });
  setHandler(tryNow, () => {
    nudged = true;
  });

  function advance(event: CertificateRunEvent): void {
    state = nextCertificateRunState(state, event);
    course.show();
  }

  async function look(): Promise<CertificateLook> {
    const { value } = await course.call('lookAtCertificate', { product, wish, known: null }, 'look at the certificate', { startToCloseMs: 360_000 });
    await controlCalls.noteCertificate({ host, product, look: value });
    return value;
  }

  /** One try more that came to nothing. @returns when it ended, and when the next one is due */
  async function noteFailure(reason: Reason): Promise<{ now: number; until: string }> {
    failures += 1;
    const now = Date.now();
    const until = nextTryAt({ failures, reason, seed, now });
    await controlCalls.noteCertificateTry({ host, product, lastTry: { at: new Date(now).toISOString(), succeeded: false, reason }, failures, nextTryAt: until });
    return { now, until };
  }

  /** Tries until there is a certificate, over days where it must be. Null: meanwhile there was nothing to do any more. */
  async function obtain(run: RunRef): Promise<ObtainedCertificate | null> {
    for (;;) {
      try {
        const issuing = { run, request, course, answerWaitMs: timing.answerWaitMs };
        return await (request.delivery === undefined ? obtainCertificate(issuing) : openDelivered(issuing, request.delivery));
      } catch (error) {
        if (!(error instanceof StepStopped) || error.cancelled) throw error;
        const { now, until } = await noteFailure(error.reason);
        isKept = true;
        // What a person has to put right is not waited for: whoever asked sees it now, and the schedule tries again later.
        // Nor is what was sealed worth more tries: the next distribution seals it anew.
        if (request.delivery !== undefined || error.step === 'check-origin' || error.reason.class === 'request' || Date.parse(until) - startTime.getTime() > timing.patienceMs) throw error;
        advance({ type: 'TryFailed', reason: error.reason, until });
        course.wait({ for: `the next try: ${error.reason.message}`, since: new Date(now).toISOString(), until, release: `the time, or fairlead cert renew --host ${host} --product ${product}, which tries at once; fairlead runs cancel ${runId} gives up` });
        nudged = false;
        await condition(() => nudged, Date.parse(until) - now);
        course.wait(null);
        // Asked again at the moment of acting: in days a person may have put another one in place.
        const again = planCertificate(await look(), request);
        if (again.kind === 'unchanged') {
          advance({ type: 'NothingDue' });
          return null;
        }
        if (again.kind === 'refuse') throw new StepStopped('look', again.reason, false);
        advance({ type: 'DelayEnded' });
        isKept = false;
      }
    }
  }

  /** Has the host take the certificate into use, once no other run has the host. */
  async function switchOnHost({ directory, facts }: ObtainedCertificate): Promise<RunReport> {
    const child = await takeTurn({
      ...{ host, product, runId, limitMs: timing.turnWaitMs, wait: course.wait, waiter: 'a renewal', hint: 'The new certificate lies on the host; the next run takes it into use.' },
      take: async () => {
        await journal.flush();
        const story = { sequence: journal.length(), unsent: [], steps: journal.steps };
        return take({ runId, workflowId, startedAt, request, directory, issued: { serial: facts.serial, notAfter: facts.notAfter }, story, evidence: course.evidence });
      },
      notCome: (reason) => new StepStopped('take-host', reason, false),
    });
    course.wait(null);
    return child.result();
  }

  /** @returns null while another run has the host */
  async function take(input: IssuedRun): Promise<ChildWorkflowHandle<typeof certSwitch> | null> {
    try {
      return await startChild(certSwitch, {
        workflowId: hostId,
        args: [input, timing.steps],
        // A switch that has begun comes to its end, or back, whatever happens to this workflow.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        workflowTaskTimeout: taskTimeoutMs ?? 10_000,
        memo: { runId, requestId: request.requestId, requestedBy: request.requestedBy },
        staticSummary: title,
        staticDetails: `Asked for by ${request.requestedBy}. Carries out run ${runId}, which got the certificate.`,
        typedSearchAttributes: attributesOf({ host, product, release }),
      });
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
      throw error;
    }
  }

  /** What is known of the certificate once the host has had its turn: the schedule and the status go by that. */
  async function keep(report: RunReport): Promise<void> {
    const succeeded = report.outcome === 'succeeded';
    const now = Date.now();
    const reason = report.reason;
    if (!succeeded) failures += 1;
    const next = succeeded || reason === null || report.outcome === 'cancelled' ? null : nextTryAt({ failures, reason, seed, now });
    await controlCalls.noteCertificateTry({ host, product, lastTry: { at: new Date(now).toISOString(), succeeded, reason }, failures: succeeded ? 0 : failures, nextTryAt: next, ...(succeeded ? { wish } : {}) });
    // The run has ended well or not: a host that does not answer now is looked at by the next sweep.
    if (succeeded) await look().catch(() => undefined);
  }

  async function end(): Promise<RunReport> {
    const outcome = certificateOutcomeOf(state);
    if (!outcome) throw new Error(`the run ended in state ${state.phase}`);
    const reason = 'reason' in state ? state.reason : null;
    if (outcome === 'refused' && reason !== null && !isKept) await noteFailure(reason);
    return course.close({
      schema: 1,
      runId,
      workflowId,
      kind: 'cert-renewal',
      host,
      product,
      fromReleaseId: release,
      toReleaseId: release,
      artifactRole: 'node',
      artifactProfile: '',
      requestedBy: request.requestedBy,
      startedAt,
      endedAt: new Date().toISOString(),
      outcome,
      reason,
      steps: journal.steps,
      evidence: course.evidence.slice(0, 40),
      backupPath: null,
      recovery: null,
    });
  }

  journal.tell('run_started', null, `${request.action} ${title}, asked for by ${request.requestedBy}`);
  try {
    const opened = await controlCalls.openCertificateRun({ runId, workflowId, request, requestedAt: startedAt });
    failures = opened.failures;
    const run: RunRef = { runId, host, product, fence: opened.fence };
    const decision = planCertificate(await look(), request);
    if (decision.kind === 'refuse') {
      advance({ type: 'PreconditionFailed', reason: decision.reason });
    } else if (decision.kind === 'unchanged') {
      release = decision.releaseId;
      advance({ type: 'NothingDue' });
    } else {
      release = decision.plan.releaseId;
      await controlCalls.recordCertificateIntent({ runId, request, plan: decision.plan });
      advance({ type: 'RenewalDue' });
      opening = run;
      const obtained = await obtain(run);
      if (obtained !== null) {
        advance({ type: 'CertificateIssued', issued: { serial: obtained.facts.serial, notAfter: obtained.facts.notAfter } });
        const report = await switchOnHost(obtained);
        await CancellationScope.nonCancellable(async () => {
          await keep(report);
          await (report.outcome === 'succeeded' ? startDistribution(request, release) : forgetDelivered(run, request, timing.steps));
        });
        return report;
      }
    }
  } catch (error) {
    if (isCancel(error, CancellationScope.current().consideredCancelled) || (error instanceof StepStopped && error.cancelled)) advance({ type: 'CancelRequested', step: state.phase, reason: cancelReason(state.phase) });
    else advance({ type: 'StepFailed', step: error instanceof StepStopped ? error.step : state.phase, reason: error instanceof StepStopped ? error.reason : readFailure(error, state.phase, host).reason });
  }
  return CancellationScope.nonCancellable(async () => {
    if (opening !== null) await forgetDelivered(opening, request, timing.steps);
    if (state.phase === 'Unchanged') {
      // Which hosts serve it is wanted anew, also where the certificate itself stays.
      const isWanted = request.action === 'issue' && (wish.alsoOn !== undefined || wish.orderedBy !== undefined);
      if (isWanted) await controlCalls.noteCertificateTry({ host, product, lastTry: { at: new Date().toISOString(), succeeded: true, reason: null }, failures: 0, nextTryAt: null, wish });
      await startDistribution(request, release);
    }
    return end();
  });
}

const cancelReason = (step: string): Reason => ({ class: 'request', code: 'cancelled', message: `The run was cancelled at ${step}. Nothing that serves was touched.`, hint: 'Ask again when it is wanted.' });
