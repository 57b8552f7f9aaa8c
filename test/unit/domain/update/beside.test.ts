import { instancesOf } from '../../../../src/domain/product/manifest.ts';
import { planUpdate, type UpdatePlan } from '../../../../src/domain/update/plan.ts';
import type { UpdateRequest } from '../../../../src/domain/update/request.ts';
import { stepTitle, type UpdateStep } from '../../../../src/domain/update/step.ts';
import { planUndo } from '../../../../src/domain/update/undo.ts';
import { sampleArtifact, sampleInspection, sampleManifest, sampleState } from '../../../support/host-samples.ts';

const asked = { host: 'h1', product: 'shop', releaseId: 'r2', strategy: 'blue-green', requestedBy: 'test', requestId: 'q' } as unknown as UpdateRequest;
function planned(change: Partial<UpdateRequest> = {}, inspection = sampleInspection()): UpdatePlan {
  const decision = planUpdate(inspection, sampleArtifact(), { ...asked, ...change });
  if (decision.kind !== 'apply') throw new Error(`not planned: ${JSON.stringify(decision)}`);
  return decision.plan;
}
const green = ['api-a-green', 'api-b-green', 'web-a-green'];
const blue = ['api-a', 'api-b', 'web-a'];
const upTo = (plan: UpdatePlan, title: string): UpdateStep[] => plan.steps.slice(0, plan.steps.findIndex((step) => stepTitle(step) === title) + 1);

describe('a release beside the old one', () => {
  test('blue-green: all of the idle colour is proven before one request moves, and the old colour is stopped after the commit', () => {
    const plan = planned();
    expect(plan.steps.map(stepTitle)).toEqual([
      'open-intent', 'download', 'verify', 'extract', 'preflight', 'backup', 'arm-recovery', 'configure',
      'restart api-a-green', 'prove api-a-green', 'restart api-b-green', 'prove api-b-green', 'restart web-a-green', 'prove web-a-green',
      'activate', 'shift 100 %', 'verify-health', 'hold 100 %', 'commit', 'retire api-a', 'retire api-b', 'retire web-a', 'prune', 'close-intent',
    ]); // prettier-ignore
    expect([plan.instancesBefore, plan.instancesAfter]).toEqual([blue, green]);
    expect(plan.steps.find(({ name }) => name === 'hold')).toMatchObject({ seconds: 30, judged: false });
  });

  test('a canary: each tier is shifted, held and judged; the release becomes active with the last of the requests', () => {
    const titles = planned({ strategy: 'canary' }).steps.map(stepTitle);
    expect(titles.slice(titles.indexOf('prove web-a-green') + 1, titles.indexOf('commit'))).toEqual([
      'shift 1 %', 'hold 1 %', 'shift 10 %', 'hold 10 %', 'shift 50 %', 'hold 50 %', 'activate', 'shift 100 %', 'verify-health', 'hold 100 %',
    ]); // prettier-ignore
  });

  test('tiers and their time can be asked for; 100 is always the last and comes once', () => {
    const holds = planned({ strategy: 'canary', tiers: [25, 100], holdSeconds: 7 }).steps.filter(({ name }) => name === 'hold');
    expect(holds).toMatchObject([{ percent: 25, seconds: 7, judged: true }, { percent: 100, seconds: 7, judged: true }]);
  });

  test('the colour that serves is kept by an update in place, and left by the next one beside it', () => {
    const state = sampleState();
    const serving = { ...state, instances: Object.fromEntries(Object.entries(state.instances).map(([name, entry]) => [`${name}-green`, entry])) };
    const inspection = sampleInspection({ state: serving });
    expect(planned({ strategy: 'rolling' }, inspection).instancesAfter).toEqual(green);
    expect(planned({}, inspection).instancesAfter).toEqual(blue);
  });

  test('a first install has nothing to stand beside: in place', () => {
    const plan = planned({}, sampleInspection({ state: null, currentReleaseId: null }));
    expect([plan.strategy, plan.steps.some(({ name }) => name === 'shift')]).toEqual(['rolling', false]);
  });

  test('a service without a route is warned of: both releases of it work for a while', () => {
    expect(planned().warnings).toEqual([expect.stringContaining('Service api gets no requests from the router')]);
  });

  test('an instance of the idle colour does not get ready: it is taken away, and nothing that serves was touched', () => {
    const plan = planned();
    expect(planUndo(plan, upTo(plan, 'prove api-b-green'), false, 'release').map(stepTitle)).toEqual(['retire api-b-green', 'retire api-a-green', 'unconfigure', 'discard', 'close-intent']);
  });

  test('after the flip: the old colour has all requests again before one of the new is stopped, and none of the old is restarted', () => {
    const plan = planned();
    const undo = planUndo(plan, upTo(plan, 'verify-health'), false, 'release');
    expect(undo.map(stepTitle)).toEqual(['reactivate', 'shift 100 %', 'retire web-a-green', 'retire api-b-green', 'retire api-a-green', 'unconfigure', 'verify-health', 'discard', 'close-intent']);
    expect(undo[1]).toMatchObject({ to: blue, from: green });
  });

  test('in a tier of a canary: current was never moved, so that it is not moved back', () => {
    const plan = planned({ strategy: 'canary' });
    const undo = planUndo(plan, upTo(plan, 'hold 10 %'), false, 'release');
    expect(undo.map(stepTitle).slice(0, 2)).toEqual(['shift 100 %', 'retire web-a-green']);
    expect(undo.map(({ name }) => name)).toContain('verify-health');
  });

  test('a green twin has the port that the manifest gives it, else one a thousand higher', () => {
    const manifest = sampleManifest();
    const services = manifest.services.map((service) => ({ ...service, ports: { ...service.ports, 'b-green': 9999 } }));
    expect(instancesOf({ ...manifest, services }, 'installed', 'green').map(({ name, port }) => [name, port])).toEqual([['api-a-green', 5101], ['api-b-green', 9999], ['web-a-green', 5202]]);
  });
});
