import { z } from 'zod';
import { strategies } from '../domain/update/request.ts';
import { hostStatus } from './hosts.ts';
import { hostId, instanceName, instant, nextBefore, page, phase, productName, reason, releaseId, role, runId, sha256 } from './identifiers.ts';
import { channel, UpdatePolicy } from './policies.ts';
import { Reason, RunLinks, RunProgress, RunSummary, waiting } from './runs.ts';

const target = { host: hostId, product: productName };

export const UpdateCheckBody = z.strictObject(target);
export const UpdateCheckAnswer = z
  .object({
    ...target,
    role: role.meta({ description: "The host's role: only artifacts of this role count" }),
    activeReleaseId: releaseId.nullable(),
    channel: channel.meta({ description: 'What the host follows, by its policy or that of the product' }),
    policy: UpdatePolicy.pick({ action: true, windows: true, host: true }).meta({ description: 'What the release check does by itself here; `host` is null where the policy is that of the product, or nobody said one' }),
    updateAvailable: z.boolean(),
    newest: z.object({ releaseId, platformVersion: z.string(), publishedAt: instant }).nullable().meta({ description: "The release published last that is in the host's channel and not condemned on it" }),
    candidates: z
      .array(
        z.object({
          releaseId,
          platformVersion: z.string(),
          publishedAt: instant,
          channel,
          active: z.boolean(),
          condemned: z.boolean().meta({ description: 'A run on this host failed because of it' }),
          signedByTrusted: z.boolean().nullable().meta({ description: 'Null where the host demands no signature' }),
        }),
      )
      .meta({ description: "The releases for the host's role, newest first" }),
  })
  .meta({ id: 'UpdateCheckAnswer' });
export type UpdateCheckAnswer = z.infer<typeof UpdateCheckAnswer>;

export const UpdateDownload = z
  .object({
    workflowId: z.string(),
    releaseId,
    sha256,
    sizeBytes: z.number().int(),
    requestedBy: z.string(),
    requestedAt: instant,
    endedAt: instant.nullable(),
    state: z.enum(['waiting', 'running', 'fetched', 'failed']).meta({ description: '`waiting`: for the host, or for its next attempt. `fetched` is how it ended: an update to another release since then has removed the bundle' }),
    progress: z.object({ what: z.string(), done: z.number(), total: z.number() }).nullable().meta({ description: 'What the host told last' }),
    waiting: waiting.nullable().meta({ description: 'For what, since when, until when, and who can end the wait' }),
    reason: Reason.nullable().meta({ description: 'Why it failed' }),
  })
  .meta({ id: 'UpdateDownload', description: 'A bundle on its way to a host, ahead of its update' });
export type UpdateDownload = z.infer<typeof UpdateDownload>;

export const UpdateStatusQuery = z.strictObject(target);
export const UpdateStatusAnswer = z
  .object({
    ...target,
    hostStatus,
    lastSeenAt: instant,
    phase: phase.nullable().meta({ description: 'Null where nothing is installed' }),
    activeReleaseId: releaseId.nullable(),
    lastGoodReleaseId: releaseId.nullable(),
    previousGoodReleaseId: releaseId.nullable().meta({ description: 'What `rollback` goes to' }),
    failedReleaseIds: z.array(releaseId),
    instances: z.array(z.object({ name: z.string(), service: z.string(), port: z.number().int(), releaseId, admitted: z.boolean() })),
    stranded: z.object({ runId, reason: Reason }).nullable().meta({ description: 'The host waits for `fairlead recover`' }),
    run: RunSummary.nullable().meta({ description: 'The run that is under way' }),
    progress: RunProgress.nullable(),
    lastRun: RunSummary.nullable().meta({ description: 'The run that ended last' }),
    links: RunLinks.nullable().meta({ description: 'Of the run that is under way' }),
    download: UpdateDownload.nullable().default(null).meta({ description: 'The bundle that was to be brought here last, ahead of its update' }),
  })
  .meta({ id: 'UpdateStatusAnswer' });
export type UpdateStatusAnswer = z.infer<typeof UpdateStatusAnswer>;

const change = {
  ...target,
  releaseId,
  phase: phase.optional().meta({ description: 'First install only: the phase to start in' }),
  role: role.optional().meta({ description: "Which artifact; left out, the host's own role" }),
  strategy: z.enum(strategies).default('rolling').meta({ description: 'How the instances come to the new release; a first install has one way only' }),
  tiers: z.array(z.number().int().min(1).max(99)).min(1).max(20).refine((tiers) => tiers.every((tier, at) => at === 0 || tier > (tiers[at - 1] as number)), 'must rise').optional().meta({ description: "Canary, instead of the manifest's: percent of the requests, rising" }),
  holdSeconds: z.number().min(0).max(86_400).optional().meta({ description: "Canary and blue-green, instead of the manifest's: how long a tier is held, or the old colour kept warm" }),
  allowFailed: z.boolean().optional().meta({ description: 'Tries a release again that a run on this host condemned; needs a reason' }),
  bakeSeconds: z.number().min(0).max(86_400).optional().meta({ description: "Instead of the manifest's: how long an instance has to stay healthy before the next is touched" }),
};

export const UpdatePlanBody = z.strictObject(change);
export const UpdatePlan = z
  .object({
    kind: z.enum(['update-apply', 'promotion']),
    strategy: z.enum(strategies),
    phaseBefore: phase,
    phase,
    fromReleaseId: releaseId.nullable(),
    toReleaseId: releaseId,
    instancesBefore: z.array(instanceName),
    instancesAfter: z.array(instanceName),
    steps: z.array(z.looseObject({ name: z.string().meta({ examples: ['drain'] }), instance: instanceName.optional() })),
    warnings: z.array(z.string()).meta({ description: 'What should be known beforehand' }),
  })
  .meta({ id: 'UpdatePlan' });
export const UpdatePlanAnswer = z
  .object({
    ...target,
    decision: z.enum(['apply', 'unchanged', 'refuse']),
    plan: UpdatePlan.nullable().meta({ description: 'Set where the decision is `apply`' }),
    activeReleaseId: releaseId.nullable(),
    certificate: z
      .object({ names: z.array(z.string()), issuer: z.string(), challenge: z.string().meta({ examples: ['http-01'] }), obtaining: z.array(z.string()).meta({ description: 'What the step `obtain-certificate` consists of; what an order that is under way has behind it is left out' }) })
      .optional()
      .meta({ description: 'Of a promotion that was asked for with one: what it would be, with all that was left out filled in' }),
    reason: Reason.nullable().meta({ description: 'Set where the decision is `refuse`' }),
    observedAt: instant.meta({ description: 'When the host last told what the plan was made from. A run looks again before it acts' }),
  })
  .meta({ id: 'UpdatePlanAnswer', description: 'What a run would do, without doing it' });
export type UpdatePlanAnswer = z.infer<typeof UpdatePlanAnswer>;

export const UpdateApplyBody = z.strictObject({ ...change, reason }).meta({
  examples: [{ host: 'h1', product: 'noderax-platform', releaseId: '2026.11.2-4f1c9d0' }],
});
export type UpdateApplyBody = z.input<typeof UpdateApplyBody>;

/** 202: the run was accepted. It is durable from here on. */
export const RunAccepted = z
  .object({ runId, workflowId: z.string(), host: hostId, product: productName, releaseId, links: RunLinks })
  .meta({ id: 'RunAccepted' });
export type RunAccepted = z.infer<typeof RunAccepted>;

export const UpdateRollbackBody = z.strictObject({
  ...target,
  bakeSeconds: change.bakeSeconds,
});

export const UpdateHistoryQuery = z.strictObject({ host: hostId.optional(), product: productName.optional(), ...page('runId') });
export const UpdateHistory = z.object({ runs: z.array(RunSummary), nextBefore }).meta({ id: 'UpdateHistory' });
export type UpdateHistory = z.infer<typeof UpdateHistory>;

export const UpdateDownloadBody = z.strictObject({ ...target, releaseId, role: change.role }).meta({ examples: [{ host: 'h1', product: 'noderax-platform', releaseId: '2026.11.2-4f1c9d0' }] });
export const UpdateDownloadAnswer = z
  .object({
    ...target,
    releaseId,
    sha256,
    sizeBytes: z.number().int(),
    verified: z.literal(true).meta({ description: 'The bytes were read and have this size and digest' }),
    signedBy: z.string().nullable().meta({ description: 'Id of the key that signed it' }),
    signedByTrusted: z.boolean().nullable().meta({ description: 'Null where the host demands no signature' }),
    artifact: z.string().meta({ description: 'Where the host fetches it' }),
    transfer: z
      .object({ workflowId: z.string(), joined: z.boolean().meta({ description: 'It was on its way already' }), replaced: releaseId.nullable().meta({ description: 'The release whose bundle was on its way until now' }), links: z.object({ status: z.string(), temporalUi: z.string().nullable() }) })
      .nullable()
      .default(null)
      .meta({ description: 'How it comes to the host: `download` of the status tells how far it is. Null where a service does the updates that does not say' }),
  })
  .meta({ id: 'UpdateDownloadAnswer' });
export type UpdateDownloadAnswer = z.infer<typeof UpdateDownloadAnswer>;

export const UpdateDownloadCancelAnswer = z
  .object({
    ...target,
    state: z.enum(['requested', 'not_under_way']),
    releaseId: releaseId.nullable().meta({ description: 'Whose bundle was on its way; null where none was' }),
  })
  .meta({ id: 'UpdateDownloadCancelAnswer' });
export type UpdateDownloadCancelAnswer = z.infer<typeof UpdateDownloadCancelAnswer>;
