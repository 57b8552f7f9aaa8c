import type { HostId, ProductName, ReleaseId, ServiceName } from '../../../../src/domain/ids.ts';
import { planService, type ServicePlan } from '../../../../src/domain/service/plan.ts';
import type { ServiceRequest } from '../../../../src/domain/service/request.ts';
import { serviceStepTitle, type ServiceStep } from '../../../../src/domain/service/step.ts';
import { planServiceUndo } from '../../../../src/domain/service/undo.ts';
import { sampleServices } from '../../../support/service-samples.ts';

const base = { host: 'h1' as HostId, product: 'shop' as ProductName, service: 'api' as ServiceName, releaseId: 'r1' as ReleaseId, requestedBy: 'ci', requestId: '1' };
function planOf(wish: object): ServicePlan {
  const decision = planService(sampleServices(), { ...base, ...wish } as ServiceRequest);
  if (decision.kind !== 'act') throw new Error(decision.kind);
  return decision.plan;
}
/** Goes forward up to `failed`, which does not come to its end. */
function back(plan: ServicePlan, failed: string, cancelled = false): string[] {
  const at = plan.steps.findIndex((step) => serviceStepTitle(step) === failed);
  const started: ServiceStep[] = plan.steps.slice(0, at + 1);
  return planServiceUndo(plan, started, started.slice(0, -1), cancelled).map((step) => `${serviceStepTitle(step)}${'again' in step && step.again ? ' again' : ''}`);
}
const end = ['verify-health', 'close-intent'];

test.each([
  ['open-intent', ['close-intent']],
  ['arm-recovery', ['close-intent']],
  ['drain api-a', ['admit api-a', ...end]],
  ['restart api-a', ['restart api-a again', 'prove api-a', 'admit api-a', ...end]],
  ['prove api-a', ['restart api-a again', 'prove api-a', 'admit api-a', ...end]],
  ['admit api-a', ['admit api-a', ...end]],
  ['drain api-b', ['admit api-b', ...end]],
  ['prove api-b', ['restart api-b again', 'prove api-b', 'admit api-b', ...end]],
  ['verify-health', end],
])('a restart that fails at %s', (failed, steps) => expect(back(planOf({ action: 'restart' }), failed)).toEqual(steps));

test('a restart that is cancelled starts what does not run, and replaces nothing a second time', () => {
  expect(back(planOf({ action: 'restart' }), 'prove api-a', true)).toEqual(['restart api-a', 'prove api-a', 'admit api-a', ...end]);
});
test.each([
  ['reload api-a', ['prove api-a', ...end]],
  ['prove api-a', ['prove api-a', ...end]],
  ['reload api-b', ['prove api-b', ...end]],
])('a reload that fails at %s restarts nothing', (failed, steps) => expect(back(planOf({ action: 'reload' }), failed)).toEqual(steps));
test.each([
  ['add api-c', ['forget api-c', 'close-intent']],
  ['restart api-c', ['retire api-c', 'forget api-c', ...end]],
  ['verify-health', ['retire api-c', 'forget api-c', ...end]],
])('an instance that cannot be added at %s is taken away', (failed, steps) => expect(back(planOf({ action: 'add-instance', short: 'c' }), failed)).toEqual(steps));
