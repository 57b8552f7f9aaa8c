import type { Rollout, RolloutHost, RolloutHostList, RunDetail } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import { query } from '../verbs/shared.ts';

/** What a rollout ends with, for programs: `ok` is true only when every host in scope was observed on the release. */
export interface RolloutResult {
  readonly ok: boolean;
  readonly rolloutId: string;
  readonly product: string;
  readonly releaseId: string;
  readonly outcome: Rollout['outcome'];
  readonly reason: Rollout['reason'];
  readonly hosts: readonly {
    readonly host: string;
    readonly role: string;
    readonly artifactRole: string;
    readonly artifactProfile: string | null;
    readonly from: string | null;
    readonly to: string;
    readonly outcome: RolloutHost['outcome'];
    readonly reason: RolloutHost['reason'];
    readonly verification: RolloutHost['verification'];
    readonly recovery: RolloutHost['recovery'];
    readonly runId: string | null;
  }[];
}

/** Every host of a rollout, page by page. */
export async function allHosts(api: ApiClient, rolloutId: string): Promise<RolloutHost[]> {
  const hosts: RolloutHost[] = [];
  for (let after: string | undefined; ; ) {
    const page: RolloutHostList = await api.get<RolloutHostList>(`/api/rollouts/${rolloutId}/hosts${query({ limit: 1_000, after })}`);
    hosts.push(...page.hosts);
    if (page.nextAfter === null) return hosts;
    after = page.nextAfter;
  }
}

export function resultOf(rollout: Rollout, hosts: readonly RolloutHost[]): RolloutResult {
  return {
    ok: rollout.ok === true,
    rolloutId: rollout.rolloutId,
    product: rollout.product,
    releaseId: rollout.releaseId,
    outcome: rollout.outcome,
    reason: rollout.reason,
    hosts: hosts.map(({ host, role, artifactRole, artifactProfile, fromReleaseId, toReleaseId, outcome, reason, verification, recovery, runId }) => ({ host, role, artifactRole, artifactProfile, from: fromReleaseId, to: toReleaseId, outcome, reason, verification, recovery, runId })),
  };
}

/** The runs of hosts that are being changed, a few at most: what the tree shows of them. */
export async function openRuns(api: ApiClient, hosts: readonly RolloutHost[], most = 20): Promise<Map<string, RunDetail>> {
  const ids = hosts.flatMap(({ openRunId, outcome }) => (openRunId !== null && outcome === null ? [openRunId] : [])).slice(0, most);
  const runs = await Promise.all(ids.map((id) => api.get<RunDetail>(`/api/runs/${id}`).catch(() => null)));
  return new Map(runs.flatMap((run) => (run === null ? [] : [[run.run.runId, run] as const])));
}
