import type { HostId, ReleaseId } from '../../src/domain/ids.ts';
import { failuresBorne, type FailureBudget } from '../../src/domain/rollout/budget.ts';
import type { HostOutcome, RolloutOutcome } from '../../src/domain/rollout/outcome.ts';
import type { FailurePolicy } from '../../src/domain/rollout/request.ts';

export interface Checked {
  readonly budget: FailureBudget;
  readonly policy: FailurePolicy;
  readonly maxParallel: number;
  readonly outcome: RolloutOutcome | null;
  readonly ok: boolean | null;
  /** As the database has them when the rollout has ended. */
  readonly rows: readonly { readonly host: HostId; readonly outcome: HostOutcome | null }[];
  /** What the hosts themselves have seen. */
  readonly hosts: ReadonlyMap<HostId, { readonly begun: readonly ReleaseId[]; readonly mostRestarts: number; readonly active: ReleaseId | null }>;
  readonly fated: ReadonlySet<HostId>;
  readonly from: ReleaseId;
  readonly to: ReleaseId;
  /** The most runs that were open at the same time. */
  readonly mostAtOnce: number;
}

/** What does not hold of a rollout that has ended, in words; empty where everything does. */
export function problemsOf(c: Checked): string[] {
  const problems: string[] = [];
  const demand = (holds: boolean, problem: string): void => void (holds || (problems.length < 20 && problems.push(problem)));
  const failed = c.rows.filter(({ outcome }) => outcome === 'rolled_back').length;
  const borne = failuresBorne(c.budget, c.rows.length);
  const halts = c.fated.size > borne;

  demand(c.rows.length === c.hosts.size, `${c.rows.length} hosts were planned, ${c.hosts.size} are there`);
  demand(c.mostAtOnce <= c.maxParallel, `${c.mostAtOnce} hosts were changed at once, ${c.maxParallel} may be`);
  for (const { host, outcome } of c.rows) {
    const seen = c.hosts.get(host);
    const forward = seen?.begun.filter((releaseId) => releaseId === c.to).length ?? 0;
    const fated = c.fated.has(host);
    demand(forward === (outcome === null ? 0 : 1), `${host} ended as ${outcome} after ${forward} runs to ${c.to}`);
    demand((seen?.mostRestarts ?? 0) <= 1, `an instance of ${host} was restarted ${seen?.mostRestarts} times on one release`);
    demand(outcome === null ? halts : fated === (outcome === 'rolled_back'), `${host}, on which ${c.to} ${fated ? 'fails' : 'works'}, ended as ${outcome}`);
    demand(seen?.active === (outcome === 'updated' ? c.to : c.from), `${host} ended as ${outcome} and runs ${seen?.active}`);
    if (outcome === 'returned') demand(seen?.begun.includes(c.from) === true, `${host} is said to have been brought back, and was not asked to`);
  }
  if (!halts) {
    demand(c.outcome === (c.fated.size === 0 ? 'succeeded' : 'partial') && c.ok === (c.fated.size === 0), `it ended as ${c.outcome}, ok ${c.ok}`);
  } else {
    demand(c.outcome === 'failed' || c.outcome === 'rolled_back', `it ended as ${c.outcome} although its budget of ${borne} failures is spent`);
    // Those that were in flight when the budget was spent come to their own end.
    demand(failed > borne && failed <= borne + c.maxParallel, `${failed} hosts failed; ${borne} may, and ${c.maxParallel} are in flight at once`);
    const left = c.rows.filter(({ outcome }) => outcome === 'updated').length;
    demand(c.policy !== 'roll-back-all' || left === 0, `${left} hosts are left on ${c.to}, and all were to be brought back`);
  }
  return problems;
}

/** The most intervals that hold one instant. An end at the time of a beginning comes first. */
export function mostAtOnce(intervals: readonly { readonly from: number; readonly to: number }[]): number {
  const marks = intervals.flatMap(({ from, to }) => [{ at: from, by: 1 }, { at: to, by: -1 }]).sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  return marks.reduce((most, { by }) => Math.max(most, (now += by)), 0);
}
