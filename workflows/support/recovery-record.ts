import type { ReleaseId, RunId } from '../../src/domain/ids.ts';
import type { PromotionRequest } from '../../src/domain/promotion/request.ts';
import type { RecoveryRecord } from '../../src/domain/run/report.ts';
import type { UpdatePlan } from '../../src/domain/update/plan.ts';
import type { UpdateState } from '../../src/domain/update/state.ts';
import type { StepStopped } from './run-course.ts';

interface About {
  readonly runId: RunId;
  readonly request: PromotionRequest;
  readonly backupPath: string | null;
}

/** What is known of a stranded host that could not be asked: what the run knows. */
export const strandedUnasked = ({ runId, request }: About, at: Extract<UpdateState, { phase: 'Stranded' }>): RecoveryRecord => ({
  schema: 1,
  runId,
  host: request.host,
  product: request.product,
  backupPath: at.backupPath,
  failedStep: at.failedStep,
  attemptedReleaseId: at.target,
  lastGoodReleaseId: at.lastGood,
  activeReleaseId: null,
  undone: at.undone,
  stuckAt: at.stuckAt,
  reason: at.stuckReason,
  instances: [],
  commands: [`fairlead recover --product ${request.product} --run ${runId}`],
});

/** Of a host that came back by itself and was verified: where the backup lies all the same, and nothing that is left to do. */
export function cameBack({ runId, request, backupPath }: About, plan: UpdatePlan, { step, reason }: StepStopped, undone: readonly string[]): RecoveryRecord {
  const from: ReleaseId | null = plan.fromReleaseId;
  return {
    schema: 1,
    runId,
    host: request.host,
    product: request.product,
    backupPath,
    failedStep: step,
    attemptedReleaseId: request.releaseId,
    lastGoodReleaseId: from,
    activeReleaseId: from,
    undone,
    stuckAt: '',
    reason,
    instances: plan.instancesBefore.map((name) => ({ name, status: 'active', releaseId: from })),
    commands: [],
  };
}
