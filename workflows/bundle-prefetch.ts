import { CancellationScope, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { ReleaseCheckActivities } from '../activities/control/release-checks.ts';
import type { Done } from '../activities/host/index.ts';
import type { Reason } from '../src/domain/failure.ts';
import { controlTaskQueue, hostTaskQueue, type ProductName } from '../src/domain/ids.ts';
import type { ArtifactRef } from '../src/domain/bundle/artifact.ts';
import { prefetchLimitMs, type PrefetchEnd, type PrefetchRequest } from '../src/domain/update/prefetch.ts';
import { isCancel, readFailure } from './support/failures.ts';
import { showOutcome } from './support/search-attributes.ts';

const { notePrefetch } = proxyActivities<Pick<ReleaseCheckActivities, 'notePrefetch'>>({
  taskQueue: controlTaskQueue,
  startToCloseTimeout: '1m',
  summary: 'note what came of it',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' },
});

const cancelled: Reason = { class: 'request', code: 'cancelled', message: 'The download was cancelled.', hint: 'What has come so far stays on the host: fairlead update download goes on from there.' };

/**
 * Has a host fetch and verify a bundle ahead of its update. No run: nothing that runs on the host is changed, and it needs no lock. A host that is away is waited for, as is a controller that it
 * cannot reach; the activity itself takes its turn among those of runs.
 */
export async function bundlePrefetch(request: PrefetchRequest): Promise<PrefetchEnd> {
  const { host, product, artifact } = request;
  const { prefetchBundle } = proxyActivities<{ prefetchBundle(wanted: { readonly product: ProductName; readonly artifact: ArtifactRef }): Promise<Done<{ readonly bytes: number }>> }>({
    taskQueue: hostTaskQueue(host),
    scheduleToCloseTimeout: prefetchLimitMs,
    startToCloseTimeout: '6h',
    heartbeatTimeout: '30s',
    summary: `fetch ${artifact.releaseId}`,
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
  });
  let end: PrefetchEnd;
  try {
    const { value } = await prefetchBundle({ product, artifact });
    end = { outcome: 'fetched', bytes: value.bytes, reason: null };
  } catch (error) {
    end = { outcome: 'failed', bytes: 0, reason: isCancel(error, CancellationScope.current().consideredCancelled) ? cancelled : readFailure(error, 'download', host).reason };
  }
  return CancellationScope.nonCancellable(async () => {
    setCurrentDetails(end.reason === null ? `**fetched**: ${end.bytes} bytes` : `**failed**: ${end.reason.message}`);
    showOutcome(end.outcome);
    await notePrefetch({ request, end, execution: workflowInfo().runId });
    return end;
  });
}
