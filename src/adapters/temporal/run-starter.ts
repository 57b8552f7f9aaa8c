import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { WithStartWorkflowOperation, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { FairleadError } from '../../domain/failure.ts';
import { certificateWorkflowId, controlTaskQueue, hostWorkflowId, restartWorkflowId, type HostId, type ProductName, type RunId } from '../../domain/ids.ts';
import { certRenewalWorkflow, joinRestartUpdate, progressQuery, promotionWorkflow, restartBegan, serviceChangeWorkflow, serviceLookWorkflow, serviceRestartWorkflow, tryNowSignal, updateApplyWorkflow } from '../../domain/run/names.ts';
import type { RunProgress, RunReport } from '../../domain/run/report.ts';
import type { PromotionRequest } from '../../domain/promotion/request.ts';
import type { ServiceInspection } from '../../domain/service/inspection.ts';
import type { RestartRequest } from '../../domain/service/request.ts';
import { heldBy, runHeldBy, type RunStarter } from '../../ports/run-starter.ts';
import { createAsk } from './ask-server.ts';
import { createClient, foundBy, type ClientOptions } from './client.ts';
import { failureMessage } from './payload-codec.ts';

interface Options extends ClientOptions {
  /** The workflow that a run id belongs to, from the runs table; null where it is not known. */
  readonly workflowIdOf: (runId: RunId) => Promise<string | null>;
  /** Whether the run's report is written: then its workflow is about to close, and whoever asks for the next run should not be refused for it. */
  readonly hasReported: (runId: RunId) => Promise<boolean>;
}

/** How long a run that has reported may take to close. */
const closingPatienceMs = 5_000;
const closingPauseMs = 50;
/** How long a request may look for the restart that it belongs to, between one that has begun and the next. */
const joinPatienceMs = 15_000;
/** A host that does not say how its services are within this long is away. */
const lookLimitMs = 9_000;
/** Where a run stands is asked so often, each time for so long. */
const progressTries = 2;
const progressLimitMs = 1_500;

/** Starts and watches runs on a Temporal server. */
export function createTemporalRunStarter({ connection, address, namespace, codec = null, interceptors = {}, workflowIdOf, hasReported, workflowTaskTimeoutMs }: Options): RunStarter {
  const client = createClient({ connection, namespace, codec, interceptors });
  const ask = createAsk(connection, address);

  async function handleOf(runId: RunId) {
    const workflowId = await workflowIdOf(runId);
    if (workflowId === null) return null;
    return (await handedOver(workflowId, runId)) ?? client.workflow.getHandle(workflowId, runId);
  }

  /** A restart or a renewal that has got its host goes on under the host's workflow id, whose memo names the run; null for every other run, and before. */
  async function handedOver(workflowId: string, runId: RunId) {
    const [what, host, product] = workflowId.split('/');
    if (what !== 'restart' && what !== 'certificate') return null;
    try {
      const holder = await ask(() => client.workflow.getHandle(hostWorkflowId(host as HostId, product as ProductName)).describe());
      return runOf(holder) === runId ? client.workflow.getHandle(holder.workflowId, holder.runId) : null;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  }

  async function start(workflow: string, request: Asked, said: { readonly summary: string; readonly details: string }, workflowId = hostWorkflowId(request.host, request.product), patienceMs = closingPatienceMs): Promise<{ runId: RunId; workflowId: string }> {
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
          typedSearchAttributes: foundBy({ host: request.host, product: request.product, release: request.releaseId }),
        }),
      );
      return { runId: handle.firstExecutionRunId as RunId, workflowId };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const holder = await ask(() => client.workflow.getHandle(workflowId).describe());
      const holdingRun = runOf(holder);
      if ((holder.memo as { requestId?: string } | undefined)?.requestId === request.requestId) return { runId: holdingRun, workflowId };
      if (patienceMs > 0 && (await hasReported(holdingRun))) {
        await sleep(closingPauseMs);
        return start(workflow, request, said, workflowId, patienceMs - closingPauseMs);
      }
      throw new FairleadError({
        class: 'request',
        code: 'run_in_progress',
        message: `${workflowId} is ${heldBy(holdingRun)}, since ${holder.startTime.toISOString()}: one run at a time may change a product on a host.`,
        hint: `Watch it: fairlead runs watch ${holdingRun}. Roll it back: fairlead runs cancel ${holdingRun}.`,
      });
    }
  }

  /**
   * One call starts the gathering or joins it. A restart that has just begun turns the request away, and closes in the next moment: asked again then, the
   * next one is started. Each try has an update id of its own, because the same one would get the same refusal.
   */
  async function joinRestart(request: RestartRequest): Promise<{ runId: RunId; workflowId: string; joined: boolean }> {
    const workflowId = restartWorkflowId(request.host, request.product, request.service);
    const deadline = Date.now() + joinPatienceMs;
    for (let attempt = 1; ; attempt += 1) {
      const startWorkflowOperation = new WithStartWorkflowOperation(serviceRestartWorkflow, {
        workflowId,
        taskQueue: controlTaskQueue,
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        args: [request],
        workflowTaskTimeout: workflowTaskTimeoutMs,
        memo: { requestId: request.requestId, requestedBy: request.requestedBy },
        staticSummary: `restart ${request.service} of ${request.product} on ${request.host}`,
        staticDetails: `First asked for by ${request.requestedBy}. Gathers requests and waits for its turn on the host.`,
        typedSearchAttributes: foundBy({ host: request.host, product: request.product, release: request.releaseId }),
      });
      try {
        const joined = await ask(
          () => client.workflow.executeUpdateWithStart<() => Promise<unknown>, { runId: RunId; joined: boolean }, [RestartRequest]>(joinRestartUpdate, { updateId: `${request.requestId}-${attempt}`, args: [request], startWorkflowOperation }),
          joinPatienceMs,
        );
        return { ...joined, workflowId };
      } catch (error) {
        startWorkflowOperation.workflowHandle().catch(() => undefined); // It fails with the call, and nobody waits for it.
        if (!isTurnedAway(error) || Date.now() >= deadline) throw error;
        await sleep(closingPauseMs);
      }
    }
  }

  return {
    startUpdate: (request) =>
      start(updateApplyWorkflow, request, { summary: `${request.product} ${request.releaseId} on ${request.host}`, details: `Asked for by ${request.requestedBy}. Strategy ${request.strategy}.` }),
    startPromotion: (request) =>
      start(promotionWorkflow, request, { summary: `promotion of ${request.product} on ${request.host}`, details: `Asked for by ${request.requestedBy}, on release ${request.releaseId}.` }),

    startServiceChange: (request) =>
      start(serviceChangeWorkflow, request, { summary: `${request.action} ${request.service} of ${request.product} on ${request.host}`, details: `Asked for by ${request.requestedBy}.` }),
    joinRestart,

    async startCertificate(request) {
      const { action, host, product, wish } = request;
      const workflowId = certificateWorkflowId(host, product);
      const said = { summary: `${action} certificate ${wish.names[0]} of ${product} on ${host}`, details: `Asked for by ${request.requestedBy}, of ${wish.issuer.name}.` };
      try {
        return { ...(await start(certRenewalWorkflow, request, said, workflowId)), joined: false };
      } catch (error) {
        const holding = error instanceof FairleadError && error.reason.code === 'run_in_progress' ? runHeldBy(error.message) : null;
        if (holding === null || action !== 'renew') throw error;
        await ask(() => client.workflow.getHandle(workflowId, holding).signal(tryNowSignal)).catch((cause: unknown) => (cause instanceof WorkflowNotFoundError ? undefined : Promise.reject(cause)));
        return { runId: holding, workflowId, joined: true };
      }
    },

    async askServices(host, product) {
      try {
        return await ask(
          () =>
            client.workflow.execute(serviceLookWorkflow, {
              workflowId: `look/${host}/${product}/${randomUUID()}`,
              taskQueue: controlTaskQueue,
              args: [{ host, product }],
              workflowExecutionTimeout: lookLimitMs,
              staticSummary: `services of ${product} on ${host}`,
              typedSearchAttributes: foundBy({ host, product }),
            }) as Promise<ServiceInspection>,
          lookLimitMs + 1_000,
        );
      } catch {
        return null; // Host, worker or server: whoever is away, nobody could be asked.
      }
    },

    async progress(runId) {
      const handle = await handleOf(runId);
      if (handle === null) return null;
      for (let asked = 1; ; asked += 1) {
        try {
          return await ask(() => handle.query<RunProgress>(progressQuery), progressLimitMs);
        } catch (error) {
          // The server holds a query that no worker takes until its limit, and whoever asked with it: asked anew, it finds one that is there again.
          if (error instanceof FairleadError && asked < progressTries) continue;
          // A worker that is away cannot answer queries, and a run that was removed has nothing to say: the stored row still stands.
          if (error instanceof FairleadError || isUnanswerable(error)) return null;
          throw error;
        }
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
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        // It has ended, and there is nothing left to cancel; or it has just been handed over.
        const now = await handleOf(runId);
        if (now !== null && now.workflowId !== handle.workflowId) await ask(() => now.cancel()).catch((cause: unknown) => (cause instanceof WorkflowNotFoundError ? undefined : Promise.reject(cause)));
      }
    },

    async pending(runId) {
      const handle = await handleOf(runId);
      if (handle === null) return [];
      try {
        const { raw } = await ask(() => handle.describe());
        return await Promise.all(
          (raw.pendingActivities ?? []).map(async (activity) => ({
            activity: activity.activityType?.name ?? '',
            attempt: activity.attempt ?? 1,
            lastError: await failureMessage(codec, activity.lastFailure),
            nextAttemptAt: activity.nextAttemptScheduleTime ? isoOf(activity.nextAttemptScheduleTime) : null,
          })),
        );
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

/** What every request of a run on one host says. */
type Asked = Pick<PromotionRequest, 'host' | 'product' | 'releaseId' | 'requestedBy' | 'requestId'>;

/** The run that an execution carries out: its own, unless it was handed one. */
const runOf = ({ runId, memo }: { readonly runId: string; readonly memo?: Record<string, unknown> | undefined }): RunId => ((memo as { runId?: string } | undefined)?.runId ?? runId) as RunId;

/** The restart has begun, or its gathering closed while the request was on its way: there is, or will be, another one. */
function isTurnedAway(error: unknown): boolean {
  if (error instanceof WorkflowNotFoundError) return true;
  if (error instanceof WorkflowUpdateFailedError) return error.cause instanceof ApplicationFailure && (error.cause.type === restartBegan || error.cause.type === 'AcceptedUpdateCompletedWorkflow');
  for (let at = error; at instanceof Error; at = at.cause as Error) if ((at as { code?: unknown }).code === 10) return true; // ABORTED (grpc/status)
  return false;
}

const unknownRun = (runId: RunId): FairleadError =>
  new FairleadError({ class: 'request', code: 'run_unknown', message: `There is no run ${runId}.`, hint: 'See the runs there are: fairlead runs list' });

function isUnanswerable(error: unknown): boolean {
  const name = error instanceof Error ? error.name : '';
  return error instanceof WorkflowNotFoundError || name === 'QueryNotRegisteredError' || name === 'QueryRejectedError' || name === 'ServiceError';
}

function isoOf(time: { seconds?: unknown; nanos?: number | null }): string {
  return new Date(Number(time.seconds ?? 0) * 1000 + Number(time.nanos ?? 0) / 1e6).toISOString();
}
