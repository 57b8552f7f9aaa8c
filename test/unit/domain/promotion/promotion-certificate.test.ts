import type { HostInspection } from '../../../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId } from '../../../../src/domain/ids.ts';
import { planPromotion } from '../../../../src/domain/promotion/plan.ts';
import type { PromotionRequest } from '../../../../src/domain/promotion/request.ts';
import { uncertifiedOrigin } from '../../../../src/domain/promotion/setup.ts';
import type { UpdatePlan } from '../../../../src/domain/update/plan.ts';
import { stepTitle, type UpdateStep } from '../../../../src/domain/update/step.ts';
import { planUndo } from '../../../../src/domain/update/undo.ts';
import { sampleCertificateRequest } from '../../../support/certificate-run-samples.ts';
import { sampleArtifact, sampleInspection, sampleState } from '../../../support/host-samples.ts';

const { wish } = sampleCertificateRequest();
const request = { host: 'h1', product: 'shop', releaseId: 'r1', requestedBy: 'test', requestId: 'q', certificate: { wish, originPort: 80 } } as unknown as PromotionRequest;
const plain = sampleArtifact({ releaseId: 'r1' as ReleaseId });
const artifact = { ...plain, manifest: { ...plain.manifest, certificates: { names: [], ports: [443], redirect: true, hsts: null } } };
const state = sampleState();
const entry = Object.values(state.instances)[0];
const inspection: HostInspection = sampleInspection({ state: { ...state, phase: 'setup', instances: { ['api-setup' as InstanceName]: { ...entry, service: 'api' } } } as typeof state });
function planned(): UpdatePlan {
  const decision = planPromotion(inspection, artifact, request);
  if (decision.kind !== 'apply') throw new Error(`not planned: ${JSON.stringify(decision)}`);
  return decision.plan;
}
const upTo = (title: string): UpdateStep[] => planned().steps.slice(0, planned().steps.findIndex((step) => stepTitle(step) === title) + 1);
const undoOf = (title: string) => planUndo(planned(), upTo(title), false, 'dependency').map(stepTitle);

test('the certificate is got before anything changes, served beside plain HTTP before the product changes, and redirected to once the installed phase is healthy', () => {
  const titles = planned().steps.map(stepTitle);
  expect(titles.slice(0, 7)).toEqual(['open-intent', 'check-setup', 'obtain-certificate', 'backup', 'arm-recovery', 'serve-certificate', 'write-environment']);
  expect(titles.slice(titles.indexOf('verify-health'))).toEqual(['verify-health', 'commit-certificate', 'commit', 'keep-certificate', 'retire api-setup', 'close-intent']);
});

test('a CA that refuses leaves the host as it was; from the first TLS on, the way back ends with plain HTTP as before', () => {
  expect(undoOf('obtain-certificate')).toEqual(['close-intent']);
  expect(undoOf('serve-certificate')).toEqual(['restore-certificate', 'close-intent']);
  for (const failed of ['verify-health', 'commit-certificate', 'commit']) {
    const undo = undoOf(failed);
    expect(undo.filter((title) => title === 'restore-certificate')).toHaveLength(1);
    // The set-up takes the requests before TLS goes, and is proven healthy after it went.
    expect([undo.indexOf('shift 100 %') < undo.indexOf('restore-certificate'), undo.indexOf('restore-certificate') < undo.indexOf('verify-health')]).toEqual([true, true]);
  }
});

test('without TLS in the manifest it is refused before anything', () => {
  expect(planPromotion(inspection, plain, request)).toMatchObject({ kind: 'refuse', reason: { code: 'certificates_undeclared' } });
});

test('the public origin has to be one of the names', () => {
  expect(uncertifiedOrigin('https://app.example.org', ['app.example.org'])).toBe(null);
  expect(uncertifiedOrigin('https://app.example.org:8443', ['*.example.org'])).toBe(null);
  expect(uncertifiedOrigin('https://shop.example.org', ['app.example.org'])).toMatchObject({ class: 'request', code: 'public_origin_uncertified', hint: expect.stringContaining('shop.example.org') });
});
