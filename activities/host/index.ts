import type { ActivityContext } from '../../src/ports/host-activity.ts';
import { createActivationActivities } from './activation.ts';
import { createBundleActivities } from './bundle.ts';
import { createCertificateLook, createIssuingActivities } from './certificate-issuing.ts';
import { createCertificateProof } from './certificate-proof.ts';
import { createCertificateRecovery } from './certificate-recovery.ts';
import { createCertificateOpening, createCertificateSealing } from './certificate-sealing.ts';
import { createCertificateActivities, createCertificateInspection } from './certificates.ts';
import { createConfigurationActivities } from './configuration.ts';
import type { HostDependencies } from './dependencies.ts';
import { createGuard } from './guard.ts';
import { createHealthActivities } from './health.ts';
import { createInspectionActivities } from './inspection.ts';
import { createInstanceActivities } from './instances.ts';
import { createIntentActivities } from './intent.ts';
import { createOwnProcess } from './own-process.ts';
import { createPreparationActivities } from './preparation.ts';
import { createPromotionActivities } from './promotion.ts';
import { createProofActivities } from './proof.ts';
import { createRecoveryActivities } from './recovery.ts';
import { createServiceActivities, createServiceInspection } from './services.ts';
import { createTrafficActivities } from './traffic.ts';

/** Every activity that a host's agent offers on its task queue. Those with a `run` in their input are fenced, and one at a time per product. */
export function createHostActivities(dependencies: HostDependencies) {
  const { guarded, exclusively } = createGuard(dependencies, { around: createOwnProcess(dependencies).around });
  const { inspectHost } = createInspectionActivities(dependencies);
  const { inspectServices } = createServiceInspection(dependencies);
  const { inspectCertificates } = createCertificateInspection(dependencies);
  const { lookAtCertificate } = createCertificateLook(dependencies);
  const { sealCertificate } = createCertificateSealing(dependencies);
  const { checkPublicOrigin, ...switching } = createCertificateActivities(dependencies);
  const { prefetchBundle, ...bundles } = createBundleActivities(dependencies);
  const commands = {
    ...createIntentActivities(dependencies),
    ...bundles,
    ...createPreparationActivities(dependencies),
    ...createActivationActivities(dependencies),
    ...createConfigurationActivities(dependencies),
    ...createInstanceActivities(dependencies),
    ...createProofActivities(dependencies),
    ...createHealthActivities(dependencies),
    ...createRecoveryActivities(dependencies),
    ...createPromotionActivities(dependencies),
    ...createTrafficActivities(dependencies),
    ...createServiceActivities(dependencies),
    ...switching,
    ...createCertificateProof(dependencies),
    ...createCertificateRecovery(dependencies),
  };
  // Beside runs that change the host. What writes the router's configuration takes its turn among theirs all the same.
  const issuing = {
    ...createIssuingActivities(dependencies),
    ...createCertificateOpening(dependencies),
    checkPublicOrigin: (input: Parameters<typeof checkPublicOrigin>[0], context: ActivityContext) => exclusively(input.run.product, () => checkPublicOrigin(input, context)),
  };
  type Commands = typeof commands & typeof issuing;
  type Fenced = { [Name in keyof Commands]: (input: Parameters<Commands[Name]>[0], context: ActivityContext) => ReturnType<Commands[Name]> };
  const { guarded: guardedIssuing } = createGuard(dependencies, { line: 'issuing' });
  const fence = (all: object, guard: typeof guarded) => Object.entries(all).map(([name, activity]) => [name, guard(activity as never)]);
  const fenced = Object.fromEntries([...fence(commands, guarded), ...fence(issuing, guardedIssuing)]) as unknown as Fenced;
  const prefetchInTurn: typeof prefetchBundle = (input, context) => exclusively(input.product, () => prefetchBundle(input, context));
  return { activities: { inspectHost, inspectServices, inspectCertificates, lookAtCertificate, sealCertificate, prefetchBundle: prefetchInTurn, ...fenced }, exclusively };
}

type Implemented = ReturnType<typeof createHostActivities>['activities'];
export type HostActivityName = keyof Implemented;
export type HostActivityInput<Name extends HostActivityName> = Parameters<Implemented[Name]>[0];

/** What an activity's result looks like to a workflow: the agent adds which attempt it was. */
export interface Done<Value> {
  readonly value: Value;
  readonly attempt: number;
}

/** The activities as a workflow calls them: without the context, which the agent adds. */
export type HostActivities = {
  [Name in HostActivityName]: (input: HostActivityInput<Name>) => Promise<Done<Awaited<ReturnType<Implemented[Name]>>>>;
};

/** An activity as the agent's poller runs it. */
export type AnyHostActivity = (input: never, context: ActivityContext) => Promise<unknown>;
