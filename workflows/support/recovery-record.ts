import type { Reason } from '../../src/domain/failure.ts';
import type { ReleaseId, RunId } from '../../src/domain/ids.ts';
import type { PromotionRequest } from '../../src/domain/promotion/request.ts';
import type { RecoveryRecord } from '../../src/domain/run/report.ts';
import type { UpdatePlan } from '../../src/domain/update/plan.ts';
import type { StepStopped } from './run-course.ts';

interface About {
  readonly runId: RunId;
  readonly request: Pick<PromotionRequest, 'host' | 'product'>;
  readonly backupPath: string | null;
}

/** What a run knows of a host that it leaves stranded. */
export interface StrandedKnown extends About {
  readonly at: { readonly failedStep: string; readonly undone: readonly string[]; readonly stuckAt: string; readonly stuckReason: Reason };
  readonly attempted: ReleaseId;
  readonly lastGood: ReleaseId | null;
}

/** Has the host write its recovery files; one that cannot be reached has those that were written before its first change, and the record says what the run knows. */
export async function strand(ask: () => Promise<{ readonly value: RecoveryRecord }>, { runId, request, backupPath, at, attempted, lastGood }: StrandedKnown): Promise<RecoveryRecord> {
  try {
    return (await ask()).value;
  } catch {
    return {
      schema: 1,
      runId,
      host: request.host,
      product: request.product,
      backupPath,
      failedStep: at.failedStep,
      attemptedReleaseId: attempted,
      lastGoodReleaseId: lastGood,
      activeReleaseId: null,
      undone: at.undone,
      stuckAt: at.stuckAt,
      reason: at.stuckReason,
      instances: [],
      commands: [`fairlead recover --product ${request.product} --run ${runId}`],
    };
  }
}

/** How long a host has to write its recovery files, and how often it is asked. */
export const strandLimits = { startToCloseMs: 60_000, maximumAttempts: 5 } as const;

/** Of a host that came back by itself and was verified: where the backup lies all the same, and nothing that is left to do. */
export function cameBack({ runId, request, backupPath }: Omit<About, 'request'> & { readonly request: PromotionRequest }, plan: UpdatePlan, { step, reason }: StepStopped, undone: readonly string[]): RecoveryRecord {
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
