import type { RunReport } from '../src/domain/run/report.ts';
import { planUpdate } from '../src/domain/update/plan.ts';
import type { UpdateRequest } from '../src/domain/update/request.ts';
import type { RunTiming } from './support/host-calls.ts';
import { runOnHost, type RunAnswer } from './support/host-run.ts';

/** Applies a release on one host and proves it, or brings the host back. */
export async function updateApply(request: UpdateRequest, timing: Partial<RunTiming> = {}, answer: RunAnswer = 'whole'): Promise<RunReport> {
  return runOnHost({ kind: 'update-apply', request, timing, decide: planUpdate, answer });
}
