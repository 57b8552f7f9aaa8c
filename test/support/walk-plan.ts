import { setTimeout } from 'node:timers/promises';
import type { HostDependencies, RunRef } from '../../activities/host/dependencies.ts';
import { createHostActivities, type AnyHostActivity } from '../../activities/host/index.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { ProductName, RunId, ServiceName } from '../../src/domain/ids.ts';
import { planPromotion } from '../../src/domain/promotion/plan.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import type { ServiceManifest } from '../../src/domain/service/inspection.ts';
import { planService } from '../../src/domain/service/plan.ts';
import type { RestartRequest } from '../../src/domain/service/request.ts';
import { serviceStepTitle } from '../../src/domain/service/step.ts';
import { planUpdate, type UpdatePlan } from '../../src/domain/update/plan.ts';
import type { Strategy, UpdateRequest } from '../../src/domain/update/request.ts';
import { stepTitle, type UpdateStep } from '../../src/domain/update/step.ts';
import type { HostCalls } from '../../workflows/support/host-calls.ts';
import { executeServiceStep } from '../../workflows/support/service-steps.ts';
import { executeStep } from '../../workflows/support/update-steps.ts';

/** A run that is walked step by step, by the workflow's own executors but without a workflow: each step is what the agent would be asked for. */
export interface SteppedRun {
  readonly run: RunRef;
  readonly steps: readonly { readonly title: string; take(host: HostDependencies): Promise<void> }[];
  /** As much of the report as `brokenOutcome` reads. */
  report(): RunReport;
}

/** An update or a promotion, whose plan is at hand. */
export interface Walk extends SteppedRun {
  readonly plan: UpdatePlan;
  /** Takes one step, on the host as it is composed now: after a power cut that is another one. */
  take(host: HostDependencies, step: UpdateStep): Promise<void>;
}

const runOn = (host: HostDependencies, product: ProductName, fence: number): RunRef => ({ runId: `00000000-0000-4000-8000-${String(fence).padStart(12, '0')}` as RunId, host: host.host, product, fence });

/** The agent's activities, asked for in this process. */
function callsOn(host: HostDependencies): HostCalls {
  const activities = createHostActivities(host).activities as unknown as Readonly<Record<string, AnyHostActivity>>;
  return (async (name: string, input: unknown) => ({
    value: await (activities[name] as AnyHostActivity)(input as never, { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 }),
    attempt: 1,
  })) as HostCalls;
}

/**
 * Plans an update of the host to `artifact`, or the promotion of it.
 * @param fence higher than that of every walk before it on this host
 */
export async function planWalk(host: HostDependencies, artifact: Artifact, fence: number, ask: { readonly strategy?: Strategy; readonly phase?: 'setup' | 'installed'; readonly promotion?: boolean } = {}): Promise<Walk> {
  const { product, releaseId } = artifact;
  const run = runOn(host, product, fence);
  const request: UpdateRequest = { host: host.host, product, releaseId, strategy: ask.strategy ?? 'rolling', bakeSeconds: 0, holdSeconds: 0, requestedBy: 'test', requestId: run.runId, ...(ask.promotion ? {} : { phase: ask.phase ?? 'installed' }) };
  const inspection = await createHostActivities(host).activities.inspectHost({ product });
  const decision = ask.promotion ? planPromotion(inspection, artifact, request) : planUpdate(inspection, artifact, request);
  if (decision.kind !== 'apply') throw new Error(`nothing to walk: ${JSON.stringify(decision)}`);
  const { plan } = decision;
  let shiftedAt: string | null = null;
  async function take(on: HostDependencies, step: UpdateStep): Promise<void> {
    // A workflow keeps it from the step `backup`; a walk may be taken up at any step.
    const backupPath = (await on.backups.isComplete(product, run.runId)) ? on.backups.path(product, run.runId) : null;
    const result = await executeStep(step, { run, request, artifact, plan, call: callsOn(on), backupPath, shiftedAt, certificateVersion: null, pause: (ms) => setTimeout(ms), wait: () => undefined });
    shiftedAt = result.shiftedAt ?? shiftedAt;
  }
  return {
    run,
    plan,
    take,
    steps: plan.steps.map((step) => ({ title: stepTitle(step), take: (on) => take(on, step) })),
    report: () => ({ product, outcome: 'succeeded', runId: run.runId, fromReleaseId: plan.fromReleaseId, toReleaseId: plan.toReleaseId }) as RunReport,
  };
}

/** Plans a restart of a service on the release that is active. @param fence higher than that of every walk before it on this host */
export async function planRestartWalk(host: HostDependencies, product: ProductName, service: ServiceName, fence: number): Promise<SteppedRun> {
  const run = runOn(host, product, fence);
  const inspection = await createHostActivities(host).activities.inspectServices({ product });
  const releaseId = inspection.state?.activeReleaseId;
  if (!releaseId) throw new Error('nothing is installed');
  const request: RestartRequest = { action: 'restart', host: host.host, product, service, releaseId, bakeSeconds: 0, requestedBy: 'test', requestId: run.runId };
  const decision = planService(inspection, request);
  if (decision.kind !== 'act') throw new Error(`nothing to walk: ${JSON.stringify(decision)}`);
  const { plan } = decision;
  const context = { run, request, manifest: inspection.manifest as ServiceManifest, plan };
  return {
    run,
    steps: plan.steps.map((step) => ({ title: serviceStepTitle(step), take: async (on) => void (await executeServiceStep(step, { ...context, call: callsOn(on) })) })),
    report: () => ({ product, outcome: 'succeeded', runId: run.runId, fromReleaseId: releaseId, toReleaseId: releaseId }) as RunReport,
  };
}
