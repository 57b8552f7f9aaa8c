import { decideAfterBoot, decideWhileAway, runReturnsMs, type AwayFacts, type BootFacts } from '../../../../src/domain/host/after-boot.ts';
import type { InstanceSight } from '../../../../src/domain/host/drift.ts';
import type { HostState, InstanceState, Intent } from '../../../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { sampleState } from '../../../support/host-samples.ts';

const [r0, r1, r2] = ['r0', 'r1', 'r2'] as [ReleaseId, ReleaseId, ReleaseId];
const names = ['api-a', 'api-b', 'web-a'] as InstanceName[];
const inactive: InstanceSight = { status: 'inactive', releaseId: null, lastExit: null };
const active: InstanceSight = { status: 'active', releaseId: r1, lastExit: null };
const intent = (change: Partial<Intent> = {}): Intent => ({
  schema: 1, runId: 'run-7' as RunId, fence: 7, kind: 'update-apply', product: sampleState().product, phase: 'installed', fromReleaseId: r1, toReleaseId: r2, openedAt: '2026-01-02T00:00:00.000Z', backupPath: null, stranded: null, ...change,
});
/** @param on the release of each instance, in the order of `names`; a trailing `-` is one out of the router */
function state(on: readonly string[], change: Partial<HostState> = {}): HostState {
  const base = sampleState();
  const entries = names.map((name, at) => {
    const told = on[at] ?? 'r1';
    return [name, { ...(base.instances[name] as InstanceState), releaseId: told.replace('-', '') as ReleaseId, admitted: !told.endsWith('-'), startedBy: null }];
  });
  return { ...base, instances: Object.fromEntries(entries), ...change };
}
const toldR2 = { activeReleaseId: r2 };

describe('after a boot', () => {
  const facts = (change: Partial<BootFacts> = {}): BootFacts => ({ state: sampleState(), intent: null, current: r1, complete: [r1, r2], instances: Object.fromEntries(names.map((name) => [name, inactive])), ...change });
  const startsOf = (change: Partial<BootFacts>) => decideAfterBoot(facts(change)).starts.map(({ instance, releaseId, retold }) => `${instance} ${releaseId}${retold ? ' retold' : ''}`);

  test.each<[string, Partial<BootFacts>, string, string[]]>([
    ['no run', {}, 'settled', ['api-a r1', 'api-b r1', 'web-a r1']],
    ['before activate: everything on the last good release', { intent: intent() }, 'untouched', ['api-a r1', 'api-b r1', 'web-a r1']],
    ['after activate, nothing restarted: on what each was told', { intent: intent(), state: state(['r1', 'r1', 'r1'], toldR2), current: r2 }, 'forward', ['api-a r1', 'api-b r1', 'web-a r1']],
    ['after activate, one restarted', { intent: intent(), state: state(['r2-', 'r1', 'r1'], toldR2), current: r2 }, 'forward', ['api-a r2', 'api-b r1', 'web-a r1']],
    ['all restarted, not committed', { intent: intent(), state: state(['r2', 'r2', 'r2'], toldR2), current: r2 }, 'forward', ['api-a r2', 'api-b r2', 'web-a r2']],
    ['committed', { intent: intent(), state: state(['r2', 'r2', 'r2'], { ...toldR2, lastGoodReleaseId: r2 }), current: r2 }, 'forward', ['api-a r2', 'api-b r2', 'web-a r2']],
    ['on the way back: what was still on the new release goes back at once', { intent: intent(), state: state(['r2', 'r1', 'r1']) }, 'back', ['api-a r1 retold', 'api-b r1', 'web-a r1']],
    ['one brought up beside the others, before activate: on the new release, the only one it ever had', { intent: intent({ instancesBefore: names.slice(1) }), state: state(['r2-', 'r1', 'r1']) }, 'untouched', ['api-a r2', 'api-b r1', 'web-a r1']],
    ['on the way back, with one beside the others that is not taken away yet', { intent: intent({ instancesBefore: names.slice(1) }), state: state(['r2-', 'r2', 'r1']) }, 'back', ['api-a r2', 'api-b r1 retold', 'web-a r1']],
    ['a first install', { intent: intent({ fromReleaseId: null }), state: state(['r2', 'r2', 'r2'], { ...toldR2, lastGoodReleaseId: null }), current: r2 }, 'forward', ['api-a r2', 'api-b r2', 'web-a r2']],
    ['a first install on the way back: it is being taken away', { intent: intent({ fromReleaseId: null }), state: state(['r2', 'r2', 'r2'], { activeReleaseId: null, lastGoodReleaseId: null }), current: null }, 'nothing', []],
    ['a repair', { intent: intent({ toReleaseId: r1 }) }, 'untouched', ['api-a r1', 'api-b r1', 'web-a r1']],
    ['stranded: as the state says', { intent: intent({ stranded: { class: 'host', code: 'x', message: 'm' } }), state: state(['r2', 'r1', 'r1'], toldR2), current: r2 }, 'stranded', ['api-a r2', 'api-b r1', 'web-a r1']],
    ['nothing installed', { state: null, current: null }, 'nothing', []],
  ])('%s', (_what, change, situation, starts) => {
    expect([decideAfterBoot(facts(change)).situation, startsOf(change)]).toEqual([situation, starts]);
  });

  test('during a run, where others still run, a dead instance is left to it; without a run it is started', () => {
    const instances = { ...facts().instances, ['api-a' as InstanceName]: active };
    expect([startsOf({ instances, intent: intent() }), startsOf({ instances })]).toEqual([[], ['api-b r1', 'web-a r1']]);
  });

  test('one of which nothing is known is not started: it may run', () => {
    expect(startsOf({ instances: { ...facts().instances, ['api-a' as InstanceName]: { ...inactive, status: 'unknown' } } })).toEqual(['api-b r1', 'web-a r1']);
  });

  /** Guarantee 1. */
  test('a release that is not complete is not started from: the last good one takes its place; without that, it is said', () => {
    const mixed = { intent: intent(), state: state(['r2', 'r1', 'r1'], toldR2) };
    expect(startsOf({ ...mixed, complete: [r1] })).toEqual(['api-a r1 retold', 'api-b r1', 'web-a r1']);
    expect(decideAfterBoot(facts({ complete: [r0] })).stuck.map(({ instance }) => instance)).toEqual(names);
  });

  test('the router follows current, and where that is broken the active release', () => {
    const routed = (change: Partial<BootFacts>) => decideAfterBoot(facts(change)).routerRelease;
    expect([routed({ current: r2 }), routed({ current: null }), routed({ current: null, complete: [] })]).toEqual([r2, r1, null]);
  });
});

describe('while its run is away', () => {
  const facts = (ready: readonly boolean[], change: Partial<AwayFacts> = {}): AwayFacts => ({
    state: state(['r2-', 'r1', 'r1'], toldR2), intent: intent(), complete: [r1, r2], lastGoodInstances: names, putBack: new Set(), elapsedMs: 6_000, commanded: false, heard: false,
    instances: Object.fromEntries(names.map((name, at) => [name, { ready: ready[at] ?? true, startSeconds: 5, startedMsAgo: change.elapsedMs ?? 6_000 }])),
    ...change,
  });
  const decide = (...args: Parameters<typeof facts>) => {
    const { actions, done } = decideWhileAway(facts(...args));
    return [actions.map((action) => `${action.do} ${action.instance}${action.do === 'put_back' ? ` ${action.releaseId}` : ''}`), done];
  };

  test.each<[string, Parameters<typeof facts>, string[], boolean]>([
    ['all are ready and each service has one in the router: nothing is left', [[true, true, true]], [], true],
    ['the new release gets its time', [[false, true, true], { elapsedMs: 4_999 }], [], false],
    ['not ready in time: back on the last good release', [[false, true, true]], ['put_back api-a r1'], false],
    ['control hears the host: its run gets time to come back', [[false, true, true], { heard: true }], [], false],
    ['control hears the host, and its run does not come', [[false, true, true], { heard: true, elapsedMs: runReturnsMs }], ['put_back api-a r1'], false],
    ['a command has come: the host is the run’s', [[false, false, false], { commanded: true }], [], true],
    ['the run is over', [[false, false, false], { intent: null }], [], true],
    ['the host is stranded: a person decides', [[false, false, false], { intent: intent({ stranded: { class: 'host', code: 'x', message: 'm' } }) }], [], true],
    ['put back before, and not ready there either: that was all', [[false, true, true], { putBack: new Set([names[0] as InstanceName]) }], [], true],
    ['the last good release is not complete: there is nothing to go back to', [[false, true, true], { complete: [r2] }], [], true],
    ['the last good release has no such instance', [[false, true, true], { lastGoodInstances: [] }], [], true],
    ['a first install: there is nothing to go back to', [[false, true, true], { state: state(['r2', 'r2', 'r2'], { ...toldR2, lastGoodReleaseId: null }), intent: intent({ fromReleaseId: null }) }], [], true],
    ['committed: there is no way back by itself', [[false, true, true], { state: state(['r2', 'r2', 'r2'], { ...toldR2, lastGoodReleaseId: r2 }) }], [], true],
    ['dead on the last good release: started again', [[true, false, true], { state: state(['r2', 'r1', 'r1'], toldR2) }], ['put_back api-b r1'], false],
    ['the only one of its service is ready and out of the router: let in', [[true, true, true], { state: state(['r2', 'r2', 'r2-'], toldR2), elapsedMs: 0 }], ['admit web-a'], false],
    ['the same, and control hears the host: its run lets it in', [[true, true, true], { state: state(['r2', 'r2', 'r2-'], toldR2), elapsedMs: 0, heard: true }], [], false],
    ['out of the router, and its twin serves: left to the run', [[true, true, true], { state: state(['r1-', 'r1', 'r1'], toldR2) }], [], true],
    ['out of the router, and its twin may still get ready: waited for', [[true, false, true], { elapsedMs: 1_000 }], [], false],
    ['out of the router, and its twin does not get ready: let in, and the twin is started again', [[true, false, true]], ['put_back api-b r1', 'admit api-a'], false],
    ['on the way back, the only one of its service still on the new release: put back, ready or not', [[true, true, true], { state: state(['r1', 'r1', 'r2-']), elapsedMs: 0 }], ['put_back web-a r1'], false],
    ['on the way back, drained, and its twin serves: left to the run', [[true, true, true], { state: state(['r2-', 'r1', 'r1']) }], [], true],
  ])('%s', (_what, args, actions, done) => {
    expect(decide(...args)).toEqual([actions, done]);
  });
});
