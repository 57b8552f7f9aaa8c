import { ParentClosePolicy, startChild, workflowInfo, type ChildWorkflowHandle } from '@temporalio/workflow';
import { rolloutWorkflowId } from '../../src/domain/ids.ts';
import type { RolloutAction } from '../../src/domain/rollout/decide.ts';
import type { RolloutInput, ShardInput, ShardReport } from '../../src/domain/rollout/names.ts';
import { rolloutShard } from '../rollout-shard.ts';
import { attributesOf } from './search-attributes.ts';

/** Starts the workflow of a shard. @param started called when it can be told orders @returns how it ended */
export async function startShard({ rolloutId, request }: RolloutInput, action: Extract<RolloutAction, { do: 'start-shard' }>, started: (handle: ChildWorkflowHandle<typeof rolloutShard>) => void): Promise<ShardReport> {
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
