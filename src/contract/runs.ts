import { z } from 'zod';
import { runKinds } from '../domain/run/kind.ts';
import type { Evidence, Reason as DomainReason } from '../domain/failure.ts';
import type { RunEvent as DomainRunEvent } from '../domain/run/event.ts';
import type { RecoveryRecord as DomainRecoveryRecord, RunProgress as DomainRunProgress, RunReport as DomainRunReport, StepReport as DomainStepReport } from '../domain/run/report.ts';
import { hostId, instanceName, instant, nextBefore, page, productName, releaseId, role, runId } from './identifiers.ts';

export const outcome = z.enum(['succeeded', 'unchanged', 'refused', 'rolled_back', 'stranded', 'cancelled']).meta({
  description: 'How a run ended. `stranded`: the undo failed as well, and the recovery record says how to go on',
});

export const Reason = z
  .object({
    class: z.enum(['release', 'host', 'dependency', 'orchestrator', 'request']),
    code: z.string().meta({ description: 'Stable code, for programs', examples: ['probe_failed'] }),
    message: z.string().meta({ description: 'What happened, where, and which limit was reached' }),
    hint: z.string().optional().meta({ description: 'What to do about it' }),
    retryAt: z.string().optional().meta({ description: 'When the other side said that it may be asked again' }),
  })
  .meta({ id: 'Reason', description: 'Why something did not work' }) satisfies z.ZodType<DomainReason>;

const evidence = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('probe'), at: instant, probe: z.string(), target: z.string(), passed: z.boolean(), answer: z.string() }),
  z.object({ kind: z.literal('log'), at: instant, instance: z.string(), path: z.string(), lines: z.array(z.string()) }),
  z.object({ kind: z.literal('unit'), at: instant, instance: z.string(), status: z.string(), exit: z.string().nullable() }),
  z.object({ kind: z.literal('command'), at: instant, command: z.string(), exit: z.string(), output: z.string() }),
]) satisfies z.ZodType<Evidence>;

export const StepReport = z
  .object({
    name: z.string().meta({ examples: ['activate'] }),
    direction: z.enum(['do', 'undo']),
    instance: instanceName.optional(),
    startedAt: instant,
    durationMs: z.number(),
    attempts: z.number().int(),
    outcome: z.enum(['done', 'failed', 'cancelled', 'skipped']),
    reason: Reason.optional(),
    note: z.string().optional().meta({ description: 'What the step found or made' }),
  })
  .meta({ id: 'StepReport' }) satisfies z.ZodType<DomainStepReport>;

export const RecoveryRecord = z
  .object({
    schema: z.literal(1),
    runId,
    host: hostId,
    product: productName,
    backupPath: z.string().nullable(),
    failedStep: z.string(),
    attemptedReleaseId: releaseId,
    lastGoodReleaseId: releaseId.nullable(),
    activeReleaseId: releaseId.nullable(),
    undone: z.array(z.string()),
    stuckAt: z.string(),
    reason: Reason,
    instances: z.array(z.object({ name: instanceName, status: z.string(), releaseId: releaseId.nullable() })),
    commands: z.array(z.string()).meta({ description: 'What to type on the host, in order' }),
  })
  .meta({ id: 'RecoveryRecord', description: 'What is needed to bring a host back by hand' }) satisfies z.ZodType<DomainRecoveryRecord>;

export const RunReport = z
  .object({
    schema: z.literal(1),
    runId,
    workflowId: z.string(),
    kind: z.enum(runKinds),
    host: hostId,
    product: productName,
    fromReleaseId: releaseId.nullable(),
    toReleaseId: releaseId,
    artifactRole: role,
    artifactProfile: z.string(),
    requestedBy: z.string(),
    startedAt: instant,
    endedAt: instant,
    outcome,
    reason: Reason.nullable(),
    steps: z.array(StepReport),
    evidence: z.array(evidence),
    backupPath: z.string().nullable(),
    recovery: RecoveryRecord.nullable(),
  })
  .meta({ id: 'RunReport', description: 'What a run leaves' }) satisfies z.ZodType<DomainRunReport>;

export const waiting = z.object({ for: z.string(), since: instant, until: instant.nullable(), release: z.string() });

export const RunProgress = z
  .object({
    phase: z.string(),
    step: z.string().nullable(),
    stepsDone: z.number().int(),
    stepsPlanned: z.number().int(),
    direction: z.enum(['do', 'undo']),
    waiting: waiting.nullable().meta({ description: 'What the run waits for, since when, until when, and who can end the wait' }),
    steps: z.array(StepReport),
  })
  .meta({ id: 'RunProgress' }) satisfies z.ZodType<DomainRunProgress>;

export const RunEvent = z
  .object({
    runId,
    sequence: z.number().int().meta({ description: 'Counts from 1 within the run; the id of the server-sent event' }),
    at: instant,
    kind: z.enum(['run_started', 'step_started', 'step_ended', 'undo_started', 'waiting', 'run_ended', 'recovered', 'rollout_changed', 'rollout_progress']),
    step: z.string().nullable(),
    message: z.string(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'RunEvent' }) satisfies z.ZodType<DomainRunEvent>;

export const RunSummary = z
  .object({
    runId,
    workflowId: z.string().meta({ examples: ['host/h1/noderax-platform'] }),
    kind: z.enum(runKinds),
    host: hostId,
    product: productName,
    fromReleaseId: releaseId.nullable(),
    toReleaseId: releaseId,
    requestedBy: z.string(),
    requestedAt: instant,
    endedAt: instant.nullable().meta({ description: 'Null while the run is under way' }),
    outcome: outcome.nullable(),
    recoveredAt: instant.nullable().meta({ description: 'When the host told that it was brought back by hand' }),
  })
  .meta({ id: 'RunSummary' });
export type RunSummary = z.infer<typeof RunSummary>;

export const RunLinks = z
  .object({
    self: z.string().meta({ examples: ['/api/runs/01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10'] }),
    events: z.string().meta({ description: 'Server-sent events' }),
    temporalUi: z.string().nullable().meta({ description: 'The run in the Temporal Web UI' }),
  })
  .meta({ id: 'RunLinks' });
export type RunLinks = z.infer<typeof RunLinks>;

export const RunListQuery = z.strictObject({
  host: hostId.optional(),
  product: productName.optional(),
  outcome: outcome.optional(),
  ...page('runId'),
});
export const RunList = z.object({ runs: z.array(RunSummary), nextBefore }).meta({ id: 'RunList' });
export type RunList = z.infer<typeof RunList>;

export const RunParams = z.object({ id: runId });

export const RunDetail = z
  .object({
    run: RunSummary,
    report: RunReport.nullable().meta({ description: 'Null while the run is under way' }),
    progress: RunProgress.nullable().meta({ description: 'What the run itself says; null once it has ended or where it cannot be asked' }),
    pending: z
      .array(z.object({ activity: z.string(), attempt: z.number().int(), lastError: z.string().nullable(), nextAttemptAt: instant.nullable() }))
      .meta({ description: 'Activities that are not done: what the run hangs on' }),
    liveError: z.string().nullable().meta({ description: 'Why progress and pending could not be had; null where they could' }),
    links: RunLinks,
  })
  .meta({ id: 'RunDetail' });
export type RunDetail = z.infer<typeof RunDetail>;

export const RunCancelBody = z.strictObject({
  reason: z.string().min(1).max(500).meta({ description: 'Goes into the report and the audit', examples: ['wrong release'] }),
});
export const RunCancelAnswer = z.object({ runId, links: RunLinks, state: z.enum(['requested', 'already_ended']) }).meta({ id: 'RunCancelAnswer' });
export type RunCancelAnswer = z.infer<typeof RunCancelAnswer>;

export const RunEventsHeaders = z.object({
  'last-event-id': z.string().regex(/^\d{1,15}$/).optional().meta({ description: 'The sequence of the last event that was received; the stream goes on after it' }),
});
