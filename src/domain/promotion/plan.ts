import type { Artifact } from '../bundle/artifact.ts';
import type { Reason } from '../failure.ts';
import type { HostInspection } from '../host/state.ts';
import type { InstanceName } from '../ids.ts';
import { instancesOnHost } from '../host/instances.ts';
import { colourOf } from '../product/manifest.ts';
import { strandedReason, type PlanDecision } from '../update/plan.ts';
import type { UpdateStep } from '../update/step.ts';
import type { PromotionRequest } from './request.ts';

/**
 * Decides what a promotion will do: the instances of the installed phase are brought up beside those of the setup phase, all requests move to them in
 * one change of the router, and only when the installed phase is proven healthy and written down are the setup instances stopped. Until then the way
 * back is one change of the router. Pure.
 *
 * Refuses a host that is stranded, on which nothing is installed, that runs another release than the request names, or whose product has no installed phase.
 */
export function planPromotion(inspection: HostInspection, artifact: Artifact, request: PromotionRequest): PlanDecision {
  const { state, intent } = inspection;
  const place = `${request.host}/${request.product}`;
  const refuse = (reason: Reason): PlanDecision => ({ kind: 'refuse', reason });
  if (intent?.stranded) return refuse(strandedReason(intent, request.product, place));
  const active = state?.activeReleaseId ?? null;
  if (state === null || active === null || state.lastGoodReleaseId === null) {
    return refuse({ class: 'request', code: 'nothing_installed', message: `${place} has no release that could be promoted.`, hint: `Install one first: fairlead update apply --host ${request.host} --product ${request.product}` });
  }
  if (state.phase === 'installed') return { kind: 'unchanged', activeReleaseId: active };
  if (active !== request.releaseId || state.lastGoodReleaseId !== active || inspection.currentReleaseId !== active) {
    return refuse({
      class: 'request',
      code: 'release_changed',
      message: `The promotion was asked for release ${request.releaseId}; ${place} now runs ${active}, and its last good release is ${state.lastGoodReleaseId}.`,
      hint: 'See fairlead update status, then ask again.',
    });
  }
  const { manifest } = artifact;
  const withCertificate = request.certificate !== undefined;
  if (withCertificate && (manifest.router === null || manifest.certificates === null)) {
    return refuse({ class: 'request', code: 'certificates_undeclared', message: `Release ${active} of ${request.product} declares no router that ends TLS.`, hint: 'Add router: and certificates: to fairlead.yaml, or promote without a certificate.' });
  }
  const before = Object.keys(state.instances) as InstanceName[];
  const after = instancesOnHost(manifest, 'installed', state, before.length > 0 ? colourOf(before[0] as string) : 'blue').map(({ name }) => name);
  if (after.length === 0) {
    return refuse({ class: 'release', code: 'no_installed_phase', message: `Release ${active} of ${request.product} declares no instances for the phase installed.`, hint: 'Add services.*.instances.installed to fairlead.yaml.' });
  }
  const shared = after.filter((name) => before.includes(name));
  const brought = after.filter((name) => !before.includes(name));
  const left = before.filter((name) => !after.includes(name));
  const steps: UpdateStep[] = [
    { name: 'open-intent' },
    { name: 'check-setup' },
    // Before anything changes: a CA that refuses leaves the set-up as it is.
    ...(withCertificate ? ([{ name: 'obtain-certificate' }] as const) : []),
    { name: 'backup' },
    { name: 'arm-recovery' },
    // Beside plain HTTP, which serves on: a browser is sent to TLS once the installed phase is healthy.
    ...(withCertificate ? ([{ name: 'serve-certificate' }] as const) : []),
    { name: 'write-environment' },
    { name: 'configure' },
    ...brought.flatMap((instance): UpdateStep[] => [
      { name: 'restart', instance },
      { name: 'prove', instance },
    ]),
    { name: 'shift', percent: 100, to: after, from: left },
    { name: 'verify-health' },
    ...(withCertificate ? ([{ name: 'commit-certificate' }] as const) : []),
    { name: 'commit' },
    ...(withCertificate ? ([{ name: 'keep-certificate' }] as const) : []),
    ...left.map((instance): UpdateStep => ({ name: 'retire', instance })),
    { name: 'close-intent' },
  ];
  const warnings = [
    ...(manifest.setup === null ? ['The manifest declares no setup contract (`setup:`): nobody is asked whether the set-up is complete.'] : []),
    ...(shared.length > 0 ? [`${shared.join(', ')} ${shared.length === 1 ? 'runs' : 'run'} in both phases and ${shared.length === 1 ? 'is' : 'are'} left as ${shared.length === 1 ? 'it is' : 'they are'}.`] : []),
  ];
  return {
    kind: 'apply',
    plan: { kind: 'promotion', phaseBefore: 'setup', phase: 'installed', strategy: 'blue-green', fromReleaseId: active, toReleaseId: active, instancesBefore: before, instancesAfter: after, steps, warnings },
  };
}
