import type { Reason } from '../failure.ts';
import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { Role } from '../product/manifest.ts';
import { checkRolloutRequest, limits } from './check.ts';
import { byHost, standingOfHost, type FleetHost } from './fleet.ts';
import type { RolloutRequest, WaveSizing } from './request.ts';

/**
 * What the rollout does with a host. `update`: changes it. `wait`: the same, once it can be reached. `fail`: it cannot be reached, which counts as a
 * failure when its wave comes. `skip`: leaves it alone. `unchanged`: it is connected and on the release.
 */
export type HostAction = 'update' | 'wait' | 'fail' | 'skip' | 'unchanged';
export type SkipCode = 'host_offline' | 'host_in_maintenance' | 'host_stranded' | 'release_condemned';

export interface PlannedHost {
  readonly host: HostId;
  readonly role: Role;
  /** Which artifact of the release it gets. */
  readonly artifactRole: Role;
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  readonly action: HostAction;
  /** Null for hosts that belong to no wave. */
  readonly wave: number | null;
  /** From 0, in its wave: what pages and shards are cut by. */
  readonly position: number | null;
  /** Why it is skipped, or cannot be reached. */
  readonly why: SkipCode | null;
}

export interface PlannedWave {
  /** 0 holds the controllers, and only them; nodes begin at 1. */
  readonly number: number;
  readonly role: Role;
  readonly hosts: readonly PlannedHost[];
}

/** What a rollout will do, with every host: grows with the fleet, so it goes to the database and the API, never through a workflow. */
export interface RolloutPlan {
  readonly product: ProductName;
  readonly toReleaseId: ReleaseId;
  readonly plannedAt: string;
  readonly waves: readonly PlannedWave[];
  readonly unchanged: readonly PlannedHost[];
  readonly skipped: readonly PlannedHost[];
  readonly warnings: readonly string[];
}

export type RolloutPlanDecision = { readonly kind: 'plan'; readonly plan: RolloutPlan } | { readonly kind: 'refuse'; readonly reason: Reason };

/**
 * Decides which hosts change in which order. Pure: the same fleet, in whatever order, and the same request give the same plan.
 *
 * Refuses (class `request`) what `checkRolloutRequest` refuses, unknown hosts (`host_unknown`), an empty fleet (`no_hosts`), more waves than a rollout
 * can hold (`too_many_waves`), and nodes whose controller neither is on the release nor can be brought to it (`controller_not_ready`).
 * @param fleet every host that has the product
 * @param now the instant of the plan, ISO 8601
 */
export function planRollout(fleet: readonly FleetHost[], request: RolloutRequest, now: string): RolloutPlanDecision {
  const refuse = (code: string, message: string, hint: string): RolloutPlanDecision => ({ kind: 'refuse', reason: { class: 'request', code, message, hint } });
  const [problem] = checkRolloutRequest(request);
  if (problem) return { kind: 'refuse', reason: problem };
  const known = new Map(fleet.map((host) => [host.host, host]));
  const { target } = request;
  const unknown = target.kind === 'hosts' ? target.hosts.filter((host) => !known.has(host)) : [];
  if (unknown.length > 0) return refuse('host_unknown', `${shortList(unknown)}: no such host has ${request.product}.`, 'See which do: fairlead nodes list');
  const scope = target.kind === 'all' ? byHost(fleet) : target.hosts.flatMap((host) => known.get(host) ?? []);
  if (scope.length === 0) return refuse('no_hosts', `No host has ${request.product}.`, 'Install it on a host first: fairlead update apply --host HOST');

  const judged = scope.map((host) => judge(host, request));
  const isInWave = ({ action }: PlannedHost): boolean => action === 'update' || action === 'wait' || action === 'fail';
  const controllers = judged.filter((host) => host.role === 'controller' && isInWave(host));
  const nodes = judged.filter((host) => host.role === 'node' && isInWave(host));
  if (request.strategy.controllerFirst && nodes.length > 0) {
    const coming = new Set(controllers.filter(({ action }) => action !== 'fail').map(({ host }) => host));
    const behind = byHost(fleet).filter((host) => host.role === 'controller' && !coming.has(host.host) && !(host.releaseId === request.releaseId && standingOfHost(host.status) !== 'away'));
    if (behind.length > 0) {
      return refuse(
        'controller_not_ready',
        `${shortList(behind.map(({ host }) => host))}: the controller is not on release ${request.releaseId}, and this rollout cannot bring it there; nodes come after it.`,
        'Update the controller first, add it to the hosts of the rollout, or say that nodes need not wait for it (controllerFirst: false).',
      );
    }
  }

  const sizes = waveSizes(nodes.length, request.strategy.waves);
  if (sizes.length > limits.waves) return refuse('too_many_waves', `${nodes.length} hosts make ${sizes.length} waves; ${limits.waves} are the most.`, 'Make the waves larger.');
  const waves: PlannedWave[] = controllers.length > 0 ? [waveOf(0, 'controller', controllers)] : [];
  let taken = 0;
  for (const [index, size] of sizes.entries()) {
    waves.push(waveOf(index + 1, 'node', nodes.slice(taken, taken + size)));
    taken += size;
  }
  const skipped = judged.filter(({ action }) => action === 'skip');
  const first = [...controllers, ...nodes].filter(({ fromReleaseId }) => fromReleaseId === null);
  const warnings = [
    ...(skipped.length > 0 ? [`${skipped.length} of ${scope.length} hosts are skipped, so the rollout cannot end as succeeded.`] : []),
    ...(first.length > 0 && request.strategy.onFailure !== 'keep' ? [`${shortList(first.map(({ host }) => host))}: nothing is installed there yet, so there is nothing to roll back to.`] : []),
  ];
  const unchanged = judged.filter(({ action }) => action === 'unchanged');
  return { kind: 'plan', plan: { product: request.product, toReleaseId: request.releaseId, plannedAt: now, waves, unchanged, skipped, warnings } };
}

/** The sizes of the waves into which `total` hosts are divided; none is empty, and they add up to `total`. */
export function waveSizes(total: number, sizing: WaveSizing): number[] {
  if (sizing.by !== 'tiers') {
    const size = sizing.by === 'count' ? sizing.hosts : share(total, sizing.percent);
    return total === 0 ? [] : Array.from({ length: Math.ceil(total / size) }, (_, index) => Math.min(size, total - index * size));
  }
  const reachedAt = sizing.percents.map((percent) => share(total, percent));
  return reachedAt.map((upTo, index) => upTo - (reachedAt[index - 1] ?? 0)).filter((size) => size > 0);
}

/** Rounded up, so that the smallest share of a fleet is one host; rounding noise such as 7.000000000000001 is no further host. */
const share = (total: number, percent: number): number => Math.min(total, Math.ceil((total * percent) / 100 - 1e-9));

function judge(host: FleetHost, { releaseId, strategy, allowFailed }: RolloutRequest): PlannedHost {
  const standing = standingOfHost(host.status);
  const planned = (action: HostAction, why: SkipCode | null = null): PlannedHost => ({ host: host.host, role: host.role, artifactRole: host.role, fromReleaseId: host.releaseId, toReleaseId: releaseId, action, wave: null, position: null, why });
  if (host.stranded) return planned('skip', 'host_stranded');
  if (standing === 'maintenance') return planned('skip', 'host_in_maintenance');
  if (host.releaseId !== releaseId && host.failedReleaseIds.includes(releaseId) && !allowFailed) return planned('skip', 'release_condemned');
  if (standing === 'there') return planned(host.releaseId === releaseId ? 'unchanged' : 'update');
  // What a host that is away said last is no observation, even where it named this release.
  const { policy } = strategy.offline;
  return planned(policy, 'host_offline');
}

const waveOf = (number: number, role: Role, hosts: readonly PlannedHost[]): PlannedWave => ({ number, role, hosts: hosts.map((host, position) => ({ ...host, wave: number, position })) });

const shortList = (hosts: readonly string[]): string => (hosts.length > 5 ? `${hosts.slice(0, 5).join(', ')} and ${hosts.length - 5} more` : hosts.join(', '));
