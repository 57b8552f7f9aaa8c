import type { HostId } from '../../src/domain/ids.ts';
import { nextActions, type RolloutAction } from '../../src/domain/rollout/decide.ts';
import type { RolloutEvent } from '../../src/domain/rollout/event.ts';
import { hostOutcomeOf, noHosts, returnOutcomeOf, type HostCounts, type HostOutcome } from '../../src/domain/rollout/outcome.ts';
import { outlineOf } from '../../src/domain/rollout/outline.ts';
import type { PlannedHost, RolloutPlan } from '../../src/domain/rollout/plan.ts';
import type { RolloutRequest } from '../../src/domain/rollout/request.ts';
import { countsOf, nextHosts, nextShardState, openShard, reportNow, shardOver, waitOver, type ShardState } from '../../src/domain/rollout/shard.ts';
import { nextRolloutState, requestedRollout, type RolloutState } from '../../src/domain/rollout/state.ts';
import type { ModelHost } from './rollout-model.ts';

export interface WorldOptions {
  readonly shardHosts: number;
  /** Which of so many to take next: a number from 0 up to, and without, its argument. Always 0: hosts end in the order in which they began. */
  readonly pick: (count: number) => number;
  /** Events of people before a step, or none. */
  readonly meddle?: (state: RolloutState, now: string) => RolloutEvent[];
}

interface RunningShard {
  state: ShardState;
  told: HostCounts;
  readonly wave: number;
  readonly attempt: number;
  readonly flight: HostId[];
}

/** A fleet that does what its hosts' fates say, driven only by what the domain decides; keeps what happened, and holds the rules at every step. */
export function runRollout(plan: RolloutPlan, request: RolloutRequest, fleet: readonly ModelHost[], options: WorldOptions) {
  const table = new Map(plan.waves.flatMap((wave) => wave.hosts).map((row) => [row.host, { ...row, outcome: null as HostOutcome | null, reasonClass: null as 'request' | 'release' | null }]));
  const known = new Map(fleet.map((host) => [host.name, host]));
  const seen = { updated: [] as string[], rolledBack: [] as string[], begun: [] as string[], problems: [] as string[], failed: 0, failedRuns: 0, mostFailedRuns: Infinity, steps: 0 };
  const outline = { ...outlineOf(plan, request), shardHosts: options.shardHosts };
  const shards = new Map<number, RunningShard>();
  const opened = new Set<number>();
  let now = '2026-11-21T12:00:00.000Z';
  let state = requestedRollout(now);
  const tell = (event: RolloutEvent): void => void (state = nextRolloutState(state, event));
  const inFlight = (): number => [...shards.values()].reduce((sum, { flight }) => sum + flight.length, 0);
  const check = (holds: boolean, problem: string): void => void (holds || seen.problems.push(problem));

  function act(action: RolloutAction): void {
    if (action.do === 'plan') tell({ type: 'PlanAccepted', outline, at: now });
    if (action.do === 'tell') {
      if (action.event.type === 'GatesOpened' && state.phase === 'Gated') opened.add(state.outline.waves[state.wave]?.number ?? -1);
      tell(action.event);
    }
    if (action.do === 'order-shard') {
      const shard = shards.get(action.shard);
      if (shard?.attempt === action.attempt) shard.state = nextShardState(shard.state, { type: 'OrderCame', order: action.order });
    }
    if (action.do === 'start-shard') {
      tell(action.event);
      const rows = [...table.values()].filter(({ wave, position }) => wave === action.wave && position !== null && position >= action.shard.from && position < action.shard.from + action.shard.count);
      shards.set(action.shard.number, { state: openShard(rows, action.order, action.direction, request.strategy.offline, now), told: noHosts, wave: action.wave, attempt: action.shard.attempt, flight: [] });
    }
  }

  /** Lets a host begin in every shard that may; then one thing happens in one of them. */
  function step(): boolean {
    for (const shard of shards.values()) {
      for (const { host, standing } of shard.state.hosts) {
        if (standing === 'away' && known.get(host)?.comes && options.pick(2) === 0) shard.state = nextShardState(shard.state, { type: 'HostCame', host });
      }
      for (const host of nextHosts(shard.state)) {
        shard.state = nextShardState(shard.state, { type: 'HostBegun', host: host.host });
        shard.flight.push(host.host);
        check('pause' in state && state.pause === null, `${host.host} began while the rollout was paused`);
        if (shard.state.direction === 'forward') begun(shard, host.host);
      }
      check(inFlight() <= request.strategy.maxParallel, `${inFlight()} hosts in flight`);
    }
    const busy = [...shards].filter(([, shard]) => shard.flight.length > 0);
    const chosen = busy[options.pick(busy.length)];
    if (chosen) {
      const [, shard] = chosen;
      const [host] = shard.flight.splice(options.pick(shard.flight.length), 1);
      settle(shard, host as HostId);
    }
    let moved = chosen !== undefined;
    for (const [number, shard] of shards) moved = attend(number, shard, chosen !== undefined) || moved;
    return moved;
  }

  function begun(shard: RunningShard, host: HostId): void {
    check(!seen.begun.includes(host), `${host} was begun twice`);
    seen.begun.push(host);
    const earlier = plan.waves.filter(({ number }) => number < shard.wave).flatMap(({ hosts }) => hosts);
    check(earlier.every((each: PlannedHost) => table.get(each.host)?.outcome), `${host} of wave ${shard.wave} began before the wave before it was done`);
    check(earlier.every((each) => each.role === 'node' || ['updated', 'unchanged'].includes(table.get(each.host)?.outcome ?? '')), `${host} began before its controller was verified`);
    check(shard.wave === plan.waves[0]?.number || request.strategy.gates.length === 0 || opened.has(shard.wave), `${host} began before the gate of wave ${shard.wave} was open`);
  }

  function settle(shard: RunningShard, host: HostId): void {
    const row = table.get(host) as NonNullable<ReturnType<typeof table.get>>;
    const { fate, release } = known.get(host) as ModelHost;
    if (shard.state.direction === 'back') {
      row.outcome = returnOutcomeOf('succeeded');
      seen.rolledBack.push(host);
    } else {
      row.outcome = release === 'new' ? hostOutcomeOf('unchanged', true) : fate === 'good' || fate === 'lost' ? hostOutcomeOf('succeeded', fate === 'good') : hostOutcomeOf(fate, false);
      row.reasonClass = row.outcome === 'refused' ? 'request' : null;
      if (row.outcome === 'updated') seen.updated.push(host);
      if (['rolled_back', 'stranded', 'not_verified'].includes(row.outcome)) fail(true);
    }
    shard.state = nextShardState(shard.state, { type: 'HostSettled', host, outcome: row.outcome, reasonClass: row.reasonClass });
  }

  /** Once the budget is spent, no run may fail but those that were in flight then. */
  function fail(run: boolean): void {
    const { count, percent } = request.strategy.budget;
    seen.failed += 1;
    if (run) seen.failedRuns += 1;
    const spent = (count !== null && seen.failed > count) || (percent !== null && seen.failed * 100 > percent * outline.changing);
    if (spent && seen.mostFailedRuns === Infinity) seen.mostFailedRuns = seen.failedRuns + inFlight();
  }

  /** What a shard's own workflow does between two events: waits for hosts that are away, writes the list, reports, ends. */
  function attend(number: number, shard: RunningShard, busy: boolean): boolean {
    let moved = false;
    const comes = shard.state.hosts.some(({ host, standing }) => standing === 'away' && known.get(host)?.comes);
    if (!busy && !comes && nextHosts(shard.state).length === 0 && shard.state.awayUntil !== null && shard.state.order.mode === 'go') {
      now = shard.state.awayUntil;
      if (waitOver(shard.state, now)) shard.state = nextShardState(shard.state, { type: 'WaitEnded' });
      moved = true;
    }
    for (const { host, outcome, standing } of shard.state.hosts) {
      const row = table.get(host);
      if (standing === 'settled' && row && row.outcome !== outcome) {
        row.outcome = outcome;
        if (outcome === 'offline') fail(false);
      }
    }
    const counts = countsOf(shard.state);
    const facts = { shard: number, attempt: shard.attempt, retries: shard.state.order.retries, counts, at: now };
    if (shardOver(shard.state)) {
      shards.delete(number);
      tell({ type: 'ShardEnded', ...facts });
      return true;
    }
    if (reportNow(shard.told, counts, shard.state.order) || options.pick(3) === 1) tell({ type: 'ShardReported', ...facts });
    shard.told = counts;
    return moved;
  }

  for (;;) {
    seen.steps += 1;
    if (seen.steps > 5_000) throw new Error(`the rollout does not end: ${JSON.stringify(state)}`);
    for (const event of options.meddle?.(state, now) ?? []) tell(event);
    const actions = nextActions(state, now);
    for (const action of actions) act(action);
    if (actions[0]?.do === 'end') return { ...seen, state, table: [...table.values()] };
    if (actions.some((action) => action.do === 'tell' || action.do === 'plan')) continue;
    const wait = actions.find((action) => action.do === 'wait');
    if (!step() && wait?.wakeAt) now = Date.parse(wait.wakeAt) > Date.parse(now) ? wait.wakeAt : now;
  }
}
