import { ParentClosePolicy, startChild, workflowInfo, type ChildWorkflowHandle } from '@temporalio/workflow';
import type { Reason } from '../../src/domain/failure.ts';
import { rolloutWorkflowId } from '../../src/domain/ids.ts';
import type { RolloutAction } from '../../src/domain/rollout/decide.ts';
import type { RolloutInput, ShardInput, ShardReport } from '../../src/domain/rollout/names.ts';
import { rolloutShard } from '../rollout-shard.ts';
import { saidBy } from './failures.ts';
import { attributesOf } from './search-attributes.ts';

type StartShard = Extract<RolloutAction, { do: 'start-shard' }>;

/** Why the shard's hosts are not at their end. On the way back no wave can be tried again. */
export function shardLost({ wave, shard: { number }, direction }: StartShard, error: unknown): Reason {
  if (direction === 'back') {
    const hint = 'Some of its hosts may still be on the release: see which by fairlead rollout status, and bring each back by fairlead update apply.';
    return { class: 'orchestrator', code: 'shard_not_returned', message: `Shard ${number} of wave ${wave} did not come to its end while its hosts were taken back: ${saidBy(error)}`, hint };
  }
  return { class: 'orchestrator', code: 'shard_lost', message: `Shard ${number} of wave ${wave} did not come to its end: ${saidBy(error)}`, hint: 'Retry takes its hosts up again.' };
}

/** Starts the workflow of a shard. @param started called when it can be told orders @returns how it ended */
export async function startShard({ rolloutId, request }: RolloutInput, action: StartShard, started: (handle: ChildWorkflowHandle<typeof rolloutShard>) => void): Promise<ShardReport> {
  const { wave, shard, direction, order } = action;
  const { strategy, onHost, allowFailed, requestedBy, product, releaseId } = request;
  const input: ShardInput = {
    rolloutId,
    product,
    wave,
    shard: shard.number,
    attempt: shard.attempt,
    from: shard.from,
    count: shard.count,
    direction,
    order,
    offline: strategy.offline,
    verifySeconds: strategy.verifySeconds,
    onHost,
    allowFailed,
    requestedBy,
  };
  const handle = await startChild(rolloutShard, {
    workflowId: `${rolloutWorkflowId(rolloutId)}/wave-${wave}${direction === 'back' ? '-back' : ''}/shard-${shard.number}-${shard.attempt}`,
    args: [input],
    // Whoever terminates a rollout wants no further host begun; those in flight come to their own end.
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    workflowTaskTimeout: workflowInfo().taskTimeoutMs,
    staticSummary: `${product} ${releaseId}: ${shard.count} hosts of wave ${wave}${direction === 'back' ? ', back' : ''}`,
    typedSearchAttributes: attributesOf({ product, release: releaseId }),
  });
  started(handle);
  return handle.result();
}
