import type { Rollout, RolloutHost as RolloutHostAnswer } from '../contract/index.ts';
import type { RolloutId } from '../domain/ids.ts';
import { rolloutWorkflowId } from '../domain/ids.ts';
import { noHosts } from '../domain/rollout/outcome.ts';
import type { RolloutStanding } from '../domain/rollout/standing.ts';
import type { RolloutHost, RolloutRow } from '../ports/rollout-store.ts';
import type { ApiServerSettings } from './dependencies.ts';
import { temporalUiOf } from './links.ts';

/** Where a rollout can be followed. */
export const rolloutLinksOf = (settings: ApiServerSettings, rolloutId: RolloutId): Rollout['links'] => ({
  self: `/api/rollouts/${rolloutId}`,
  hosts: `/api/rollouts/${rolloutId}/hosts`,
  events: `/api/rollouts/${rolloutId}/events`,
  temporalUi: temporalUiOf(settings, rolloutWorkflowId(rolloutId), null),
});

/** @param standing newer than the stored one, where its workflow could be asked */
export function rolloutAnswer(row: RolloutRow, settings: ApiServerSettings, standing: RolloutStanding | null = null): Rollout {
  const now = standing ?? row.standing;
  const { rolloutId, product, releaseId, requestedBy, requestedAt, endedAt, outcome, ok, reason, warnings, outline, request } = row;
  return {
    rolloutId,
    product,
    releaseId,
    requestedBy,
    requestedAt,
    endedAt,
    outcome,
    ok,
    reason,
    strategy: request.strategy as Rollout['strategy'],
    waves: (outline?.waves ?? []).map(({ number, role, hosts }, place) => ({ number, role, hosts, counts: now.counts[place] ?? noHosts })),
    scope: outline?.scope ?? null,
    unchanged: outline?.unchanged ?? null,
    skipped: outline?.skipped ?? null,
    warnings: [...warnings],
    standing: { ...now, counts: [...now.counts] },
    links: rolloutLinksOf(settings, rolloutId),
  };
}

export const rolloutHostAnswer = ({ observed, ...host }: RolloutHost): RolloutHostAnswer => ({ ...host, verification: observed, recovery: host.recovery as RolloutHostAnswer['recovery'] });
