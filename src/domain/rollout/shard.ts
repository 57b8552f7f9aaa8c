import type { Reason } from '../failure.ts';
import type { HostId, ReleaseId } from '../ids.ts';
import type { Role } from '../product/manifest.ts';
import { countsAsFailure } from './budget.ts';
import { instantAfter, reached } from './instant.ts';
import { noHosts, type HostCounts, type HostOutcome } from './outcome.ts';
import type { HostAction } from './plan.ts';

/** What a rollout wants of a running shard. `hold`: begin none, stay; `stop`: begin none, end when those in flight have. */
export interface ShardOrder {
  readonly mode: 'go' | 'hold' | 'stop';
  /** How many of its hosts may be changed at the same time. */
  readonly parallel: number;
  /** Own failures that it may see before it brakes by itself, without having to be told. Null: without limit. */
  readonly failuresAllowed: number | null;
  /** Higher than before: try the failed hosts again. */
  readonly retries: number;
}

/** One row of the host list, as a shard loads it: planned, or left by an earlier attempt. */
export interface ShardRow {
  readonly host: HostId;
  readonly role: Role;
  readonly artifactRole: Role;
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  readonly action: HostAction;
  /** How an earlier attempt, or the way forward, left it; null where it was never begun or never ended. */
  readonly outcome: HostOutcome | null;
  /** The class of its reason, where the outcome has one. */
  readonly reasonClass: Reason['class'] | null;
}

/** `away`: waits to be reached. `running`: begun, and not ended. */
export interface ShardHost extends ShardRow {
  readonly standing: 'pending' | 'away' | 'running' | 'settled';
}

/** At most 500 hosts of one wave, on the way forward or `back`. */
export interface ShardState {
  readonly direction: 'forward' | 'back';
  readonly hosts: readonly ShardHost[];
  readonly order: ShardOrder;
  /** Until when hosts that are away are waited for; null where none is. */
  readonly awayUntil: string | null;
  /** What becomes of those that did not come. */
  readonly awayThen: 'skipped' | 'offline';
}

export type ShardEvent =
  | { readonly type: 'HostBegun'; readonly host: HostId }
  | { readonly type: 'HostSettled'; readonly host: HostId; readonly outcome: HostOutcome; readonly reasonClass: Reason['class'] | null }
  /** What became of a host that was begun could not be kept: it counts as never begun, until a further attempt asks its run. */
  | { readonly type: 'HostDropped'; readonly host: HostId }
  /** A host that was waited for can be reached. */
  | { readonly type: 'HostCame'; readonly host: HostId }
  /** The wait for hosts that are away is over. */
  | { readonly type: 'WaitEnded' }
  | { readonly type: 'OrderCame'; readonly order: ShardOrder };

export class IllegalShardTransition extends Error {
  constructor(event: ShardEvent['type'], host: HostId, standing: string) {
    super(`host ${host} is ${standing} in its shard and cannot take the event ${event}`);
    this.name = 'IllegalShardTransition';
  }
}

/** Outcomes after which an attempt that comes later leaves a host alone: it is where it should be, or trying it again is not this rollout's to decide. */
const final: readonly HostOutcome[] = ['updated', 'unchanged', 'returned', 'not_returned', 'skipped', 'cancelled'];

/**
 * A shard at its start. Hosts that an earlier attempt left updated (or skipped, or refused by request) are settled; failed ones are pending again. A row without
 * an outcome whose run is under way is begun anew: the host's own run is found by its id, so nothing is done twice. On the way back, only hosts
 * that the rollout updated take part, and those without a release before cannot be returned.
 * @param offline the strategy's; `waitSeconds` count from `now`
 */
export function openShard(rows: readonly ShardRow[], order: ShardOrder, direction: 'forward' | 'back', offline: { readonly policy: string; readonly waitSeconds?: number; readonly then?: 'skip' | 'fail' }, now: string): ShardState {
  const hosts = rows.flatMap((row): ShardHost[] => {
    if (direction === 'back') {
      if (row.outcome === 'returned') return [{ ...row, standing: 'settled' }];
      if (row.outcome !== 'updated' && row.outcome !== 'not_returned') return [];
      return [row.fromReleaseId === null ? { ...row, outcome: 'not_returned', standing: 'settled' } : { ...row, outcome: null, standing: 'pending' }];
    }
    const leftAlone = row.outcome !== null && (final.includes(row.outcome) || !countsAsFailure(row.outcome, classed(row)));
    if (leftAlone) return [{ ...row, standing: 'settled' }];
    if (row.action === 'fail') return [{ ...row, outcome: 'offline', reasonClass: null, standing: 'settled' }];
    if (row.action === 'skip') return [{ ...row, outcome: 'skipped', standing: 'settled' }];
    if (row.action === 'unchanged') return [{ ...row, outcome: 'unchanged', standing: 'settled' }];
    return [{ ...row, outcome: null, reasonClass: null, standing: row.action === 'wait' ? 'away' : 'pending' }];
  });
  const waits = hosts.some(({ standing }) => standing === 'away');
  return { direction, hosts, order, awayUntil: waits ? instantAfter(now, offline.waitSeconds ?? 0) : null, awayThen: offline.then === 'fail' ? 'offline' : 'skipped' };
}

/** The only way from one state of a shard to the next. Throws {@link IllegalShardTransition} where a host would be begun or settled twice. */
export function nextShardState(state: ShardState, event: ShardEvent): ShardState {
  switch (event.type) {
    case 'OrderCame': {
      const retry = event.order.retries > state.order.retries;
      return { ...state, order: event.order, hosts: retry ? state.hosts.map((host) => (isFailed(host) ? { ...host, outcome: null, reasonClass: null, standing: 'pending' } : host)) : state.hosts };
    }
    case 'WaitEnded':
      return { ...state, awayUntil: null, hosts: state.hosts.map((host) => (host.standing === 'away' ? { ...host, standing: 'settled', outcome: state.awayThen } : host)) };
    case 'HostCame':
      // Told for every host that connects; only those that are waited for care.
      return withHost(state, event.host, (host) => (host.standing === 'away' ? { ...host, standing: 'pending' } : host));
    case 'HostBegun':
      return withHost(state, event.host, (host) => {
        if (host.standing !== 'pending') throw new IllegalShardTransition(event.type, event.host, host.standing);
        return { ...host, standing: 'running' };
      });
    case 'HostDropped':
      return withHost(state, event.host, (host) => (host.standing === 'running' ? { ...host, standing: 'pending' } : host));
    case 'HostSettled':
      return withHost(state, event.host, (host) => {
        if (host.standing !== 'running') throw new IllegalShardTransition(event.type, event.host, host.standing);
        return { ...host, standing: 'settled', outcome: event.outcome, reasonClass: event.reasonClass };
      });
  }
}

/** The hosts to begin now, in the order of the wave: as many as the window of parallel ones has room for, none while the order or the brake holds. */
export function nextHosts(state: ShardState): readonly ShardHost[] {
  if (state.order.mode !== 'go' || braked(state)) return [];
  const room = state.order.parallel - state.hosts.filter(({ standing }) => standing === 'running').length;
  return room <= 0 ? [] : state.hosts.filter(({ standing }) => standing === 'pending').slice(0, room);
}

/** Whether the shard has seen more failures than the fleet's budget had left when it began: it begins no further host and waits for its order. */
export const braked = ({ hosts, order, direction }: ShardState): boolean => direction === 'forward' && order.failuresAllowed !== null && hosts.filter(isFailed).length > order.failuresAllowed;

/** Whether nothing is in flight and nothing is left to do, or the shard was told to stop. */
export function shardOver({ hosts, order }: ShardState): boolean {
  if (hosts.some(({ standing }) => standing === 'running')) return false;
  return order.mode === 'stop' || hosts.every(({ standing }) => standing === 'settled');
}

/** Whether the wait for hosts that are away is over. */
export const waitOver = (state: ShardState, now: string): boolean => reached(now, state.awayUntil);

/** What the shard tells its rollout. */
export function countsOf({ hosts, direction }: ShardState): HostCounts {
  const settled = hosts.filter(({ standing }) => standing === 'settled');
  const of = (outcome: HostOutcome): number => settled.filter((host) => host.outcome === outcome).length;
  if (direction === 'back') return { ...noHosts, returned: of('returned'), notReturned: of('not_returned') };
  const failed = settled.filter(isFailed).length;
  const updated = of('updated');
  const unchanged = of('unchanged');
  return { ...noHosts, updated, unchanged, failed, stranded: of('stranded'), left: settled.length - updated - unchanged - failed };
}

/**
 * Whether the rollout must hear of it at once: a failure decides about the budget of all shards. Where failures have no limit they decide nothing, and wait for the
 * next report like the rest: as many as there are hosts would be more than the rollout's history can hold.
 */
export const reportNow = (told: HostCounts, counts: HostCounts, { failuresAllowed }: Pick<ShardOrder, 'failuresAllowed'>): boolean => failuresAllowed !== null && counts.failed !== told.failed;

const shortestPauseMs = 5_000;

/**
 * How long a shard waits between two reports, or between two looks for hosts that are away: five seconds at first, then a share of the time that it has run. At a
 * fixed pace a wave of thousands of slow hosts, or a wait of a day, would outgrow the 51,200 events that a history can hold, and the server would end the run;
 * so their number grows with the logarithm of the time.
 * @param ranMs since the shard began. Milliseconds
 */
export const pauseBetween = (what: 'reports' | 'looks', ranMs: number): number => Math.max(shortestPauseMs, Math.round(ranMs / (what === 'reports' ? 10 : 50)));

/** The release that a host is taken to: on the way back, the one that it had. */
export const releaseFor = ({ direction }: Pick<ShardState, 'direction'>, host: ShardRow): ReleaseId => (direction === 'back' ? (host.fromReleaseId ?? host.toReleaseId) : host.toReleaseId);

const isFailed = (host: ShardHost): boolean => host.standing === 'settled' && host.outcome !== null && countsAsFailure(host.outcome, classed(host));
const classed = ({ reasonClass }: ShardRow) => (reasonClass === null ? null : { class: reasonClass });

const withHost = (state: ShardState, host: HostId, change: (host: ShardHost) => ShardHost): ShardState => ({ ...state, hosts: state.hosts.map((each) => (each.host === host ? change(each) : each)) });
