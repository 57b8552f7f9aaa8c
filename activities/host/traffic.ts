import type { InstanceName } from '../../src/domain/ids.ts';
import type { TierFigures } from '../../src/domain/update/gate.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { Command, HostDependencies, ReleaseCommand } from './dependencies.ts';
import { createServiceTraffic } from './service-traffic.ts';

export interface ShiftInput extends Command {
  readonly to: readonly InstanceName[];
  readonly from: readonly InstanceName[];
  readonly percent: number;
}
export interface MeasureInput extends ReleaseCommand {
  /** An instant, ISO 8601, by this host's clock. */
  readonly since: string;
}

export function createTrafficActivities(dependencies: HostDependencies) {
  const { store, releases, router, metrics, now } = dependencies;
  const { stateOf, applyRouter } = createServiceTraffic(dependencies);

  return {
    /** One change of the router: `percent` of the requests to `to`, the rest to `from`; at 100 the others get none. @returns when it was in force */
    async shiftTraffic({ run, to, from, percent }: ShiftInput): Promise<{ at: string }> {
      const state = await stateOf(run.product);
      const admitted = (name: string, was: boolean): boolean => (to.includes(name as InstanceName) ? true : from.includes(name as InstanceName) ? percent < 100 : was);
      const instances = Object.fromEntries(Object.entries(state.instances).map(([name, entry]) => [name, { ...entry, admitted: admitted(name, entry.admitted) }]));
      const next = { ...state, instances, split: percent < 100 ? { to, percent } : null, lastRunId: run.runId, updatedAt: now().toISOString() };
      await store.writeState(next);
      await applyRouter(next);
      return { at: now().toISOString() };
    },

    /** What went through since `since`, and what the manifest's query says. Changes nothing. */
    async measureTraffic({ run, releaseId, since }: MeasureInput, context: ActivityContext): Promise<TierFigures> {
      const { canary } = await releases.readManifest(run.product, releaseId);
      const measuredAt = now().toISOString();
      const figures = await router.traffic(run.product, new Date(since));
      return {
        traffic: figures?.map(({ instance, requests, errors, latencyMs }) => ({ instance, requests, errors, p95Ms: latencyMs?.p95 ?? null })) ?? null,
        metric: canary.metric === null ? null : (await metrics.query(canary.metric.url, canary.metric.query, context.cancel)).value,
        measuredAt,
      };
    },
  };
}
