import { proxyActivities } from '@temporalio/workflow';
import type { Done } from '../activities/host/index.ts';
import { hostTaskQueue, type HostId, type ProductName } from '../src/domain/ids.ts';
import type { ServiceInspection } from '../src/domain/service/inspection.ts';

/** Asks a host once what its services are now. No run: it changes nothing, leaves no row, and a host that does not answer in seconds is told as such. */
export async function serviceLook(input: { readonly host: HostId; readonly product: ProductName }): Promise<ServiceInspection> {
  const { inspectServices } = proxyActivities<{ inspectServices(asked: { product: ProductName }): Promise<Done<ServiceInspection>> }>({
    taskQueue: hostTaskQueue(input.host),
    scheduleToStartTimeout: '3s',
    startToCloseTimeout: '4s',
    summary: 'look at the services',
    retry: { maximumAttempts: 1 },
  });
  return (await inspectServices({ product: input.product })).value;
}
