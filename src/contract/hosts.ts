import { z } from 'zod';
import type { HostInspection as DomainHostInspection } from '../domain/host/state.ts';
import { hostId, instant, phase, productName, releaseId, role, runId, serviceName } from './identifiers.ts';
import { Reason } from './runs.ts';

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
  manager: z.enum(['embedded', 'systemd', 'openrc', 'compose']).optional(),
  lastRunId: runId.nullable(),
  updatedAt: instant,
});

const intent = z.looseObject({
  schema: z.literal(1),
  runId,
  fence: z.number().int(),
  kind: z.literal('update-apply'),
  product: productName,
  phase,
  fromReleaseId: releaseId.nullable(),
  toReleaseId: releaseId,
  openedAt: instant,
  backupPath: z.string().nullable(),
  stranded: Reason.nullable(),
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
    trustedKeyIds: z.array(z.string()).meta({ description: 'Publishers that this host trusts; empty means that signatures are not demanded' }),
  })
  .meta({ id: 'HostInspection', description: 'What an agent tells of one product on its host' }) satisfies z.ZodType<DomainHostInspection>;

export const hostStatus = z.enum(['pending', 'connected', 'disconnected']).meta({ description: '`disconnected`: no word for 45 seconds' });

export const Host = z
  .object({
    host: hostId,
    role,
    status: hostStatus,
    agentVersion: z.string(),
    bootId: z.string().meta({ description: "New at every start of the agent's process" }),
    firstSeenAt: instant,
    lastSeenAt: instant,
    products: z.array(HostInspection),
  })
  .meta({ id: 'Host' });
export type Host = z.infer<typeof Host>;

export const HostParams = z.object({ id: hostId });
export const HostList = z.object({ hosts: z.array(Host) }).meta({ id: 'HostList' });
export type HostList = z.infer<typeof HostList>;

export const HostHelloBody = z
  .strictObject({
    role,
    agentVersion: z.string().min(1).max(64).meta({ examples: ['0.1.0'] }),
    bootId: z.string().min(1).max(64),
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
    unknownRuns: z.array(runId).meta({ description: 'Runs that were told as recovered and that control does not know' }),
  })
  .meta({ id: 'HostHelloAnswer' });
export type HostHelloAnswer = z.infer<typeof HostHelloAnswer>;
