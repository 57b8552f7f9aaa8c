import type { UpdatePlanAnswer } from '../contract/index.ts';
import type { HostId, ProductName, ReleaseId } from '../domain/ids.ts';
import type { PlanDecision } from '../domain/update/plan.ts';

export interface PlannedRun {
  readonly host: HostId;
  readonly product: ProductName;
  readonly decision: PlanDecision;
  readonly activeReleaseId: ReleaseId | null;
  readonly observedAt: string;
}

/** A decision as the API tells it. */
export function planAnswer({ host, product, decision, activeReleaseId, observedAt }: PlannedRun): UpdatePlanAnswer {
  const plan = decision.kind === 'apply' ? decision.plan : null;
  return {
    host,
    product,
    decision: decision.kind,
    plan: plan && { ...plan, steps: [...plan.steps], instancesBefore: [...plan.instancesBefore], instancesAfter: [...plan.instancesAfter], warnings: [...plan.warnings] },
    activeReleaseId,
    reason: decision.kind === 'refuse' ? decision.reason : null,
    observedAt,
  };
}
