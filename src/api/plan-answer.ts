import type { UpdatePlanAnswer } from '../contract/index.ts';
import { issuingSteps } from '../domain/certificate/step.ts';
import type { HostId, ProductName, ReleaseId } from '../domain/ids.ts';
import type { PromotionCertificate } from '../domain/promotion/request.ts';
import type { PlanDecision } from '../domain/update/plan.ts';

export interface PlannedRun {
  readonly host: HostId;
  readonly product: ProductName;
  readonly decision: PlanDecision;
  readonly activeReleaseId: ReleaseId | null;
  readonly observedAt: string;
  /** Of a promotion that gets one. */
  readonly certificate?: PromotionCertificate | undefined;
}

/** A decision as the API tells it. */
export function planAnswer({ host, product, decision, activeReleaseId, observedAt, certificate }: PlannedRun): UpdatePlanAnswer {
  const plan = decision.kind === 'apply' ? decision.plan : null;
  return {
    host,
    product,
    decision: decision.kind,
    plan: plan && { ...plan, steps: [...plan.steps], instancesBefore: [...plan.instancesBefore], instancesAfter: [...plan.instancesAfter], warnings: [...plan.warnings] },
    activeReleaseId,
    ...(certificate === undefined ? {} : { certificate: told(certificate) }),
    reason: decision.kind === 'refuse' ? decision.reason : null,
    observedAt,
  };
}

const told = ({ wish, originPort }: PromotionCertificate) => ({
  names: [...wish.names],
  issuer: wish.issuer.name,
  challenge: wish.challenge.kind,
  obtaining: issuingSteps(originPort !== null).map(({ name }) => name),
});
