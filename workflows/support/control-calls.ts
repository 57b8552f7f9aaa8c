import { proxyActivities } from '@temporalio/workflow';
import type { CertificateDistributionActivities } from '../../activities/control/certificate-distributions.ts';
import type { CertificateRunActivities } from '../../activities/control/certificate-runs.ts';
import type { ControlActivities } from '../../activities/control/runs.ts';
import type { ServiceRunActivities } from '../../activities/control/service-runs.ts';
import { controlTaskQueue } from '../../src/domain/ids.ts';

/**
 * What the run needs of PostgreSQL. Never given up: the run's report must not be lost because a database is away for a night. While it
 * is, the pending activity shows its attempts, last error and next try.
 */
export const controlCalls = proxyActivities<ControlActivities & ServiceRunActivities & CertificateRunActivities & CertificateDistributionActivities>({
  taskQueue: controlTaskQueue,
  startToCloseTimeout: '30s',
  // The worker beats every second for each of them: one that was killed is noticed in three, not in thirty.
  heartbeatTimeout: '3s',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' },
});
