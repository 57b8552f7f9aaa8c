import { setTimeout as sleep } from 'node:timers/promises';
import type { Reason } from '../../src/domain/failure.ts';
import type { HostId, ProductName, ReleaseId, RolloutId, RunId } from '../../src/domain/ids.ts';
import { hostOutcomeOf, returnOutcomeOf, type HostOutcome } from '../../src/domain/rollout/outcome.ts';
import type { ShardRow } from '../../src/domain/rollout/shard.ts';
import type { Outcome, RecoveryRecord } from '../../src/domain/run/report.ts';
import type { HostEnding, Observation } from '../../src/ports/rollout-store.ts';
import type { RolloutDependencies } from './rollouts.ts';

/** What a shard knows of the run of a host: its report without steps and evidence, which lie in the database. */
export interface HostRunEnd {
  readonly runId: RunId | null;
  readonly startedAt: string;
  readonly outcome: Outcome;
  readonly reason: Reason | null;
  readonly recovery: RecoveryRecord | null;
}

export interface HostConclusion {
  readonly rolloutId: RolloutId;
  readonly host: HostId;
  readonly product: ProductName;
  readonly direction: 'forward' | 'back';
  /** What the run was to bring. */
  readonly releaseId: ReleaseId;
  readonly run: HostRunEnd;
  /** How long control may take to see the host come back on the release. */
  readonly verifySeconds: number;
}

const lookMs = 500;

/** What a shard needs of control: its part of the host list, and how each host ended. Every one is idempotent. */
export function createRolloutHostActivities({ rollouts, observer, now }: Pick<RolloutDependencies, 'rollouts' | 'observer' | 'now'>) {
  /** Waits until the host has told the release in a session that is newer than the run; at the limit, what it told last. */
  async function observe({ host, product, releaseId, run, verifySeconds }: HostConclusion): Promise<Observation | null> {
    const deadline = now().getTime() + verifySeconds * 1000;
    for (;;) {
      const seen = await observer.observed(host, product, releaseId, run.outcome === 'unchanged' ? null : run.startedAt);
      if (seen?.releaseId === releaseId || now().getTime() >= deadline) return seen;
      await sleep(lookMs);
    }
  }

  return {
    async readShard(input: { readonly rolloutId: RolloutId; readonly wave: number; readonly from: number; readonly count: number }): Promise<readonly ShardRow[]> {
      return rollouts.shardRows(input.rolloutId, input.wave, input.from, input.count);
    },

    /** Of hosts that are waited for, those that can be reached. */
    async hostsThere(input: { readonly hosts: readonly HostId[] }): Promise<readonly HostId[]> {
      return observer.connected(input.hosts);
    },

    /** Hosts that ended without a run: skipped, or not reached in time. */
    async settleHosts(input: { readonly rolloutId: RolloutId; readonly hosts: readonly { readonly host: HostId; readonly outcome: HostOutcome }[] }): Promise<void> {
      const endings = input.hosts.map(({ host, outcome }): HostEnding => ({ host, direction: 'forward', outcome, reason: outcome === 'offline' ? unreachable(host) : null, runId: null, observed: null, recovery: null }));
      await rollouts.settle(input.rolloutId, endings);
    },

    /** Verifies a host whose run has ended, by what control sees of it, and keeps how it ended. */
    async concludeHost(input: HostConclusion): Promise<{ outcome: HostOutcome; reasonClass: Reason['class'] | null }> {
      const { rolloutId, host, direction, releaseId, run, verifySeconds } = input;
      const isThere = run.outcome === 'succeeded' || run.outcome === 'unchanged';
      const observed = isThere ? await observe(input) : null;
      const outcome = direction === 'back' ? returnOutcomeOf(run.outcome) : hostOutcomeOf(run.outcome, observed?.releaseId === releaseId);
      const reason = outcome === 'not_verified' ? notVerified(host, releaseId, observed, verifySeconds) : run.reason;
      await rollouts.settle(rolloutId, [{ host, direction, outcome, reason, runId: run.runId, observed, recovery: run.recovery }]);
      return { outcome, reasonClass: reason?.class ?? null };
    },
  };
}

export type RolloutHostActivities = ReturnType<typeof createRolloutHostActivities>;

const unreachable = (host: HostId): Reason => ({ class: 'host', code: 'host_offline', message: `Host ${host} could not be reached when its turn came.`, hint: `See whether its agent runs: fairlead nodes show ${host}. Retry tries it again.` });

const notVerified = (host: HostId, releaseId: ReleaseId, observed: Observation | null, seconds: number): Reason => ({
  class: 'host',
  code: observed === null ? 'reconnect_not_seen' : 'reconnected_on_other_release',
  message: observed === null ? `The run on ${host} ended well, and the host was not seen coming back on ${releaseId} within ${seconds} s.` : `The run on ${host} ended well, and the host came back at ${observed.at} on ${observed.releaseId}, not on ${releaseId}.`,
  hint: `Look at the host: fairlead nodes show ${host}`,
});
