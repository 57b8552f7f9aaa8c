import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import { TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import { FairleadError } from '../../domain/failure.ts';
import { controlTaskQueue, hostWorkflowId, type RunId } from '../../domain/ids.ts';
import { progressQuery, promotionWorkflow, searchAttributes, updateApplyWorkflow } from '../../domain/run/names.ts';
import type { RunProgress, RunReport } from '../../domain/run/report.ts';
import type { PromotionRequest } from '../../domain/promotion/request.ts';
import { heldBy, type RunStarter } from '../../ports/run-starter.ts';

interface Options {
  readonly connection: Connection;
  readonly address: string;
  readonly namespace: string;
  /** The workflow that a run id belongs to, from the runs table; null where it is not known. */
  readonly workflowIdOf: (runId: RunId) => Promise<string | null>;
  /** Whether the run's report is written: then its workflow is about to close, and whoever asks for the next run should not be refused for it. */
  readonly hasReported: (runId: RunId) => Promise<boolean>;
  /** How long a control worker may take to decide the next step; one that was killed meanwhile holds the run up for as long. */
  readonly workflowTaskTimeoutMs: number;
}

const askLimitMs = 5_000;
/** How long a run that has reported may take to close. */
const closingPatienceMs = 5_000;
const closingPauseMs = 50;
const keyword = (name: string) => defineSearchAttributeKey(name, 'KEYWORD');

/** Starts and watches runs on a Temporal server. */
export function createTemporalRunStarter({ connection, address, namespace, workflowIdOf, hasReported, workflowTaskTimeoutMs }: Options): RunStarter {
  const client = new Client({ connection, namespace });

  async function handleOf(runId: RunId) {
    const workflowId = await workflowIdOf(runId);
    return workflowId === null ? null : client.workflow.getHandle(workflowId, runId);
  }

  /** Every call has a limit, and an orchestrator that is away is named as what it is. */
  async function ask<T>(call: () => Promise<T>, limitMs = askLimitMs): Promise<T> {
    try {
      return await connection.withDeadline(Date.now() + limitMs, call);
    } catch (error) {
      if (!isAway(error)) throw error;
      throw new FairleadError(
        {
          class: 'dependency',
          code: 'orchestrator_unavailable',
          message: `The Temporal server at ${address} did not answer within ${limitMs / 1000} s.`,
          hint: 'See that it runs and that FAIRLEAD_TEMPORAL_ADDRESS is right. Runs that are under way go on once it is back.',
        },
        { cause: error, retryable: true },
      );
    }
  }

  async function start(workflow: string, request: PromotionRequest, said: { readonly summary: string; readonly details: string }, patienceMs = closingPatienceMs): Promise<{ runId: RunId; workflowId: string }> {
    const workflowId = hostWorkflowId(request.host, request.product);
    try {
      const handle = await ask(() =>
        client.workflow.start(workflow, {
          workflowId,
          taskQueue: controlTaskQueue,
          workflowIdConflictPolicy: 'FAIL',
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          args: [request],
          workflowTaskTimeout: workflowTaskTimeoutMs,
          memo: { requestId: request.requestId, requestedBy: request.requestedBy },
          staticSummary: said.summary,
          staticDetails: said.details,
          typedSearchAttributes: new TypedSearchAttributes([
            { key: keyword(searchAttributes.host), value: request.host },
            { key: keyword(searchAttributes.product), value: request.product },
            { key: keyword(searchAttributes.release), value: request.releaseId },
          ]),
        }),
      );
      return { runId: handle.firstExecutionRunId as RunId, workflowId };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const holder = await ask(() => client.workflow.getHandle(workflowId).describe());
      const holdingRun = holder.runId as RunId;
      if ((holder.memo as { requestId?: string } | undefined)?.requestId === request.requestId) return { runId: holdingRun, workflowId };
      if (patienceMs > 0 && (await hasReported(holdingRun))) {
        await sleep(closingPauseMs);
        return start(workflow, request, said, patienceMs - closingPauseMs);
      }
      throw new FairleadError({
        class: 'request',
        code: 'run_in_progress',
        message: `${workflowId} is ${heldBy(holdingRun)}, since ${holder.startTime.toISOString()}: one run at a time may change a product on a host.`,
        hint: `Watch it: fairlead runs watch ${holdingRun}. Roll it back: fairlead runs cancel ${holdingRun}.`,
      });
    }
  }

  return {
    startUpdate: (request) =>
      start(updateApplyWorkflow, request, { summary: `${request.product} ${request.releaseId} on ${request.host}`, details: `Asked for by ${request.requestedBy}. Strategy ${request.strategy}.` }),
    startPromotion: (request) =>
      start(promotionWorkflow, request, { summary: `promotion of ${request.product} on ${request.host}`, details: `Asked for by ${request.requestedBy}, on release ${request.releaseId}.` }),

    async progress(runId) {
      const handle = await handleOf(runId);
      if (handle === null) return null;
      try {
        return await ask(() => handle.query<RunProgress>(progressQuery));
      } catch (error) {
        // A worker that is away cannot answer queries, and a run that was removed has nothing to say: the stored row still stands.
        if (error instanceof FairleadError || isUnanswerable(error)) return null;
        throw error;
      }
    },

    async result(runId, cancel) {
      const handle = await handleOf(runId);
      if (handle === null) throw unknownRun(runId);
      return connection.withAbortSignal(cancel, () => handle.result() as Promise<RunReport>);
    },

    async cancel(runId) {
      const handle = await handleOf(runId);
      if (handle === null) throw unknownRun(runId);
      try {
        await ask(() => handle.cancel());
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error; // It has ended: there is nothing left to cancel.
      }
    },

    async pending(runId) {
      const handle = await handleOf(runId);
      if (handle === null) return [];
      try {
        const { raw } = await ask(() => handle.describe());
        return (raw.pendingActivities ?? []).map((activity) => ({
          activity: activity.activityType?.name ?? '',
          attempt: activity.attempt ?? 1,
          lastError: activity.lastFailure?.message ?? null,
          nextAttemptAt: activity.nextAttemptScheduleTime ? isoOf(activity.nextAttemptScheduleTime) : null,
        }));
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return [];
        throw error;
      }
    },

    async health() {
      try {
        const { pollers } = await ask(
          () => connection.workflowService.describeTaskQueue({ namespace, taskQueue: { name: controlTaskQueue }, taskQueueType: 1 }),
          2_000,
        );
        return { healthy: true, address, detail: 'answers', controlWorkers: pollers?.length ?? 0 };
      } catch (error) {
        return { healthy: false, address, detail: error instanceof Error ? error.message : String(error), controlWorkers: null };
      }
    },
  };
}

const unknownRun = (runId: RunId): FairleadError =>
  new FairleadError({ class: 'request', code: 'run_unknown', message: `There is no run ${runId}.`, hint: 'See the runs there are: fairlead runs list' });

function isAway(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (code === 14 || code === 4) return true; // UNAVAILABLE, DEADLINE_EXCEEDED (grpc/status)
  }
  return false;
}

function isUnanswerable(error: unknown): boolean {
  const name = error instanceof Error ? error.name : '';
  return error instanceof WorkflowNotFoundError || name === 'QueryNotRegisteredError' || name === 'QueryRejectedError' || name === 'ServiceError';
}

function isoOf(time: { seconds?: unknown; nanos?: number | null }): string {
  return new Date(Number(time.seconds ?? 0) * 1000 + Number(time.nanos ?? 0) / 1e6).toISOString();
}
