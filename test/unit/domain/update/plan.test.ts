import type { HostInspection, HostState } from '../../../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { planUpdate, type UpdatePlan } from '../../../../src/domain/update/plan.ts';
import type { UpdateRequest } from '../../../../src/domain/update/request.ts';
import { stepTitle, type UpdateStep } from '../../../../src/domain/update/step.ts';
import { planUndo } from '../../../../src/domain/update/undo.ts';
import { sampleArtifact, sampleInspection, sampleState } from '../../../support/host-samples.ts';

const request = { host: 'h1', product: 'shop', releaseId: 'r2', strategy: 'rolling', requestedBy: 'test', requestId: 'q' } as unknown as UpdateRequest;
const decide = (inspection: HostInspection, artifact = sampleArtifact(), asked = request) => planUpdate(inspection, artifact, asked);
const planned = (inspection = sampleInspection(), artifact = sampleArtifact()): UpdatePlan => {
  const decision = decide(inspection, artifact);
  if (decision.kind !== 'apply') throw new Error(`not planned: ${JSON.stringify(decision)}`);
  return decision.plan;
};
const refusalOf = (...args: Parameters<typeof decide>): string => {
  const decision = decide(...args);
  return decision.kind === 'refuse' ? decision.reason.code : decision.kind;
};
const upTo = (plan: UpdatePlan, title: string): UpdateStep[] => plan.steps.slice(0, plan.steps.findIndex((step) => stepTitle(step) === title) + 1);

describe('the plan of an update', () => {
  test('each instance is drained, restarted, proven and admitted before the next; the web comes last', () => {
    const titles = planned().steps.map(stepTitle);
    expect(titles).toEqual([
      'open-intent', 'download', 'verify', 'extract', 'preflight', 'backup', 'arm-recovery', 'configure', 'activate',
      'drain api-a', 'restart api-a', 'prove api-a', 'admit api-a',
      'drain api-b', 'restart api-b', 'prove api-b', 'admit api-b',
      'drain web-a', 'restart web-a', 'prove web-a', 'admit web-a',
      'verify-health', 'commit', 'prune', 'close-intent',
    ]); // prettier-ignore
  });

  test('a first install drains nothing, and starts in the phase that was asked for', () => {
    const inspection = sampleInspection({ state: null, currentReleaseId: null });
    const decision = decide(inspection, sampleArtifact(), { ...request, phase: 'setup' });
    expect(decision).toMatchObject({ kind: 'apply', plan: { phase: 'setup', fromReleaseId: null, instancesBefore: [], instancesAfter: ['api-setup', 'web-setup'] } });
    expect(decision.kind === 'apply' && decision.plan.steps.some(({ name }) => name === 'drain')).toBe(false);
  });

  test('an instance that the new release no longer has is retired after the others were rolled', () => {
    const state = sampleState();
    const extra = { ...state, instances: { ...state.instances, ['api-c' as InstanceName]: state.instances['api-a' as InstanceName] } } as HostState;
    const titles = planned(sampleInspection({ state: extra })).steps.map(stepTitle);
    expect(titles.indexOf('retire api-c')).toBe(titles.indexOf('verify-health') - 1);
  });

  test.each<[string, string, () => Parameters<typeof decide>]>([
    ['the release is active and good: unchanged', 'unchanged', () => [sampleInspection(), sampleArtifact({ releaseId: 'r1' as ReleaseId }), { ...request, releaseId: 'r1' as ReleaseId }]],
    ['the host is stranded', 'host_stranded', () => [sampleInspection({ intent: { runId: 'run-0' as RunId, stranded: { class: 'host', code: 'x', message: 'm' } } as HostInspection['intent'] })]],
    ['the release failed here before', 'release_condemned', () => [sampleInspection({ state: { ...sampleState(), failedReleaseIds: ['r2' as ReleaseId] } })]],
    ['the release failed here before, and somebody insists', 'apply', () => [sampleInspection({ state: { ...sampleState(), failedReleaseIds: ['r2' as ReleaseId] } }), sampleArtifact(), { ...request, allowFailed: true }]],
    ['another phase is asked for', 'phase_fixed', () => [sampleInspection(), sampleArtifact(), { ...request, phase: 'setup' }]],
    ['the release needs a hop over another one', 'hop_needed', () => [sampleInspection(), sampleArtifact({}, { updateFrom: { releases: ['r1.5' as ReleaseId] } })]],
    ['the data is older than what the release reads', 'data_too_old', () => [sampleInspection({ schemaGeneration: 1 }), sampleArtifact({}, { data: { schemaGeneration: 3, readsFrom: 2, onRollback: 'restore' } })]],
    ['the data is just old enough', 'apply', () => [sampleInspection({ schemaGeneration: 2 }), sampleArtifact({}, { data: { schemaGeneration: 3, readsFrom: 2, onRollback: 'restore' } })]],
    ['the disk is too full', 'disk_too_full', () => [sampleInspection({ freeBytes: 1000 })]],
    ['probes go through a router that is not declared', 'router_missing', () => [sampleInspection(), sampleArtifact({}, { router: null })]],
  ])('%s', (_name, code, args) => {
    expect(refusalOf(...args())).toBe(code);
  });

  test('what restarts with nobody in its place is said beforehand', () => {
    expect(planned().warnings).toEqual(['Service web has one instance in phase installed: its requests fail while it restarts.']);
  });
});

describe('the way back', () => {
  const undoAfter = (title: string, options: { restore?: boolean; first?: boolean; blame?: 'release' | 'host' } = {}): string[] => {
    const plan = options.first ? planned(sampleInspection({ state: null, currentReleaseId: null })) : planned();
    return planUndo(plan, upTo(plan, title), options.restore ?? false, options.blame ?? 'release').map((step) =>
      'releaseId' in step ? `${stepTitle(step)} ${step.releaseId}` : 'condemn' in step && step.condemn ? `${stepTitle(step)} condemned` : stepTitle(step),
    );
  };

  test.each<[string, string, string[]]>([
    ['before anything was downloaded', 'open-intent', ['close-intent']],
    ['while the bundle was fetched', 'download', ['discard', 'close-intent']],
    ['while it was unpacked: the release itself is to blame', 'extract', ['discard condemned', 'close-intent']],
    ['at the activation', 'activate', ['reactivate r1', 'unconfigure', 'verify-health r1', 'discard condemned', 'close-intent']],
    ['an instance was only drained: it is let back in, not restarted', 'drain api-a', ['reactivate r1', 'admit api-a', 'unconfigure', 'verify-health r1', 'discard condemned', 'close-intent']],
    [
      'the second instance never gets ready: back in reverse order, each once',
      'prove api-b',
      ['reactivate r1', 'drain api-b', 'restart api-b r1', 'prove api-b r1', 'admit api-b', 'drain api-a', 'restart api-a r1', 'prove api-a r1', 'admit api-a', 'unconfigure', 'verify-health r1', 'discard condemned', 'close-intent'],
    ],
  ])('%s', (_name, title, steps) => {
    expect(undoAfter(title)).toEqual(steps);
  });

  test('a host that is to blame does not condemn the release', () => {
    expect(undoAfter('activate', { blame: 'host' })).toContain('discard');
  });

  test('a failed first install leaves nothing active and nothing running', () => {
    const steps = undoAfter('prove api-b', { first: true });
    expect(steps.slice(0, 4)).toEqual(['deactivate', 'retire api-b', 'retire api-a', 'unconfigure']);
    expect(steps).not.toContain('verify-health r1');
  });

  /** Guarantee 3. */
  test('in one run an instance is restarted at most once in each direction, wherever it fails', () => {
    const plan = planned();
    for (let count = 1; count <= plan.steps.length; count += 1) {
      const started = plan.steps.slice(0, count);
      const back = planUndo(plan, started, false, 'release');
      for (const way of [started, back]) {
        const restarted = way.filter(({ name }) => name === 'restart').map((step) => ('instance' in step ? step.instance : ''));
        expect(new Set(restarted).size).toBe(restarted.length);
      }
      // Whoever was taken out of the router is let back in.
      for (const step of started) if (step.name === 'drain') expect(back.some((undo) => undo.name === 'admit' && undo.instance === step.instance)).toBe(true);
    }
  });
});
