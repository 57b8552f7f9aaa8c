import type { RunSummary } from '../contract/index.ts';
import type { RunRow } from '../ports/control-stores.ts';

/** A run without its report, for lists. */
export function summaryOf(run: RunRow): RunSummary {
  const { report: _report, ...summary } = run;
  return summary;
}
