import { z } from 'zod';
import { sealingKeyPattern } from '../domain/certificate/seal.ts';
import type { FindingKind } from '../domain/host/drift.ts';
import type { HostInspection as DomainHostInspection } from '../domain/host/state.ts';
import { runKinds } from '../domain/run/kind.ts';
import { FleetSession, FleetState, IdentityConflict, ToldRelease } from './fleet.ts';
import { hostId, instanceName, instant, nextAfter, pageAfter, phase, productName, releaseId, role, runId, serviceName } from './identifiers.ts';
import { Labels } from './keys.ts';
import { outcome, Reason } from './runs.ts';

// Loose, because an agent may be newer than control: what it tells beyond this must reach the database unharmed.
const hostState = z.looseObject({
  schema: z.literal(1),
  product: productName,
  phase,
  activeReleaseId: releaseId.nullable(),
  lastGoodReleaseId: releaseId.nullable(),
  previousGoodReleaseId: releaseId.nullable().meta({ description: 'The last good release before that one: what a rollback on demand goes to' }),
  failedReleaseIds: z.array(releaseId).meta({ description: 'Releases that a run condemned' }),
  instances: z.record(z.string(), z.looseObject({ service: serviceName, port: z.number().int(), releaseId, admitted: z.boolean(), startedBy: z.string().nullable() })),
  router: z.object({ address: z.string(), port: z.number().int() }).nullable(),
  split: z.object({ to: z.array(instanceName), percent: z.number() }).nullable().optional(),
  manager: z.enum(['embedded', 'systemd', 'openrc', 'compose']).optional(),
  lastRunId: runId.nullable(),
  updatedAt: instant,
});

const intent = z.looseObject({
  schema: z.literal(1),
  runId,
  fence: z.number().int(),
  kind: z.enum(runKinds),
  product: productName,
  phaseBefore: phase.optional(),
  instancesBefore: z.array(instanceName).optional(),
  instancesAfter: z.array(instanceName).optional(),
  phase,
  fromReleaseId: releaseId.nullable(),
  toReleaseId: releaseId,
  openedAt: instant,
  backupPath: z.string().nullable(),
  stranded: Reason.nullable(),
});

// No list of kinds: an agent may know more of them than control does.
const findingKind = z
  .string()
  .regex(/^[a-z_]{1,64}$/)
  .meta({ description: 'What differs', examples: ['instance_dead'] }) as unknown as z.ZodType<FindingKind, FindingKind>;

export const Finding = z
  .looseObject({
    kind: findingKind,
    subject: z.string().meta({ description: '`current`, an instance, a file, `router`, or a run' }),
    expected: z.string(),
    seen: z.string(),
    since: instant.meta({ description: "When it was first seen without a break, by the host's clock" }),
    heal: z.enum(['self', 'run', 'person']).meta({ description: 'Who puts it right: the agent itself, a run, or a person' }),
    message: z.string(),
    hint: z.string(),
  })
  .meta({ id: 'Finding', description: 'How a host differs from what it is meant to be' });

const hostAct = z.looseObject({
  id: z.string().min(1).max(64),
  at: instant,
  act: z.enum(['healed', 'put_back', 'admitted']),
  kind: z.string().max(64).nullable(),
  subject: z.string().max(512),
  note: z.string().max(1_000),
});

export const HostInspection = z
  .looseObject({
    product: productName,
    state: hostState.nullable(),
    currentReleaseId: releaseId.nullable().meta({ description: 'What `current` resolves to' }),
    completeReleaseIds: z.array(releaseId),
    intent: intent.nullable().meta({ description: 'The change that is under way, or that was left behind' }),
    freeBytes: z.number(),
    router: z.enum(['nginx', 'embedded']),
    schemaGeneration: z.number().int().optional().meta({ description: 'Generation of the data that the active release keeps' }),
    trustedKeyIds: z.array(z.string()).meta({ description: 'Publishers that this host trusts; empty means that signatures are not demanded' }),
    sealingKey: z.string().regex(sealingKeyPattern).optional().meta({ description: 'Public key of X25519, base64url: private keys of certificates travel to this host sealed for it; left out by agents that have none' }),
    drift: z.array(Finding).max(200).optional().meta({ description: 'How the host differs from what it is meant to be; left out by agents that do not look' }),
    healing: z.enum(['report', 'heal']).optional().meta({ description: 'What may be put right without a person; left out means report' }),
    acts: z.array(hostAct).max(100).optional().meta({ description: 'What the agent did by itself and control has not acknowledged' }),
  })
  .meta({ id: 'HostInspection', description: 'What an agent tells of one product on its host' }) satisfies z.ZodType<DomainHostInspection>;

export const hostStatus = z
  .enum(['pending', 'connected', 'disconnected', 'error', 'maintenance'])
  .meta({ description: '`pending`: enrolled, and never heard. `disconnected`: the connection ended, or no word for 45 seconds. `error`: five failures in a row. `maintenance`: a person works on it' });

export const Host = z
  .object({
    host: hostId,
    role,
    status: hostStatus,
    labels: Labels,
    state: FleetState.nullable().meta({ description: 'The same with time, reason and failures; null for a host last heard before there was a fleet connection' }),
    agentVersion: z.string(),
    bootId: z.string().meta({ description: "New at every start of the agent's process" }),
    firstSeenAt: instant,
    lastSeenAt: instant,
    products: z.array(HostInspection),
  })
  .meta({ id: 'Host' });
export type Host = z.infer<typeof Host>;

export const HostHealing = z
  .object({
    tries: z
      .array(
        z.object({
          product: productName,
          kind: z.string(),
          subject: z.string(),
          at: instant,
          by: z.enum(['host', 'run']).meta({ description: '`host`: the agent did it itself' }),
          runId: runId.nullable(),
          outcome: outcome.nullable().meta({ description: 'Null while the run is under way, and for what the host did itself' }),
          note: z.string(),
        }),
      )
      .meta({ description: 'What was tried in the last 24 hours, newest first' }),
    verdicts: z
      .array(z.object({ product: productName, kind: findingKind, subject: z.string(), verdict: z.enum(['heal', 'wait', 'person']), why: z.string() }))
      .meta({ description: 'What becomes of each finding now, and why' }),
  })
  .meta({ id: 'HostHealing' });

export const HostDetail = Host.extend({
  healing: HostHealing,
  session: FleetSession.nullable().meta({ description: 'The session that is open' }),
  lastSession: FleetSession.nullable().meta({ description: 'The latest one, open or ended' }),
  conflict: IdentityConflict.nullable().meta({ description: 'The identity conflict that waits for a person' }),
}).meta({ id: 'HostDetail' });
export type HostDetail = z.infer<typeof HostDetail>;

export const HostParams = z.object({ id: hostId });
export const HostListQuery = z.strictObject(pageAfter('host'));
export const HostList = z
  .object({
    hosts: z.array(Host.extend({ session: FleetSession.nullable() })),
    pending: z.array(z.object({ host: hostId, role, state: FleetState })).meta({ description: 'Enrolled, and never heard; a page holds both by their names' }),
    nextAfter,
  })
  .meta({ id: 'HostList' });
export type HostList = z.infer<typeof HostList>;

export const HostHelloBody = z
  .strictObject({
    role,
    agentVersion: z.string().min(1).max(64).meta({ examples: ['0.1.0'] }),
    bootId: z.string().min(1).max(64),
    session: z.string().min(1).max(64).optional().meta({ description: 'Over HTTP: the same in every request of a session, another one in the next' }),
    releases: z.array(ToldRelease).max(100).optional().meta({ description: 'What the host is seen to run; taken down where this begins a session' }),
    products: z.array(HostInspection).max(100),
    recovered: z
      .array(
        z.strictObject({
          runId,
          at: instant,
          detail: z.record(z.string(), z.unknown()).meta({ description: 'What was done on the host: release, backup, commands' }),
        }),
      )
      .max(100)
      .default([])
      .meta({ description: 'Runs whose host was brought back by hand since the last word. Telling one again does no harm' }),
  })
  .meta({ id: 'HostHelloBody', description: 'What an agent says at its start and every 15 seconds after' });
export type HostHelloBody = z.infer<typeof HostHelloBody>;

export const HostHelloAnswer = z
  .object({
    host: hostId,
    serverTime: instant,
    nextHelloSeconds: z.number().meta({ description: 'When to say hello again', examples: [15] }),
    acknowledgedRecoveries: z.array(runId).meta({ description: 'Need not be told again' }),
    acknowledgedActs: z.array(z.string()).meta({ description: 'Acts of the agent that stand in the audit and need not be told again' }),
    endedRuns: z.array(runId).meta({ description: 'Runs whose intent the host told and that have ended: nobody comes back for it' }),
    unknownRuns: z.array(runId).meta({ description: 'Runs that were told as recovered and that control does not know' }),
  })
  .meta({ id: 'HostHelloAnswer' });
export type HostHelloAnswer = z.infer<typeof HostHelloAnswer>;
