import { ActivityFailure, ApplicationFailure, CancelledFailure, TemporalFailure, TimeoutFailure, isCancellation, rootCause } from '@temporalio/workflow';
import type { Evidence, FailureClass, Reason } from '../../src/domain/failure.ts';

/** What an agent or the control worker puts into the details of a failure. */
export interface FailureDetails {
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  readonly attempt: number;
}

export interface StepFailure {
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  readonly attempts: number;
}

/** Why a recovery record stands on a host whose run has not ended. */
export const runUnderWay: Reason = {
  class: 'orchestrator',
  code: 'run_under_way',
  message: 'The run was still under way when this record was written.',
  hint: 'Use it only where the control plane is gone and the run does not go on by itself.',
};

/** A step failed by what was decided from its results, not by an activity. */
export class StepFault extends Error {
  readonly reason: Reason;
  constructor(reason: Reason) {
    super(reason.message);
    this.reason = reason;
  }
}

/** Reads a failure of an activity: what it was, whose fault, and the evidence that came with it. */
export function readFailure(error: unknown, step: string, host: string): StepFailure {
  if (error instanceof StepFault) return { reason: error.reason, evidence: [], attempts: 1 };
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) {
    const details = cause.details?.[0] as Partial<FailureDetails> | undefined;
    if (details?.reason) return { reason: details.reason, evidence: details.evidence ?? [], attempts: details.attempt ?? 1 };
    return failure('orchestrator', cause.type ?? 'unexpected_error', `Step ${step} failed unexpectedly: ${cause.message}`, 'This is a defect of Fairlead: keep the run id and the logs of the worker.');
  }
  if (cause instanceof TimeoutFailure) {
    switch (cause.timeoutType) {
      case 'SCHEDULE_TO_START':
        return failure('host', 'host_unreachable', `Host ${host} did not take up step ${step} in time.`, `See whether its agent runs and reaches Temporal: fairlead nodes show ${host}`);
      case 'HEARTBEAT':
        return failure('host', 'agent_lost', `The agent of host ${host} fell silent during step ${step}, on every attempt.`, `Look at the agent's log on the host, and at: fairlead nodes show ${host}`);
      case 'START_TO_CLOSE':
        return failure('host', 'step_timed_out', `Step ${step} on host ${host} went past its time limit.`, 'The limits follow drainSeconds, startSeconds and hook time-outs of fairlead.yaml.');
      default:
        return failure('dependency', 'wait_limit_reached', `Step ${step} on host ${host} did not succeed within the time that it may be retried. Last: ${messageOf(cause.cause)}`, 'Mend what it waited for and start the update again.');
    }
  }
  return failure('orchestrator', 'unexpected_error', `Step ${step} failed unexpectedly: ${messageOf(error)}`, 'This is a defect of Fairlead: keep the run id and the logs of the worker.');
}

/** True for a cancel that reached the activity, and for what a cancel looks like when the agent is dead (TimeoutFailure after the heartbeat limit). */
export function isCancel(error: unknown, scopeCancelled: boolean): boolean {
  return isCancellation(error) || error instanceof CancelledFailure || scopeCancelled;
}

/** The innermost reason of what an activity or a child workflow failed with, and otherwise its message: "Activity task failed" tells nobody anything. */
export function saidBy(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const reason = at instanceof ApplicationFailure ? (at.details?.[0] as Partial<FailureDetails> | undefined)?.reason : undefined;
    if (reason?.message) return reason.message;
  }
  return rootCause(error) ?? messageOf(error);
}

/** A step of control that no further attempt would bring to an end: for whoever decides what becomes of the run. Rethrows what is a defect of the workflow. */
export function controlFailure(error: unknown, what: string): Reason {
  if (!(error instanceof TemporalFailure)) throw error;
  return { class: 'orchestrator', code: 'control_failed', message: `Control could not ${what}, and trying again would not help: ${saidBy(error)}`, hint: 'See the log of the control worker.' };
}

export const isHostAway = (error: unknown): boolean =>
  error instanceof ActivityFailure && error.cause instanceof TimeoutFailure && error.cause.timeoutType === 'SCHEDULE_TO_START';

function failure(failureClass: FailureClass, code: string, message: string, hint: string): StepFailure {
  return { reason: { class: failureClass, code, message, hint }, evidence: [], attempts: 1 };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
