import type { HostInspection } from '../../../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { planPromotion } from '../../../../src/domain/promotion/plan.ts';
import type { PromotionRequest } from '../../../../src/domain/promotion/request.ts';
import { setupProblem, type SetupStatus } from '../../../../src/domain/promotion/setup.ts';
import type { UpdatePlan } from '../../../../src/domain/update/plan.ts';
import { stepTitle, type UpdateStep } from '../../../../src/domain/update/step.ts';
import { planUndo } from '../../../../src/domain/update/undo.ts';
import { sampleArtifact, sampleInspection, sampleState } from '../../../support/host-samples.ts';

const r1 = 'r1' as ReleaseId;
const request = { host: 'h1', product: 'shop', releaseId: r1, requestedBy: 'test', requestId: 'q' } as unknown as PromotionRequest;
const artifact = sampleArtifact({ releaseId: r1 });
const state = sampleState();
const entry = Object.values(state.instances)[0];
const inSetup = { ...state, phase: 'setup' as const, instances: { ['api-setup' as InstanceName]: { ...entry, service: 'api' }, ['web-setup' as InstanceName]: { ...entry, service: 'web' } } } as typeof state;
const inspection = (change: Partial<HostInspection> = {}): HostInspection => sampleInspection({ state: inSetup, ...change });
function planned(): UpdatePlan {
  const decision = planPromotion(inspection(), artifact, request);
  if (decision.kind !== 'apply') throw new Error(`not planned: ${JSON.stringify(decision)}`);
  return decision.plan;
}
const upTo = (plan: UpdatePlan, title: string): UpdateStep[] => plan.steps.slice(0, plan.steps.findIndex((step) => stepTitle(step) === title) + 1);

describe('the plan of a promotion', () => {
  test('the installed instances are proven beside the setup ones, which are stopped only after the commit', () => {
    expect(planned().steps.map(stepTitle)).toEqual([
      'open-intent', 'check-setup', 'backup', 'arm-recovery', 'write-environment', 'configure',
      'restart api-a', 'prove api-a', 'restart api-b', 'prove api-b', 'restart web-a', 'prove web-a',
      'shift 100 %', 'verify-health', 'commit', 'retire api-setup', 'retire web-setup', 'close-intent',
    ]); // prettier-ignore
  });

  test.each<[string, HostInspection, PromotionRequest, string]>([
    ['installed already', sampleInspection(), request, 'unchanged'],
    ['nothing is installed', sampleInspection({ state: null, currentReleaseId: null }), request, 'nothing_installed'],
    ['another release runs than was asked for', inspection(), { ...request, releaseId: 'r9' as ReleaseId }, 'release_changed'],
    ['current was moved by hand', inspection({ currentReleaseId: 'r9' as ReleaseId }), request, 'release_changed'],
    ['the host is stranded', inspection({ intent: { runId: 'run-0' as RunId, stranded: { class: 'host', code: 'x', message: 'm' } } as HostInspection['intent'] }), request, 'host_stranded'],
  ])('%s', (_name, seen, asked, expected) => {
    const decision = planPromotion(seen, artifact, asked);
    expect(decision.kind === 'refuse' ? decision.reason.code : decision.kind).toBe(expected);
  });

  test.each([
    ['check-setup', ['close-intent']],
    ['write-environment', ['restore-environment', 'close-intent']],
    ['prove api-b', ['retire api-b', 'retire api-a', 'restore-environment', 'unconfigure', 'close-intent']],
    ['verify-health', ['shift 100 %', 'retire web-a', 'retire api-b', 'retire api-a', 'restore-environment', 'unconfigure', 'verify-health', 'close-intent']],
    ['commit', ['reset-phase', 'shift 100 %', 'retire web-a', 'retire api-b', 'retire api-a', 'restore-environment', 'unconfigure', 'verify-health', 'close-intent']],
  ])('it fails at %s: back to a working set-up', (failed, expected) => {
    const plan = planned();
    expect(planUndo(plan, upTo(plan, failed), false, 'release').map(stepTitle)).toEqual(expected);
  });
});

describe('what the setup API says', () => {
  const complete: SetupStatus = { complete: true, missing: [], publicOrigin: 'https://shop.example.org', environment: {} };
  test.each<[string, Partial<SetupStatus>, string | null]>([
    ['complete', {}, null],
    ['complete without a public origin', { publicOrigin: null }, null],
    ['a port and a slash at the end are an origin still', { publicOrigin: 'https://shop.example.org:8443/' }, null],
    ['plain HTTP on this machine, for development', { publicOrigin: 'http://localhost:4000' }, null],
    ['not complete', { complete: false, missing: ['an administrator'] }, 'setup_incomplete'],
    ['not complete, and it does not say why', { complete: false }, 'setup_incomplete'],
    ['complete, and yet something is missing', { missing: ['a licence'] }, 'setup_incomplete'],
    ['an origin with a path', { publicOrigin: 'https://shop.example.org/app' }, 'public_origin_invalid'],
    ['an origin with a password', { publicOrigin: 'https://a:b@shop.example.org' }, 'public_origin_invalid'],
    ['plain HTTP for the world', { publicOrigin: 'http://shop.example.org' }, 'public_origin_invalid'],
    ['no URL at all', { publicOrigin: 'shop' }, 'public_origin_invalid'],
  ])('%s', (_name, change, code) => {
    expect(setupProblem({ ...complete, ...change }, 'shop on h1')?.code ?? null).toBe(code);
  });

  test('what is missing stands in the message', () => {
    expect(setupProblem({ ...complete, complete: false, missing: ['an administrator', 'a licence'] }, 'shop on h1')?.message).toBe('The set-up of shop on h1 is not complete: missing: an administrator, a licence.');
  });
});
