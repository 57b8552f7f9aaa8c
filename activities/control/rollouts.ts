import type { Reason } from '../../src/domain/failure.ts';
import { rolloutWorkflowId, type RolloutId, type RunId } from '../../src/domain/ids.ts';
import type { Role } from '../../src/domain/product/manifest.ts';
import { fleetOf } from '../../src/domain/rollout/fleet.ts';
import { freezeOf, type Freeze } from '../../src/domain/rollout/freeze.ts';
import { judgeMetric, type GateVerdict, type JudgedGate, type WindowGate } from '../../src/domain/rollout/gate.ts';
import type { RolloutOutcome } from '../../src/domain/rollout/outcome.ts';
import { outlineOf, type RolloutOutline } from '../../src/domain/rollout/outline.ts';
import { planRollout } from '../../src/domain/rollout/plan.ts';
import type { RolloutRequest } from '../../src/domain/rollout/request.ts';
import { turnOf } from '../../src/domain/rollout/turn.ts';
import type { RunEvent } from '../../src/domain/run/event.ts';
import type { ProductName } from '../../src/domain/ids.ts';
import type { Calendar } from '../../src/ports/calendar.ts';
import type { AuditLog, HostRegistry, ReleaseCatalog, RunStore } from '../../src/ports/control-stores.ts';
import type { FleetObserver } from '../../src/ports/fleet-observer.ts';
import type { GateSource } from '../../src/ports/gate-source.ts';
import type { MetricSource } from '../../src/ports/metric-source.ts';
import type { RolloutStanding } from '../../src/domain/rollout/standing.ts';
import type { RolloutStore } from '../../src/ports/rollout-store.ts';

export interface RolloutDependencies {
  readonly rollouts: RolloutStore;
  readonly runs: RunStore;
  readonly hosts: HostRegistry;
  readonly releases: ReleaseCatalog;
  readonly audit: AuditLog;
  readonly observer: FleetObserver;
  readonly calendar: Calendar;
  readonly metrics: MetricSource;
  readonly gates: GateSource;
  readonly now: () => Date;
}

/** What came of the question whose turn it is, and of planning. */
export type PlanAnswer =
  | { readonly kind: 'planned'; readonly outline: RolloutOutline }
  | { readonly kind: 'refused'; readonly reason: Reason }
  /** Another rollout is first. Those in `supersedes` are to be told that a newer one came. */
  | { readonly kind: 'queued'; readonly behind: RolloutId; readonly supersedes: readonly RolloutId[] };

const neverCancelled = (): AbortSignal => AbortSignal.timeout(20_000);

/** What a rollout's workflow needs of control. Every one is idempotent by the rollout's id. */
export function createRolloutActivities({ rollouts, runs, hosts, releases, audit, calendar, metrics, gates, now }: RolloutDependencies) {
  const entry = (event: string, rolloutId: RolloutId, actor: string, detail: Readonly<Record<string, unknown>>) => ({ at: now().toISOString(), event, actor, subject: rolloutWorkflowId(rolloutId), runId: rolloutId as string as RunId, detail });

  /** The profile of each role's artifact, or why there is none. */
  async function profilesOf(request: RolloutRequest, roles: ReadonlySet<Role>): Promise<Partial<Record<Role, string>> | Reason> {
    const profiles: Partial<Record<Role, string>> = {};
    for (const role of roles) {
      const artifact = await releases.find(request.product, request.releaseId, role);
      if (!artifact) return { class: 'request', code: 'no_artifact_for_role', message: `Release ${request.releaseId} of ${request.product} has no artifact for role ${role}, which hosts of this rollout have.`, hint: `Build it with fairlead bundle create --role ${role}, and publish it.` };
      profiles[role] = artifact.profile;
    }
    return profiles;
  }

  return {
    /** Takes the rollout's turn, or says behind which it has to wait; then plans it, writes the host list and the audit row of the intent. */
    async planRollout(input: { readonly rolloutId: RolloutId; readonly request: RolloutRequest; readonly requestedAt: string }): Promise<PlanAnswer> {
      const { rolloutId, request, requestedAt } = input;
      await rollouts.open({ rolloutId, request, requestedAt });
      const open = await rollouts.openBefore(rolloutId, request.product);
      const turn = turnOf(open.map((row) => ({ rollout: row.rolloutId, product: row.product, phase: row.standing.phase, requestedAt: row.requestedAt })), request);
      if (turn.kind === 'refuse') return { kind: 'refused', reason: turn.reason };
      if (turn.kind === 'queue') return { kind: 'queued', behind: turn.behind as RolloutId, supersedes: [] };
      if (turn.kind === 'supersede') return { kind: 'queued', behind: turn.behind as RolloutId, supersedes: turn.rollouts as readonly RolloutId[] };
      const decision = planRollout(fleetOf(await hosts.list(), request), request, now().toISOString());
      if (decision.kind === 'refuse') return { kind: 'refused', reason: decision.reason };
      const { plan } = decision;
      const profiles = await profilesOf(request, new Set(plan.waves.flatMap((wave) => wave.hosts.map(({ artifactRole }) => artifactRole))));
      if ('code' in profiles) return { kind: 'refused', reason: profiles as Reason };
      const outline = outlineOf(plan, request);
      await rollouts.keepPlan(rolloutId, plan, outline, profiles as Partial<Record<Role, string>>);
      await audit.append(entry('rollout.intended', rolloutId, request.requestedBy, { product: request.product, releaseId: request.releaseId, strategy: request.strategy, waves: outline.waves, unchanged: outline.unchanged, skipped: outline.skipped }), `${rolloutId}/intended`);
      return { kind: 'planned', outline };
    },

    /** The freeze that holds the product now, or null. */
    async freezeNow(input: { readonly product: ProductName }): Promise<Freeze | null> {
      const at = now().toISOString();
      return freezeOf(await rollouts.freezes(at), input.product, at);
    },

    async askGate(input: { readonly gate: Exclude<JudgedGate, { kind: 'approval' }> }): Promise<{ verdict: GateVerdict; note: string }> {
      const { gate } = input;
      if (gate.kind === 'external') return gates.ask(gate.url, neverCancelled());
      const { value, why } = await metrics.query(gate.url, gate.query, neverCancelled());
      return judgeMetric(gate, value, why);
    },

    async askWindow(input: { readonly gate: WindowGate }): Promise<{ open: boolean; until: string | null }> {
      const { open, until } = calendar.windowAt(input.gate.window, now().toISOString());
      return { open, until };
    },

    /** Where the rollout stands, and the lines of its story since the last time. */
    async noteRollout(input: { readonly rolloutId: RolloutId; readonly standing: RolloutStanding; readonly events: readonly RunEvent[] }): Promise<void> {
      const { rolloutId, standing } = input;
      await rollouts.keepStanding(rolloutId, standing);
      await runs.appendEvents(input.events);
      // Nothing goes on until a person decides: who is told of anything is told of rows of the audit.
      const { phase, status, wave, waiting, approvals = [] } = standing;
      const held = phase === 'Halted' ? 'halted' : status === 'paused' ? 'paused' : null;
      if (held !== null) await audit.append(entry(`rollout.${held}`, rolloutId, 'fairlead', { wave, waiting }), `${rolloutId}/${held}/${waiting?.since ?? ''}`);
      for (const wanted of approvals) await audit.append(entry('rollout.approval_needed', rolloutId, 'fairlead', { wave, ...wanted }), `${rolloutId}/approval_needed/${wanted.gate}/${wanted.since}`);
    },

    /** What a person asked of it, before it is done. */
    async recordCommand(input: { readonly rolloutId: RolloutId; readonly command: string; readonly by: string; readonly commandId: string; readonly detail: Readonly<Record<string, unknown>> }): Promise<void> {
      const { rolloutId, command, by, commandId, detail } = input;
      await audit.append(entry(`rollout.${command}`, rolloutId, by, detail), `${rolloutId}/${commandId}`);
    },

    /** The end: the row, the audit row after the last change. @returns the rollouts that have waited for it */
    async closeRollout(input: {
      readonly rolloutId: RolloutId;
      readonly end: { readonly outcome: RolloutOutcome; readonly ok: boolean; readonly reason: Reason | null; readonly at: string };
      readonly standing: RolloutStanding;
      readonly events: readonly RunEvent[];
    }): Promise<{ queued: readonly RolloutId[] }> {
      const { rolloutId, end, standing, events } = input;
      await runs.appendEvents(events);
      const queued = await rollouts.queuedBehind(rolloutId);
      await rollouts.close(rolloutId, { ...end, standing });
      await audit.append(entry('rollout.ended', rolloutId, 'fairlead', { ...end, counts: standing.counts }), `${rolloutId}/ended`);
      return { queued };
    },
  };
}

export type RolloutActivities = ReturnType<typeof createRolloutActivities>;
