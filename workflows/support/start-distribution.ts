import { ParentClosePolicy, startChild } from '@temporalio/workflow';
import type { DistributionRequest } from '../../src/domain/certificate/distribution.ts';
import { certificateDistributionWorkflowId, type ReleaseId } from '../../src/domain/ids.ts';
import { certDistributionWorkflow } from '../../src/domain/run/names.ts';
import { isBegun } from './begin.ts';
import { attributesOf } from './search-attributes.ts';

/**
 * Has a certificate brought to the other hosts that serve it, where there are any, by a workflow of its own: whoever starts it is done. One that is under way finds what is there now,
 * or the next sweep does.
 * @param release that the ordering host runs
 * @returns whether one was started
 */
export async function startDistribution({ action, host, product, wish, requestedBy, requestId }: DistributionRequest, release: ReleaseId): Promise<boolean> {
  if ((wish.alsoOn ?? []).length === 0) return false;
  // By its name: the distribution starts renewals, and a renewal starts it.
  return isBegun(() =>
    startChild<(request: DistributionRequest) => Promise<unknown>>(certDistributionWorkflow, {
      workflowId: certificateDistributionWorkflowId(host, product),
      args: [{ action, host, product, wish, requestedBy, requestId }],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      memo: { requestId, requestedBy },
      staticSummary: `certificate ${wish.names[0]} of ${product}, from ${host} to ${wish.alsoOn?.join(', ')}`,
      typedSearchAttributes: attributesOf({ host, product, release }),
    }),
  );
}
