import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import type { Reason } from '../../domain/failure.ts';
import { controlTaskQueue, prefetchWorkflowId, type HostId, type ProductName } from '../../domain/ids.ts';
import { bundlePrefetchWorkflow } from '../../domain/run/names.ts';
import { prefetchWaiting, type PrefetchEnd, type PrefetchRequest, type PrefetchStanding } from '../../domain/update/prefetch.ts';
import type { BundlePrefetcher } from '../../ports/bundle-prefetcher.ts';
import { createAsk } from './ask-server.ts';
import { createClient, foundBy, type ClientOptions } from './client.ts';
import { failureMessage } from './payload-codec.ts';

/** What the server keeps beside a prefetch, and answers without anybody's help. */
type Memo = Pick<PrefetchStanding, 'releaseId' | 'sha256' | 'sizeBytes' | 'requestedBy'> & { readonly requestId: string };
type Progress = NonNullable<PrefetchStanding['progress']>;

/** PENDING_ACTIVITY_STATE_STARTED (temporal.api.enums.v1.PendingActivityState). */
const startedState = 2;

/** Prefetches on a Temporal server: a workflow for each host and product, whose id is the lock. */
export function createTemporalBundlePrefetcher({ connection, address, namespace, codec = null, interceptors = {}, workflowTaskTimeoutMs }: ClientOptions): BundlePrefetcher {
  const client = createClient({ connection, namespace, codec, interceptors });
  const ask = createAsk(connection, address);

  async function start(request: PrefetchRequest, workflowIdConflictPolicy: 'FAIL' | 'TERMINATE_EXISTING'): Promise<void> {
    const { host, product, artifact, requestedBy, requestId } = request;
    const { releaseId, sha256, sizeBytes } = artifact;
    const memo: Memo = { releaseId, sha256, sizeBytes, requestedBy, requestId };
    await ask(() =>
      client.workflow.start(bundlePrefetchWorkflow, {
        workflowId: prefetchWorkflowId(host, product),
        taskQueue: controlTaskQueue,
        workflowIdConflictPolicy,
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        args: [request],
        workflowTaskTimeout: workflowTaskTimeoutMs,
        memo: { ...memo },
        staticSummary: `bring ${product} ${releaseId} to ${host}`,
        staticDetails: `Asked for by ${requestedBy}, ahead of the update.`,
        typedSearchAttributes: foundBy({ host, product, release: releaseId }),
      }),
    );
  }

  async function describe(host: HostId, product: ProductName): Promise<WorkflowExecutionDescription | null> {
    try {
      return await ask(() => client.workflow.getHandle(prefetchWorkflowId(host, product)).describe());
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  }

  return {
    async startPrefetch(request) {
      const { host, product, artifact } = request;
      const workflowId = prefetchWorkflowId(host, product);
      try {
        await start(request, 'FAIL');
        return { workflowId, joined: false, replaced: null };
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
      const open = await describe(host, product);
      const before = open?.status.name === 'RUNNING' ? memoOf(open) : null;
      if (before?.sha256 === artifact.sha256) return { workflowId, joined: true, replaced: null };
      await start(request, 'TERMINATE_EXISTING');
      return { workflowId, joined: false, replaced: before?.releaseId ?? null };
    },

    async cancelPrefetch(host, product) {
      const open = await describe(host, product);
      if (open?.status.name !== 'RUNNING') return null;
      try {
        await ask(() => client.workflow.getHandle(open.workflowId, open.runId).cancel());
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        return null; // It has just ended.
      }
      return memoOf(open).releaseId;
    },

    async findPrefetch(host, product) {
      const found = await describe(host, product);
      if (found === null) return null;
      const { releaseId, sha256, sizeBytes, requestedBy } = memoOf(found);
      const requestedAt = found.startTime.toISOString();
      const about = { workflowId: found.workflowId, releaseId, sha256, sizeBytes, requestedBy, requestedAt, endedAt: found.closeTime?.toISOString() ?? null };
      if (found.status.name === 'RUNNING') {
        const pending = found.raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'prefetchBundle');
        const isWorking = pending?.state === startedState;
        const waiting = isWorking ? null : prefetchWaiting(pending === undefined ? 'control' : 'host', host, requestedAt, await failureMessage(codec, pending?.lastFailure));
        return { ...about, state: isWorking ? 'running' : 'waiting', progress: await progressOf(pending?.heartbeatDetails?.payloads?.[0]), waiting, reason: null };
      }
      const end = found.status.name === 'COMPLETED' ? await ask(() => client.workflow.getHandle(found.workflowId, found.runId, { followRuns: false }).result() as Promise<PrefetchEnd>) : null;
      const { outcome, reason } = end ?? { outcome: 'failed' as const, reason: endedOutside(found.status.name) };
      return { ...about, state: outcome, progress: null, waiting: null, reason };
    },
  };

  /** What the host told with its last heartbeat; what does not open, or is something else, tells nothing. */
  async function progressOf(payload: Payload | null | undefined): Promise<Progress | null> {
    if (!payload) return null;
    try {
      const [opened] = codec === null ? [payload] : await codec.decode([payload]);
      const { what, done, total } = defaultPayloadConverter.fromPayload<Partial<Progress>>(opened as Payload);
      return typeof what === 'string' && typeof done === 'number' && typeof total === 'number' ? { what, done, total } : null;
    } catch {
      return null;
    }
  }
}

const memoOf = ({ memo }: WorkflowExecutionDescription): Memo => memo as unknown as Memo;

const endedOutside = (status: string): Reason => ({ class: 'orchestrator', code: 'prefetch_ended_outside', message: `The download was ended from outside: ${status.toLowerCase()}.`, hint: 'Ask for it again: fairlead update download' });
