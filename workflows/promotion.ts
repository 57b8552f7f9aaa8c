import { planPromotion } from '../src/domain/promotion/plan.ts';
import type { PromotionRequest } from '../src/domain/promotion/request.ts';
import type { RunReport } from '../src/domain/run/report.ts';
import type { RunTiming } from './support/host-calls.ts';
import { runOnHost } from './support/host-run.ts';

/** Takes a host from its setup phase to the installed one, or back to a working setup. Asked again afterwards, it finds nothing to do. */
export async function promotion(request: PromotionRequest, timing: Partial<RunTiming> = {}): Promise<RunReport> {
  return runOnHost({ kind: 'promotion', request, timing, decide: planPromotion });
}
