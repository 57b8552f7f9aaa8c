import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import { FairleadError, type Reason } from '../../src/domain/failure.ts';
import { hostWorkflowId, type RunId } from '../../src/domain/ids.ts';
import type { RunEvent } from '../../src/domain/run/event.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import type { UpdatePlan } from '../../src/domain/update/plan.ts';
import type { PromotionRequest } from '../../src/domain/promotion/request.ts';
import type { RunKind } from '../../src/domain/run/kind.ts';
import { stepTitle } from '../../src/domain/update/step.ts';
import type { FleetStateStore } from '../../src/ports/fleet-stores.ts';
import type { AuditLog, HostRegistry, ReleaseCatalog, RunStore } from '../../src/ports/control-stores.ts';

/** What every request of a run on one host says. */
type RunRequest = PromotionRequest;

export interface ControlDependencies {
  readonly runs: RunStore;
  readonly releases: ReleaseCatalog;
  readonly hosts: HostRegistry;
  readonly audit: AuditLog;
  readonly fleet: Pick<FleetStateStore, 'noteRun'>;
  readonly now: () => Date;
}

/** The activities of the control worker: what a run needs of PostgreSQL. Every one is idempotent by the run's id. */
export function createControlActivities({ runs, releases, hosts, audit, fleet, now }: ControlDependencies) {
  const subjectOf = (request: RunRequest) => hostWorkflowId(request.host, request.product);

  return {
    /** Registers the run, gives its fencing token, and finds the artifact for the host's role. Refuses an unknown release or role. */
    async openRun(input: { readonly runId: RunId; readonly kind?: RunKind; readonly request: RunRequest; readonly requestedAt: string }): Promise<{ fence: number; artifact: Artifact }> {
      const { runId, request, requestedAt } = input;
      const { host, product, releaseId, requestedBy } = request;
      const { fence } = await runs.open({
        runId,
        workflowId: hostWorkflowId(host, product),
        kind: input.kind ?? 'update-apply',
        host,
        product,
        toReleaseId: releaseId,
        requestedBy,
        requestedAt,
      });
      const role = request.role ?? (await hosts.find(host))?.role ?? 'node';
      const artifact = await releases.find(product, releaseId, role);
      if (artifact) return { fence, artifact };
      throw new FairleadError({
        class: 'request',
        code: 'no_artifact_for_role',
        message: `Release ${releaseId} of ${product} has no artifact for role ${role}, which host ${host} has.`,
        hint: `See what is published: fairlead release show ${product} ${releaseId}. Build the missing one with fairlead bundle create --role ${role}.`,
      });
    },

    /** The audit row that stands before the first change: who wants what done to which host, step by step. */
    async recordIntent(input: { readonly runId: RunId; readonly request: RunRequest; readonly plan: UpdatePlan }): Promise<void> {
      const { runId, request, plan } = input;
      const { kind, fromReleaseId, toReleaseId, phaseBefore, phase, strategy, steps } = plan;
      const detail = { kind, fromReleaseId, toReleaseId, phaseBefore, phase, strategy, requestId: request.requestId, steps: steps.map(stepTitle) };
      const entry = { at: now().toISOString(), event: 'run.intended', actor: request.requestedBy, subject: subjectOf(request), runId, detail };
      await audit.append(entry, `${runId}/intended`);
    },

    /** The audit row that stands before the first step back. */
    async recordUndo(input: { readonly runId: RunId; readonly request: RunRequest; readonly failedStep: string; readonly reason: Reason; readonly steps: readonly string[] }): Promise<void> {
      const { runId, request, failedStep, reason, steps } = input;
      const detail = { failedStep, reason, steps };
      const entry = { at: now().toISOString(), event: 'run.undo_intended', actor: 'fairlead', subject: subjectOf(request), runId, detail };
      await audit.append(entry, `${runId}/undo_intended`);
    },

    async recordEvents(input: { readonly events: readonly RunEvent[] }): Promise<void> {
      await runs.appendEvents(input.events);
    },

    /** The last lines of the run's story, its report, and the audit row after the last change. */
    async closeRun(input: { readonly report: RunReport; readonly events: readonly RunEvent[] }): Promise<void> {
      const { report, events } = input;
      // Whoever follows the run stops where it has a report: the story has to be whole by then.
      await runs.appendEvents(events);
      await runs.close(report);
      await fleet.noteRun(report);
      const detail = { outcome: report.outcome, reason: report.reason, fromReleaseId: report.fromReleaseId, toReleaseId: report.toReleaseId, backupPath: report.backupPath };
      const entry = { at: now().toISOString(), event: 'run.ended', actor: 'fairlead', subject: report.workflowId, runId: report.runId, detail };
      await audit.append(entry, `${report.runId}/ended`);
    },
  };
}

export type ControlActivities = ReturnType<typeof createControlActivities>;
