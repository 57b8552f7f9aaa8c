import type { HostDependencies, RunRef } from '../../activities/host/dependencies.ts';
import { createHostActivities, type AnyHostActivity } from '../../activities/host/index.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { RunId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { planUpdate, type UpdatePlan } from '../../src/domain/update/plan.ts';
import type { UpdateRequest } from '../../src/domain/update/request.ts';
import type { UpdateStep } from '../../src/domain/update/step.ts';
import type { HostCalls } from '../../workflows/support/host-calls.ts';
import { executeStep } from '../../workflows/support/update-steps.ts';

/** An update that is walked step by step, by the workflow's own executors but without a workflow: each step is what the agent would be asked for. */
export interface Walk {
  readonly run: RunRef;
  readonly plan: UpdatePlan;
  /** Takes one step, on the host as it is composed now: after a power cut that is another one. */
  take(host: HostDependencies, step: UpdateStep): Promise<void>;
  /** As much of the report as `brokenOutcome` reads. */
  report(): RunReport;
}

/** Plans the update of `artifact` on the host. @param fence higher than that of every walk before it on this host */
export async function planWalk(host: HostDependencies, artifact: Artifact, fence: number): Promise<Walk> {
  const { product, releaseId } = artifact;
  const run: RunRef = { runId: `00000000-0000-4000-8000-${String(fence).padStart(12, '0')}` as RunId, host: host.host, product, fence };
  const request: UpdateRequest = { host: host.host, product, releaseId, phase: 'installed', strategy: 'rolling', bakeSeconds: 0, requestedBy: 'test', requestId: run.runId };
  const decision = planUpdate(await createHostActivities(host).activities.inspectHost({ product }), artifact, request);
  if (decision.kind !== 'apply') throw new Error(`nothing to walk: ${JSON.stringify(decision)}`);
  const { plan } = decision;
  return {
    run,
    plan,
    async take(on, step) {
      const activities = createHostActivities(on).activities as unknown as Readonly<Record<string, AnyHostActivity>>;
      const call = (async (name: string, input: unknown) => ({
        value: await (activities[name] as AnyHostActivity)(input as never, { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 }),
        attempt: 1,
      })) as HostCalls;
      // A workflow keeps it from the step `backup`; a walk may be taken up at any step.
      const backupPath = (await on.backups.isComplete(product, run.runId)) ? on.backups.path(product, run.runId) : null;
      await executeStep(step, { run, request, artifact, plan, call, backupPath, shiftedAt: null, wait: () => undefined });
    },
    report: () => ({ product, outcome: 'succeeded', runId: run.runId, fromReleaseId: plan.fromReleaseId, toReleaseId: plan.toReleaseId }) as RunReport,
  };
}
