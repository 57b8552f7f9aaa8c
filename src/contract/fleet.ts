import { z } from 'zod';
import type { FleetState as DomainFleetState } from '../domain/fleet/host-state.ts';
import type { IdentityConflict as DomainIdentityConflict, Session as DomainSession, ToldRelease as DomainToldRelease } from '../domain/fleet/session.ts';
import { hostId, instant, nextAfter, nextBefore, page, pageAfter, productName, reason, releaseId, role, runId } from './identifiers.ts';

const link = z.object({ phase: z.enum(['pending', 'connected', 'disconnected']), since: instant, why: z.string().nullable() }).meta({ description: 'Whether control hears the host, also in error and maintenance' });

const failures = z.object({
  contact: z.number().int().meta({ description: 'Attempts of the host to be heard that failed in a row' }),
  run: z.number().int().meta({ description: 'Runs on the host that failed in a row, by its fault or stranded' }),
  last: z.object({ kind: z.enum(['contact', 'run']), code: z.string(), message: z.string(), at: instant }).nullable(),
  lastRunId: runId.nullable(),
});

const common = { since: instant, link, failures };

export const FleetState = z
  .discriminatedUnion('phase', [
    z.object({ phase: z.literal('pending'), ...common }),
    z.object({ phase: z.literal('connected'), ...common }),
    z.object({ phase: z.literal('disconnected'), ...common }),
    z.object({ phase: z.literal('error'), ...common }),
    z.object({ phase: z.literal('maintenance'), ...common, reason: z.string(), by: z.string(), until: instant.nullable() }),
  ])
  .meta({ id: 'FleetState', description: 'What the fleet knows of a host, and since when. `error`: five failures of one kind in a row. `maintenance`: rollouts and repairs leave it alone' }) satisfies z.ZodType<DomainFleetState>;

export const ToldRelease = z
  .object({
    product: productName,
    releaseId: releaseId.nullable().meta({ description: 'What every instance was seen to run; null where they differ, or one does not run' }),
    artifactRole: role.nullable(),
    artifactProfile: z.string().max(64).nullable(),
  })
  .meta({ id: 'ToldRelease' }) satisfies z.ZodType<DomainToldRelease>;

export const FleetSession = z
  .object({
    id: z.string(),
    host: hostId,
    bootId: z.string(),
    transport: z.enum(['websocket', 'http']).meta({ description: '`http`: through a proxy that carries no WebSocket' }),
    role,
    releases: z.array(ToldRelease).meta({ description: 'What the host was seen to run when the session began' }),
    agentVersion: z.string(),
    copy: z.string().meta({ description: 'The copy of the API that holds the connection' }),
    remoteAddress: z.string(),
    connectedAt: instant,
    lastHeardAt: instant,
    endedAt: instant.nullable(),
    why: z.enum(['renewed', 'superseded', 'goodbye', 'lost', 'silent', 'protocol', 'identity_conflict', 'api_closing', 're_enrolled', 'key_revoked']).nullable(),
  })
  .meta({ id: 'FleetSession' });
export type FleetSession = z.infer<typeof FleetSession>;
// Every session of the domain can be told; only the list within is not readonly.
true satisfies DomainSession extends Omit<FleetSession, 'releases'> ? true : never;

export const IdentityConflict = z
  .object({
    id: z.string(),
    host: hostId,
    agents: z.array(z.object({ bootId: z.string(), remoteAddress: z.string(), agentVersion: z.string(), seenAt: instant })),
    foundAt: instant,
    decidedAt: instant.nullable(),
    decidedBy: z.string().nullable(),
    acceptedBootId: z.string().nullable(),
  })
  .meta({ id: 'IdentityConflict', description: 'Agents that showed one identity at the same time. Until a person decides, all of them are refused' });
export type IdentityConflict = z.infer<typeof IdentityConflict>;
true satisfies Omit<DomainIdentityConflict, 'agents'> extends Omit<IdentityConflict, 'agents'> ? true : never;

export const SessionQuery = z.object(page('the id'));
export const SessionList = z.object({ sessions: z.array(FleetSession), nextBefore }).meta({ id: 'SessionList' });
export type SessionList = z.infer<typeof SessionList>;

export const AcceptBody = z.strictObject({ bootId: z.string().min(1).max(64).meta({ description: 'Which of the agents in conflict is the host' }), reason });
export const AcceptAnswer = z.object({ host: hostId, acceptedBootId: z.string() }).meta({ id: 'AcceptAnswer' });
export type AcceptAnswer = z.infer<typeof AcceptAnswer>;

export const MaintenanceBody = z.strictObject({
  reason: z.string().trim().min(1).max(500).meta({ description: 'Why; others read it', examples: ['new disks'] }),
  until: instant.nullable().default(null).meta({ description: 'When it ends by itself; null: when somebody ends it' }),
});
export const MaintenanceAnswer = z.object({ host: hostId, state: FleetState }).meta({ id: 'MaintenanceAnswer' });
export type MaintenanceAnswer = z.infer<typeof MaintenanceAnswer>;

const enrolment = {
  id: z.string(),
  host: hostId.nullable().meta({ description: 'The host that it is for; null: any that has no identity yet' }),
  role,
  createdBy: z.string(),
  createdAt: instant,
  expiresAt: instant,
  usedAt: instant.nullable(),
  usedBy: hostId.nullable(),
};

export const EnrolmentBody = z.strictObject({
  host: hostId.nullable().default(null),
  role: role.default('node'),
  expiresSeconds: z.number().int().min(60).max(30 * 86_400).default(3_600).meta({ description: 'How long the token may be used; seconds' }),
});
export const EnrolmentCreated = z
  .object({ ...enrolment, token: z.string().nullable().meta({ description: 'Shown this once and never stored: null where a repeated request (Idempotency-Key) is answered again' }) })
  .meta({ id: 'EnrolmentCreated' });
export type EnrolmentCreated = z.infer<typeof EnrolmentCreated>;
export const EnrolmentListQuery = z.strictObject(pageAfter('id'));
export const EnrolmentList = z.object({ enrolments: z.array(z.object(enrolment)), nextAfter }).meta({ id: 'EnrolmentList' });

export const ExchangeBody = z.strictObject({
  token: z.string().min(1).max(200),
  host: hostId.nullable().default(null).meta({ description: 'The host that asks; may be left out where the token names it' }),
});
export const ExchangeAnswer = z.object({ host: hostId, role, keyId: z.string(), key: z.string().meta({ description: "The host's own key. Shown this once and never stored" }) }).meta({ id: 'ExchangeAnswer' });
export type ExchangeAnswer = z.infer<typeof ExchangeAnswer>;
