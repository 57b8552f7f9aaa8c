import type { Reason } from '../../src/domain/failure.ts';
import { hostWorkflowId, type HostId, type ProductName, type RunId } from '../../src/domain/ids.ts';
import type { RunKind } from '../../src/domain/run/kind.ts';
import type { ServicePlan } from '../../src/domain/service/plan.ts';
import type { ServiceRequest } from '../../src/domain/service/request.ts';
import { serviceStepTitle } from '../../src/domain/service/step.ts';
import type { ControlDependencies } from './runs.ts';

/** Which rows of the run list are looked at for the run that holds a host. */
const lookedAt = 50;

/** What runs about services need of PostgreSQL beside `createControlActivities`. Every one is idempotent by the run's id. */
export function createServiceRunActivities({ runs, audit, now }: ControlDependencies) {
  return {
    /** Registers the run. Its fence is that of now: a run that waits for its turn takes a newer one when it has it. */
    async openServiceRun(input: { readonly runId: RunId; readonly workflowId: string; readonly kind: RunKind; readonly request: ServiceRequest; readonly requestedAt: string }): Promise<{ fence: number }> {
      const { runId, workflowId, kind, request, requestedAt } = input;
      const { host, product, releaseId, requestedBy } = request;
      return runs.open({ runId, workflowId, kind, host, product, toReleaseId: releaseId, requestedBy, requestedAt });
    },

    /** The run has the host's lock now: a fencing token above those of all that had it while this one waited. Asked again it gives a higher one, which does no harm. */
    async takeFence(input: { readonly runId: RunId }): Promise<{ fence: number }> {
      return runs.renewFence(input.runId);
    },

    /** The run that holds the host, as far as the run list tells; null where it does not. For the sentence that says what is waited for. */
    async holderOf(input: { readonly host: HostId; readonly product: ProductName; readonly but: RunId }): Promise<{ runId: RunId; kind: RunKind; since: string } | null> {
      const rows = await runs.list({ host: input.host, product: input.product, limit: lookedAt });
      const open = rows.filter(({ runId, endedAt }) => endedAt === null && runId !== input.but);
      // One under the host's own workflow id has the lock; of the others one that has begun its steps.
      let holder = open.find(({ workflowId }) => workflowId === hostWorkflowId(input.host, input.product));
      for (const row of holder ? [] : open) {
        const story = await runs.events(row.runId, 0, 200);
        if (story.some(({ kind }) => kind === 'step_started')) holder = row;
      }
      return holder ? { runId: holder.runId, kind: holder.kind, since: holder.requestedAt } : null;
    },

    /** The audit row that stands before the first change. */
    async recordServiceIntent(input: { readonly runId: RunId; readonly request: ServiceRequest; readonly plan: ServicePlan; readonly requestIds: readonly string[] }): Promise<void> {
      const { runId, request, plan, requestIds } = input;
      const { action, service, releaseId, phase, steps } = plan;
      const detail = { action, service, releaseId, phase, requestIds, steps: steps.map(serviceStepTitle) };
      const entry = { at: now().toISOString(), event: 'run.intended', actor: request.requestedBy, subject: hostWorkflowId(request.host, request.product), runId, detail };
      await audit.append(entry, `${runId}/intended`);
    },

    /** The audit row that stands before the first step back. */
    async recordServiceUndo(input: { readonly runId: RunId; readonly request: ServiceRequest; readonly failedStep: string; readonly reason: Reason; readonly steps: readonly string[] }): Promise<void> {
      const { runId, request, failedStep, reason, steps } = input;
      const entry = { at: now().toISOString(), event: 'run.undo_intended', actor: 'fairlead', subject: hostWorkflowId(request.host, request.product), runId, detail: { failedStep, reason, steps } };
      await audit.append(entry, `${runId}/undo_intended`);
    },
  };
}

export type ServiceRunActivities = ReturnType<typeof createServiceRunActivities>;
