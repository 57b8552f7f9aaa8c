import { ParentClosePolicy, proxyActivities, setCurrentDetails, startChild } from '@temporalio/workflow';
import type { Prefetch, ReleaseCheckActivities } from '../activities/control/release-checks.ts';
import type { Done } from '../activities/host/index.ts';
import type { RolloutInput } from '../src/domain/rollout/names.ts';
import { controlTaskQueue, hostTaskQueue, hostWorkflowId, rolloutWorkflowId } from '../src/domain/ids.ts';
import type { UpdateRequest } from '../src/domain/update/request.ts';
import { fleetRollout } from './fleet-rollout.ts';
import { isBegun } from './support/begin.ts';
import { attributesOf } from './support/search-attributes.ts';
import { updateApply } from './update-apply.ts';

/** What a check has found, and begun. */
export interface ReleaseCheckResult {
  readonly looked: number;
  readonly current: number;
  readonly noted: number;
  /** `host/product release` of the updates that it started. */
  readonly updates: readonly string[];
  readonly rollouts: readonly string[];
  readonly downloaded: readonly string[];
  /** Hosts that did not fetch what they were to; the next check asks again. */
  readonly away: readonly string[];
}

const checkCalls = proxyActivities<ReleaseCheckActivities>({
  taskQueue: controlTaskQueue,
  startToCloseTimeout: '5m',
  heartbeatTimeout: '10s',
  summary: 'look for newer releases',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' },
});

/** Looks for newer releases of every product on every host, and does about each what its policy says. Started by a schedule; may be triggered at any time. */
export async function releaseCheck(): Promise<ReleaseCheckResult> {
  const { looked, current, noted, ...due } = await checkCalls.checkReleases();
  const [updates, rollouts, downloaded, away]: [string[], string[], string[], string[]] = [[], [], [], []];
  // Where another run holds the host, or the rollout is there, the next check looks again.
  for (const update of due.updates) if (await isBegun(() => startUpdate(update))) updates.push(`${update.host}/${update.product} ${update.releaseId}`);
  for (const rollout of due.rollouts) if (await isBegun(() => startRollout(rollout))) rollouts.push(`${rollout.request.product} ${rollout.request.releaseId}`);
  await Promise.all(due.downloads.map(async (wanted) => ((await fetched(wanted)) ? downloaded : away).push(`${wanted.host}/${wanted.product} ${wanted.artifact.releaseId}`)));
  setCurrentDetails(`${looked} looked at, ${current} current, ${noted} noted; begun: ${[...updates, ...rollouts].join(', ') || 'nothing'}; fetched: ${downloaded.join(', ') || 'nothing'}`);
  return { looked, current, noted, updates, rollouts, downloaded, away };
}

/** Both go on by themselves: what a check has begun is no longer its business. */
const startUpdate = (request: UpdateRequest) =>
  startChild(updateApply, {
    workflowId: hostWorkflowId(request.host, request.product),
    args: [request],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    memo: { requestId: request.requestId, requestedBy: request.requestedBy },
    staticSummary: `${request.product} to ${request.releaseId} on ${request.host}`,
    typedSearchAttributes: attributesOf({ host: request.host, product: request.product, release: request.releaseId }),
  });

const startRollout = (input: RolloutInput) =>
  startChild(fleetRollout, {
    workflowId: rolloutWorkflowId(input.rolloutId),
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    args: [input],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    memo: { requestId: input.request.requestId, requestedBy: input.request.requestedBy },
    staticSummary: `${input.request.product} ${input.request.releaseId} across the fleet`,
    typedSearchAttributes: attributesOf({ product: input.request.product, release: input.request.releaseId }),
  });

async function fetched({ host, product, artifact }: Prefetch): Promise<boolean> {
  const { prefetchBundle } = proxyActivities<{ prefetchBundle(wanted: Omit<Prefetch, 'host'>): Promise<Done<unknown>> }>({
    taskQueue: hostTaskQueue(host),
    scheduleToStartTimeout: '30s',
    startToCloseTimeout: '6h',
    heartbeatTimeout: '60s',
    summary: `fetch ${artifact.releaseId}`,
    retry: { maximumAttempts: 3 },
  });
  try {
    await prefetchBundle({ product, artifact });
    return true;
  } catch {
    return false;
  }
}
