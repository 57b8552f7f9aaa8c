import fc from 'fast-check';
import type { ReleaseId } from '../../../../src/domain/ids.ts';
import type { FleetHost } from '../../../../src/domain/rollout/fleet.ts';
import { planRollout } from '../../../../src/domain/rollout/plan.ts';
import { failurePolicies, type OfflinePolicy, type RolloutRequest } from '../../../../src/domain/rollout/request.ts';
import type { RolloutEvent } from '../../../../src/domain/rollout/event.ts';
import { modelOfRollout, type ModelHost, type ModelStrategy } from '../../../support/rollout-model.ts';
import { approvalGate, at, fleetHost, request } from '../../../support/rollout-samples.ts';
import { runRollout } from '../../../support/rollout-world.ts';

const hostArbitrary = fc.record({
  controller: fc.constant(false),
  status: fc.oneof({ weight: 12, arbitrary: fc.constant('connected' as const) }, { weight: 2, arbitrary: fc.constant('away' as const) }, { weight: 1, arbitrary: fc.constant('maintenance' as const) }),
  release: fc.oneof({ weight: 12, arbitrary: fc.constant('old' as const) }, { weight: 2, arbitrary: fc.constant('new' as const) }),
  condemned: fc.oneof({ weight: 20, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  stranded: fc.oneof({ weight: 20, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  fate: fc.oneof({ weight: 20, arbitrary: fc.constant('good' as const) }, { weight: 2, arbitrary: fc.constantFrom('rolled_back' as const, 'stranded' as const, 'lost' as const) }, { weight: 1, arbitrary: fc.constant('refused' as const) }),
  comes: fc.boolean(),
});
const controllerArbitrary = hostArbitrary.map((host): typeof host => ({ ...host, status: host.status === 'maintenance' ? 'connected' : host.status, condemned: false, stranded: false, fate: host.fate === 'lost' ? 'lost' : 'good' }));
const fleetArbitrary = fc
  .tuple(fc.array(controllerArbitrary, { maxLength: 2 }), fc.array(hostArbitrary, { minLength: 1, maxLength: 40 }))
  .map(([controllers, nodes]): ModelHost[] => [...controllers.map((host, index) => ({ ...host, controller: true, name: `m-ctl-${index}` })), ...nodes.map((host, index) => ({ ...host, name: `${index % 2 ? 'a' : 'z'}-${String(index).padStart(3, '0')}` }))]);
const strategyArbitrary = fc.record({
  tiers: fc.option(fc.constantFrom([1, 10, 50, 100], [25, 50, 75, 100], [7, 33, 100], [100])),
  count: fc.integer({ min: 1, max: 15 }),
  parallel: fc.integer({ min: 1, max: 8 }),
  mostFailed: fc.option(fc.integer({ min: 0, max: 4 })),
  mostPercent: fc.option(fc.constantFrom(0, 3, 5, 10, 20, 50)),
  offline: fc.constantFrom('skip' as const, 'fail' as const, 'wait-skip' as const, 'wait-fail' as const),
});

const offlineOf = (offline: ModelStrategy['offline']): OfflinePolicy => (offline === 'skip' || offline === 'fail' ? { policy: offline } : { policy: 'wait', waitSeconds: 600, then: offline === 'wait-skip' ? 'skip' : 'fail' });
const requestOf = (strategy: ModelStrategy, gated: boolean): RolloutRequest =>
  request({
    waves: strategy.tiers === null ? { by: 'count', hosts: strategy.count } : { by: 'tiers', percents: strategy.tiers },
    maxParallel: strategy.parallel,
    budget: { count: strategy.mostFailed, percent: strategy.mostPercent },
    onFailure: strategy.policy,
    offline: offlineOf(strategy.offline),
    gates: gated ? [{ ...approvalGate, quorum: 1, timeoutSeconds: null }] : [],
  });
const fleetOf = (fleet: readonly ModelHost[]): FleetHost[] =>
  fleet.map((host) =>
    fleetHost(host.name, {
      role: host.controller ? 'controller' : 'node',
      status: host.status === 'away' ? 'disconnected' : host.status,
      releaseId: host.release === 'new' ? ('r2' as ReleaseId) : ('r1' as ReleaseId),
      failedReleaseIds: host.condemned ? ['r2' as ReleaseId] : [],
      stranded: host.stranded,
    }),
  );

const approveWhenAsked = (state: Parameters<NonNullable<Parameters<typeof runRollout>[3]['meddle']>>[0], now: string): RolloutEvent[] =>
  state.phase === 'Gated' && state.gates.some(({ open }) => !open) ? [{ type: 'GateApproved', gate: 'go', approval: { by: 'bob', role: 'approver', comment: 'on', at: now }, at: now }] : [];

describe.each(failurePolicies)('rollouts that %s when they fail', (policy) => {
  test('do to every fleet what the plain model says, host by host', () => {
    fc.assert(
      fc.property(fleetArbitrary, strategyArbitrary, (fleet, settings) => {
        const strategy: ModelStrategy = { ...settings, policy };
        const expected = modelOfRollout(fleet, strategy);
        const asked = requestOf(strategy, true);
        const decision = planRollout(fleetOf(fleet).reverse(), asked, at);
        expect(decision.kind).toBe(expected.refused ? 'refuse' : 'plan');
        if (decision.kind === 'refuse') return;
        expect(decision.plan.waves.map(({ hosts }) => hosts.map(({ host }) => host))).toEqual(expected.waves);
        const seen = runRollout(decision.plan, asked, fleet, { shardHosts: 500, pick: () => 0, meddle: approveWhenAsked });
        expect(seen.problems).toEqual([]);
        expect([...seen.updated].sort()).toEqual([...expected.updated].sort());
        expect([...seen.rolledBack].sort()).toEqual([...expected.rolledBack].sort());
        expectEnd(seen, decision.plan, expected.halted);
      }),
      { numRuns: 200 },
    );
  });

  test('keep their rules in many shards, in any order of ends, however often they are paused', () => {
    fc.assert(
      fc.property(fleetArbitrary, strategyArbitrary, fc.integer({ min: 1, max: 6 }), fc.infiniteStream(fc.nat()), (fleet, settings, shardHosts, chance) => {
        const strategy: ModelStrategy = { ...settings, policy };
        const asked = requestOf(strategy, true);
        const decision = planRollout(fleetOf(fleet), asked, at);
        if (decision.kind === 'refuse') return;
        const next = (): number => chance.next().value as number;
        const meddle = (state: Parameters<typeof approveWhenAsked>[0], now: string): RolloutEvent[] => {
          const roll = next() % 8;
          const isPlanned = state.phase !== 'Ended' && state.phase !== 'Requested' && state.phase !== 'Queued' && state.phase !== 'Halted';
          if (isPlanned && state.pause === null && roll === 0) return [{ type: 'PauseRequested', by: 'bob', comment: null, at: now }];
          if (isPlanned && state.pause !== null && roll < 4) return [{ type: 'ResumeRequested', by: 'bob', at: now }];
          return approveWhenAsked(state, now);
        };
        const seen = runRollout(decision.plan, asked, fleet, { shardHosts, pick: (count) => (count === 0 ? 0 : next() % count), meddle });
        expect(seen.problems).toEqual([]);
        expect(seen.failedRuns).toBeLessThanOrEqual(seen.mostFailedRuns);
        const expected = modelOfRollout(fleet, strategy);
        // Which hosts are in flight when the budget is spent depends on the order; whether it is spent does not, nor anything before.
        if (!expected.halted) expect([...seen.updated].sort()).toEqual([...expected.updated].sort());
        const updated = new Set(seen.updated);
        expect(seen.rolledBack.every((host) => updated.has(host))).toBe(true);
        if (policy === 'keep' || !expected.halted) expect(seen.rolledBack).toEqual([]);
        if (policy === 'roll-back-all' && expected.halted) expect([...seen.rolledBack].sort()).toEqual([...seen.updated].sort());
        expectEnd(seen, decision.plan, expected.halted);
      }),
      { numRuns: 200 },
    );
  });
});

/** The outcome agrees with what every host was left at. */
function expectEnd(seen: ReturnType<typeof runRollout>, plan: { readonly skipped: readonly unknown[] }, halted: boolean): void {
  const all = seen.table.every(({ outcome }) => outcome === 'updated' || outcome === 'unchanged') && plan.skipped.length === 0;
  expect(seen.state).toMatchObject({ phase: 'Ended', ok: all });
  if (seen.state.phase === 'Ended') expect(halted ? ['failed', 'rolled_back'] : [all ? 'succeeded' : 'partial']).toContain(seen.state.outcome);
}
