import { z } from 'zod';
import { fleetStatuses } from '../domain/rollout/fleet.ts';
import { hostOutcomes, rolloutOutcomes } from '../domain/rollout/outcome.ts';
import { busyPolicies, failurePolicies, type RolloutStrategy as DomainStrategy } from '../domain/rollout/request.ts';
import type { RolloutId } from '../domain/ids.ts';
import { strategies } from '../domain/update/request.ts';
import { hostId, instant, nextAfter, nextBefore, page, pageAfter, productName, reason, releaseId, role, runId } from './identifiers.ts';
import { Reason, RecoveryRecord } from './runs.ts';

export const rolloutId = z.uuid().meta({ description: 'Rollout id', examples: ['01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10'] }) as unknown as z.ZodType<RolloutId, RolloutId>;
const seconds = z.number().min(0).max(366 * 86_400);
const gateName = z.string().regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'a gate has a name of a-z, 0-9, dots and dashes');
const before = z.union([z.enum(['all', 'between']), z.array(z.number().int().min(0).max(200)).min(1)]).default('between').meta({ description: 'Before which waves: `between` is before every wave but the first, `all` before that one too' });
const timed = { timeoutSeconds: seconds.min(1).nullable().default(null), onTimeout: z.enum(['abort', 'pass', 'keep-waiting']).default('keep-waiting') };
const everySeconds = z.number().min(1).max(86_400).default(30);
const httpUrl = z.url({ protocol: /^https?$/ });

export const Gate = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('approval'), name: gateName, before, ...timed, role: z.string().min(1).max(63).default('approver').meta({ description: "Whose approval counts; an admin's always does" }), quorum: z.number().int().min(1).max(100).default(1), requesterMayApprove: z.boolean().default(false), commentRequired: z.boolean().default(false) }),
    z.strictObject({ kind: z.literal('metric'), name: gateName, before, ...timed, url: httpUrl, query: z.string().min(1).max(2_000), min: z.number().nullable().default(null), max: z.number().nullable().default(null), everySeconds }),
    z.strictObject({ kind: z.literal('window'), name: gateName, before: before.default('all'), window: z.strictObject({ cron: z.string().min(1).max(200), zone: z.string().min(1).max(64), durationSeconds: z.number().min(60).max(366 * 86_400) }) }),
    z.strictObject({ kind: z.literal('external'), name: gateName, before, ...timed, url: httpUrl, everySeconds }),
  ])
  .meta({ id: 'Gate', description: 'What a wave waits for' });

const waves = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('count'), hosts: z.number().int().min(1) }),
  z.strictObject({ by: z.literal('percent'), percent: z.number().gt(0).max(100) }),
  z.strictObject({ by: z.literal('tiers'), percents: z.array(z.number().gt(0).max(100)).min(1).max(200) }),
]);
const offline = z.union([
  z.strictObject({ policy: z.enum(['skip', 'fail']) }),
  z.strictObject({ policy: z.literal('wait'), waitSeconds: seconds, then: z.enum(['skip', 'fail']) }),
]);

export const RolloutStrategy = z
  .strictObject({
    waves,
    maxParallel: z.number().int().min(1).max(1_000).meta({ description: 'Hosts of the whole fleet that are changed at the same time' }),
    bakeSeconds: seconds.meta({ description: 'How long a wave is watched before the next one' }),
    budget: z.strictObject({ count: z.number().int().min(0).nullable(), percent: z.number().min(0).max(100).nullable() }).meta({ description: 'How many hosts of the whole rollout may fail; null is no limit' }),
    onFailure: z.enum(failurePolicies).meta({ description: 'What becomes of hosts that are updated already, where it fails' }),
    decisionSeconds: seconds.nullable().meta({ description: 'How long a failed rollout waits for somebody who retries or aborts; null: without end' }),
    offline,
    gates: z.array(Gate).max(20),
    controllerFirst: z.boolean(),
    verifySeconds: z.number().min(1).max(3_600).meta({ description: 'How long control may take to see an updated host come back on the release' }),
  })
  .meta({ id: 'RolloutStrategy' }) satisfies z.ZodType<DomainStrategy>;

const asked = {
  product: productName,
  releaseId,
  hosts: z.array(hostId).min(1).max(10_000).optional().meta({ description: 'Left out, every host that has the product' }),
  strategy: RolloutStrategy.partial().optional().meta({ description: 'What is left out is as the default says' }),
  onHost: z
    .strictObject({ strategy: z.enum(strategies).default('rolling'), bakeSeconds: seconds.optional(), holdSeconds: seconds.optional(), tiers: z.array(z.number().int().min(1).max(99)).min(1).max(20).optional() })
    .optional()
    .meta({ description: 'How each host goes to the release' }),
  whenBusy: z.enum(busyPolicies).optional().meta({ description: 'Where another rollout of the product is open' }),
  allowFailed: z.boolean().optional(),
};
export const RolloutPlanBody = z.strictObject(asked);
export type RolloutPlanBody = z.input<typeof RolloutPlanBody>;
export const RolloutBody = z
  .strictObject({ ...asked, reason, planDigest: z.string().regex(/^[0-9a-f]{64}$/).optional().meta({ description: 'Of a plan that was looked at: refused where the fleet has moved since' }) })
  .meta({ examples: [{ product: 'lab', releaseId: 'r42', strategy: { waves: { by: 'tiers', percents: [10, 100] }, maxParallel: 5 } }] });
export type RolloutBody = z.input<typeof RolloutBody>;

const plannedHost = { host: hostId, role, artifactRole: role, fromReleaseId: releaseId.nullable(), toReleaseId: releaseId, action: z.enum(['update', 'wait', 'fail', 'skip', 'unchanged']), wave: z.number().int().nullable(), position: z.number().int().nullable(), why: z.string().nullable() };
const PlannedHost = z.object(plannedHost);
export const RolloutPlanAnswer = z
  .object({
    decision: z.enum(['plan', 'refuse']),
    reason: Reason.nullable(),
    product: productName,
    toReleaseId: releaseId,
    planDigest: z.string().meta({ description: 'Give it as `planDigest` when the rollout is started' }),
    plannedAt: instant,
    strategy: RolloutStrategy,
    waves: z.array(z.object({ number: z.number().int(), role, hosts: z.array(PlannedHost) })),
    unchanged: z.array(PlannedHost),
    skipped: z.array(PlannedHost),
    warnings: z.array(z.string()),
    hostSteps: z.array(z.object({ host: hostId, steps: z.array(z.string()), note: z.string().nullable() })).meta({ description: 'What a run will do on the first host of each wave' }),
  })
  .meta({ id: 'RolloutPlanAnswer', description: 'What a rollout would do, without doing it' });
export type RolloutPlanAnswer = z.infer<typeof RolloutPlanAnswer>;

export const RolloutLinks = z.object({ self: z.string(), hosts: z.string(), events: z.string(), temporalUi: z.string().nullable() });
export const RolloutAccepted = z.object({ rolloutId, workflowId: z.string(), product: productName, releaseId, links: RolloutLinks }).meta({ id: 'RolloutAccepted' });
export type RolloutAccepted = z.infer<typeof RolloutAccepted>;

const counts = z.object({ updated: z.number().int(), unchanged: z.number().int(), failed: z.number().int(), stranded: z.number().int(), left: z.number().int(), returned: z.number().int(), notReturned: z.number().int() });
const waiting = z.object({ for: z.string(), since: z.string(), until: z.string().nullable(), release: z.string() });
export const RolloutStanding = z
  .object({
    phase: z.enum(['Requested', 'Queued', 'Planned', 'Gated', 'Rolling', 'Baking', 'Halted', 'RollingBack', 'Ended']),
    status: z.string().meta({ description: 'The phase, or what holds it: paused, frozen, parked, stopping' }),
    wave: z.number().int().nullable(),
    behind: z.string().nullable(),
    waiting: waiting.nullable().meta({ description: 'For what, since when, until when, and who can release it' }),
    counts: z.array(counts),
  })
  .meta({ id: 'RolloutStanding' });

export const Rollout = z
  .object({
    rolloutId,
    product: productName,
    releaseId,
    requestedBy: z.string(),
    requestedAt: instant,
    endedAt: instant.nullable(),
    outcome: z.enum(rolloutOutcomes).nullable(),
    ok: z.boolean().nullable().meta({ description: 'True only when every host in scope was observed on the release' }),
    reason: Reason.nullable(),
    strategy: RolloutStrategy,
    waves: z.array(z.object({ number: z.number().int(), role, hosts: z.number().int(), counts })).meta({ description: 'Empty until it was planned' }),
    scope: z.number().int().nullable(),
    unchanged: z.number().int().nullable(),
    skipped: z.number().int().nullable(),
    warnings: z.array(z.string()),
    standing: RolloutStanding,
    links: RolloutLinks,
  })
  .meta({ id: 'Rollout' });
export type Rollout = z.infer<typeof Rollout>;
export const RolloutList = z.object({ rollouts: z.array(Rollout), nextBefore }).meta({ id: 'RolloutList' });
export type RolloutList = z.infer<typeof RolloutList>;
export const RolloutListQuery = z.strictObject({ product: productName.optional(), open: z.stringbool().optional(), ...page('rolloutId') });

const observed = z.object({ releaseId, bootId: z.string(), at: instant }).nullable();
export const RolloutHost = z
  .object({
    ...plannedHost,
    artifactProfile: z.string().nullable(),
    outcome: z.enum(hostOutcomes).nullable().meta({ description: 'Null until it has ended' }),
    reason: Reason.nullable(),
    verification: observed.meta({ description: 'What control saw of the host after its run: which release it came back on, and when' }),
    recovery: RecoveryRecord.nullable(),
    runId: runId.nullable(),
    backRunId: runId.nullable(),
    openRunId: runId.nullable().meta({ description: 'The run that is under way on it' }),
    endedAt: instant.nullable(),
  })
  .meta({ id: 'RolloutHost' });
export type RolloutHost = z.infer<typeof RolloutHost>;
export const RolloutHostList = z.object({ hosts: z.array(RolloutHost), nextAfter: hostId.nullable() }).meta({ id: 'RolloutHostList' });
export type RolloutHostList = z.infer<typeof RolloutHostList>;
export const RolloutHostsQuery = z.strictObject({ wave: z.coerce.number().int().min(0).optional(), outcome: z.enum(hostOutcomes).optional(), limit: z.coerce.number().int().min(1).max(1_000).default(200), after: hostId.optional() });

export const RolloutParams = z.object({ id: rolloutId });
const comment = z.string().min(1).max(2_000).optional();
export const RolloutCommandBody = z.strictObject({ comment }).default({});
export const RolloutAbortBody = z.strictObject({ comment, updated: z.enum(failurePolicies).default('keep').meta({ description: 'What becomes of hosts that are updated already' }) }).default({ updated: 'keep' });
export const RolloutDecisionBody = z.strictObject({ gate: gateName, comment });
export const RolloutCommandAnswer = z.object({ rolloutId, standing: RolloutStanding }).meta({ id: 'RolloutCommandAnswer' });
export type RolloutCommandAnswer = z.infer<typeof RolloutCommandAnswer>;

export const FreezeBody = z.strictObject({ product: productName.optional().meta({ description: 'Left out, every product' }), reason: z.string().min(1).max(500), until: instant });
export const Freeze = z.object({ id: z.string(), product: productName.nullable(), reason: z.string(), setBy: z.string(), since: instant, until: instant }).meta({ id: 'Freeze' });
export type Freeze = z.infer<typeof Freeze>;
export const FreezeListQuery = z.strictObject(pageAfter('id'));
export const FreezeList = z.object({ freezes: z.array(Freeze), nextAfter }).meta({ id: 'FreezeList' });
export type FreezeList = z.infer<typeof FreezeList>;
export const FreezeParams = z.object({ id: z.uuid() });

/** Words for where a host stands, for lists. */
export const fleetStatus = z.enum(fleetStatuses);
