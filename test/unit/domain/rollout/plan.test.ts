import type { HostId, ReleaseId } from '../../../../src/domain/ids.ts';
import { fleetDigestInput, type FleetHost } from '../../../../src/domain/rollout/fleet.ts';
import type { Gate } from '../../../../src/domain/rollout/gate.ts';
import { cutWave, outlineOf, sharesOf } from '../../../../src/domain/rollout/outline.ts';
import { planRollout, waveSizes, type RolloutPlan } from '../../../../src/domain/rollout/plan.ts';
import type { RolloutRequest, RolloutStrategy } from '../../../../src/domain/rollout/request.ts';
import { approvalGate, at, fleetHost, metricGate, request, windowGate } from '../../../support/rollout-samples.ts';

const r2 = 'r2' as ReleaseId;
const nodes = (count: number): FleetHost[] => Array.from({ length: count }, (_, index) => fleetHost(`n-${String(index).padStart(4, '0')}`));
const controller = fleetHost('ctl', { role: 'controller' });
const plan = (fleet: readonly FleetHost[], asked: RolloutRequest = request()): RolloutPlan => {
  const decision = planRollout(fleet, asked, at);
  if (decision.kind === 'refuse') throw new Error(decision.reason.code);
  return decision.plan;
};
const refusal = (fleet: readonly FleetHost[], asked: RolloutRequest): string => {
  const decision = planRollout(fleet, asked, at);
  return decision.kind === 'refuse' ? decision.reason.code : 'planned';
};
const named = (...hosts: string[]): Partial<RolloutRequest> => ({ target: { kind: 'hosts', hosts: hosts as HostId[] } });
const shape = ({ waves }: RolloutPlan): string[] => waves.map(({ number, hosts }) => `${number}: ${hosts.length}`);

describe('a plan', () => {
  test('controllers alone in wave 0, then the tiers of the nodes', () => {
    expect(shape(plan([...nodes(200), controller]))).toEqual(['0: 1', '1: 2', '2: 18', '3: 80', '4: 100']);
  });

  test.each<[string, number, RolloutStrategy['waves'], number[]]>([
    ['tiers of a small fleet: one host at least, no empty wave', 3, { by: 'tiers', percents: [1, 10, 50, 100] }, [1, 1, 1]],
    ['tiers of one host', 1, { by: 'tiers', percents: [1, 10, 50, 100] }, [1]],
    ['tiers of ten thousand', 10_000, { by: 'tiers', percents: [1, 10, 50, 100] }, [100, 900, 4000, 5000]],
    ['a percent that does not divide', 10, { by: 'percent', percent: 30 }, [3, 3, 3, 1]],
    ['a percent that floating point would round up: 7 % of 100 are 7', 100, { by: 'percent', percent: 7 }, [...Array<number>(14).fill(7), 2]],
    ['a count', 7, { by: 'count', hosts: 3 }, [3, 3, 1]],
    ['no host', 0, { by: 'count', hosts: 3 }, []],
  ])('%s', (_name, total, sizing, sizes) => {
    expect(waveSizes(total, sizing)).toEqual(sizes);
  });

  test('is the same whatever the order of the fleet, and says for each host from what to what', () => {
    const fleet = [...nodes(20), controller];
    expect(plan([...fleet].reverse())).toEqual(plan(fleet));
    expect(plan(fleet).waves[0]?.hosts[0]).toEqual({ host: 'ctl', role: 'controller', artifactRole: 'controller', fromReleaseId: 'r1', toReleaseId: 'r2', action: 'update', wave: 0, position: 0, why: null });
  });

  test('named hosts come in the order in which they are named', () => {
    expect(plan([...nodes(5)], request({ waves: { by: 'count', hosts: 9 } }, named('n-0003', 'n-0001'))).waves[0]?.hosts.map(({ host }) => host)).toEqual(['n-0003', 'n-0001']);
  });

  test.each<[string, Partial<FleetHost>, Partial<RolloutStrategy>, string]>([
    ['connected and on the release', { releaseId: r2 }, {}, 'unchanged null'],
    ['away: skipped', { status: 'disconnected' }, {}, 'skip host_offline'],
    ['never seen: skipped', { status: 'pending' }, {}, 'skip host_offline'],
    ['in error: skipped', { status: 'error' }, {}, 'skip host_offline'],
    ['away and said to be on the release: not observed', { status: 'disconnected', releaseId: r2 }, {}, 'skip host_offline'],
    ['away, failing', { status: 'disconnected' }, { offline: { policy: 'fail' } }, 'fail host_offline'],
    ['away, waited for', { status: 'disconnected' }, { offline: { policy: 'wait', waitSeconds: 60, then: 'fail' } }, 'wait host_offline'],
    ['in maintenance: skipped, whatever the policy', { status: 'maintenance' }, { offline: { policy: 'fail' } }, 'skip host_in_maintenance'],
    ['stranded: skipped', { stranded: true }, {}, 'skip host_stranded'],
    ['the release failed on it: skipped', { failedReleaseIds: [r2] }, {}, 'skip release_condemned'],
    ['nothing installed: installed', { releaseId: null }, {}, 'update null'],
  ])('a host that is %s', (_name, more, strategy, expected) => {
    const { waves, unchanged, skipped } = plan([fleetHost('n'), fleetHost('odd', more)], request(strategy));
    const odd = [...waves.flatMap(({ hosts }) => hosts), ...unchanged, ...skipped].find(({ host }) => host === 'odd');
    expect(`${odd?.action} ${odd?.why}`).toBe(expected);
  });

  /** Guarantee 8. */
  test('a release that failed is tried again when the request says so', () => {
    expect(plan([fleetHost('n', { failedReleaseIds: [r2] })], request({}, { allowFailed: true })).waves[0]?.hosts).toHaveLength(1);
  });

  test.each<[string, FleetHost[], RolloutRequest, string]>([
    ['nobody has the product', [], request(), 'no_hosts'],
    ['a host that does not have it', nodes(1), request({}, named('n-0000', 'else')), 'host_unknown'],
    ['a host named twice', nodes(1), request({}, named('n-0000', 'n-0000')), 'host_repeated'],
    ['the controller is away', [{ ...controller, status: 'disconnected' }, ...nodes(1)], request(), 'controller_not_ready'],
    ['the controller is away and waited for', [{ ...controller, status: 'disconnected' }, ...nodes(1)], request({ offline: { policy: 'wait', waitSeconds: 9, then: 'skip' } }), 'planned'],
    ['the controller is stranded', [{ ...controller, stranded: true }, ...nodes(1)], request(), 'controller_not_ready'],
    ['only nodes are named, and the controller is behind', [controller, ...nodes(1)], request({}, named('n-0000')), 'controller_not_ready'],
    ['only nodes are named, and that is meant', [controller, ...nodes(1)], request({ controllerFirst: false }, named('n-0000')), 'planned'],
    ['only nodes are named, and the controller is there', [{ ...controller, releaseId: r2 }, ...nodes(1)], request({}, named('n-0000')), 'planned'],
    ['more waves than can be held', nodes(201), request({ waves: { by: 'count', hosts: 1 } }), 'too_many_waves'],
  ])('%s', (_name, fleet, asked, code) => {
    expect(refusal(fleet, asked)).toBe(code);
  });

  test.each<[string, Partial<RolloutStrategy>, string]>([
    ['no parallel host', { maxParallel: 0 }, 'parallel_out_of_range'],
    ['half a host', { maxParallel: 1.5 }, 'parallel_out_of_range'],
    ['tiers that do not reach 100', { waves: { by: 'tiers', percents: [10, 50] } }, 'waves_unusable'],
    ['tiers that fall', { waves: { by: 'tiers', percents: [50, 10, 100] } }, 'waves_unusable'],
    ['a wave of 0 %', { waves: { by: 'percent', percent: 0 } }, 'waves_unusable'],
    ['a budget below nothing', { budget: { count: -1, percent: null } }, 'budget_unusable'],
    ['a bake time that is no number', { bakeSeconds: Number.NaN }, 'duration_out_of_range'],
    ['two gates of one name', { gates: [approvalGate, { ...metricGate, name: 'go' }] }, 'gate_repeated'],
    ['two windows before one wave', { gates: [windowGate, { ...windowGate, name: 'day', before: [1] }] }, 'window_repeated'],
    ['a quorum of nobody', { gates: [{ ...approvalGate, quorum: 0 }] }, 'quorum_out_of_range'],
    ['a metric without a limit', { gates: [{ ...metricGate, max: null }] }, 'metric_without_limit'],
    ['a gate before a wave that cannot be', { gates: [{ ...approvalGate, before: [-1] } as Gate] }, 'gate_place'],
  ])('refuses %s', (_name, strategy, code) => {
    expect(refusal(nodes(1), request(strategy))).toBe(code);
  });

  test('warns that a rollout with skipped hosts cannot succeed, and of hosts with nothing to return to', () => {
    const { warnings } = plan([fleetHost('a', { releaseId: null }), fleetHost('b', { status: 'pending' })], request({ onFailure: 'roll-back-all' }));
    expect(warnings).toEqual(['1 of 2 hosts are skipped, so the rollout cannot end as succeeded.', 'a: nothing is installed there yet, so there is nothing to roll back to.']);
  });
});

describe('what a plan was made from', () => {
  const fleet = [controller, ...nodes(3)];
  const before = fleetDigestInput(fleet, request());
  const changed = (more: Partial<FleetHost>): string => fleetDigestInput(fleet.map((host) => (host.host === 'n-0001' ? { ...host, ...more } : host)), request());
  test('is the same for a fleet in another order, and for changes that mean nothing to it', () => {
    expect(fleetDigestInput([...fleet].reverse(), request())).toBe(before);
    expect(changed({ failedReleaseIds: ['r0' as ReleaseId] })).toBe(before);
    expect(fleetDigestInput(fleet.map((host) => ({ ...host, status: 'disconnected' })), request())).toBe(fleetDigestInput(fleet.map((host) => ({ ...host, status: 'error' })), request()));
  });
  test.each<[string, Partial<FleetHost>]>([
    ['a host went away', { status: 'disconnected' }],
    ['a host went into maintenance', { status: 'maintenance' }],
    ['a host runs another release', { releaseId: r2 }],
    ['a host condemned the release', { failedReleaseIds: [r2] }],
    ['a host is stranded', { stranded: true }],
    ['a host changed its role', { role: 'controller' }],
  ])('differs when %s', (_name, more) => {
    expect(changed(more)).not.toBe(before);
  });
  test('differs when a host came, and for another target', () => {
    expect(fleetDigestInput([...fleet, fleetHost('new')], request())).not.toBe(before);
    expect(fleetDigestInput(fleet, request({}, named('n-0000')))).not.toBe(before);
  });
});

describe('shards of a wave', () => {
  test.each([
    [1, 500, [1]],
    [500, 500, [500]],
    [501, 500, [250, 251]],
    [10_000, 500, Array<number>(20).fill(500)],
    [7, 3, [2, 2, 3]],
  ])('%i hosts, at most %i each: of about the same size, without a gap', (hosts, most, counts) => {
    const cuts = cutWave(hosts, most);
    expect(cuts.map(({ count }) => count)).toEqual(counts);
    expect(cuts.map(({ from, count }) => from + count)).toEqual([...cuts.slice(1).map(({ from }) => from), hosts]);
  });
  test('share the parallel hosts without a rest, and wait for a place where there are more shards than hosts', () => {
    expect(sharesOf(3, 10)).toEqual([4, 3, 3]);
    expect(sharesOf(5, 2)).toEqual([1, 1]);
    expect(sharesOf(1, 10)).toEqual([10]);
  });
  test('the outline holds no host', () => {
    const asked = request();
    expect(JSON.stringify(outlineOf(plan([...nodes(2000), controller], asked), asked)).length).toBeLessThan(1500);
  });
});
