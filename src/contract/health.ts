import { z } from 'zod';

export const HealthAnswer = z
  .object({ status: z.enum(['ok', 'degraded']), version: z.string(), releaseId: z.string().nullable() })
  .meta({ id: 'HealthAnswer', description: 'The process answers. `degraded`: something that it needs does not' });
export type HealthAnswer = z.infer<typeof HealthAnswer>;

export const LiveAnswer = z.object({ status: z.literal('ok') }).meta({ id: 'LiveAnswer' });

const dependency = z.object({ name: z.string(), healthy: z.boolean(), detail: z.string(), latencyMs: z.number() });

export const ReadyAnswer = z
  .object({ ready: z.boolean(), releaseId: z.string().nullable(), dependencies: z.array(dependency.pick({ name: true, healthy: true })) })
  .meta({ id: 'ReadyAnswer', description: 'Whether a request that needs everything can be served (503 where not)' });
export type ReadyAnswer = z.infer<typeof ReadyAnswer>;

const schedule = z.object({ id: z.string(), state: z.enum(['running', 'paused', 'missing']), note: z.string().nullable(), everySeconds: z.number().nullable(), lastStartedAt: z.string().nullable(), nextAt: z.string().nullable() });
export const HealthFinding = z.object({ code: z.string(), severity: z.enum(['failing', 'warning']), message: z.string(), hint: z.string() }).meta({ id: 'HealthFinding' });

export const HealthDetailedAnswer = z
  .object({
    status: z.enum(['ok', 'degraded']),
    version: z.string(),
    releaseId: z.string().nullable(),
    startedAt: z.string(),
    uptimeSeconds: z.number(),
    node: z.string(),
    residentBytes: z.number(),
    openStreams: z.number().int(),
    findings: z.array(HealthFinding).meta({ description: 'What is wrong, the worst first, and how to mend it; empty where nothing is' }),
    schedules: z.array(schedule).nullable().meta({ description: 'Null where Temporal does not answer' }),
    fleet: z.object({ listening: z.boolean(), hearsOthers: z.boolean(), connections: z.number().int() }).meta({ description: 'The connection of hosts, in this copy of the API' }),
    memory: z.object({ resident: z.number(), limit: z.number().nullable() }).meta({ description: 'Bytes' }),
    disk: z.object({ path: z.string(), freeBytes: z.number(), totalBytes: z.number() }).nullable().meta({ description: 'Where bundles lie' }),
    dependencies: z.array(dependency),
    controlWorkers: z.number().int().nullable().meta({ description: 'Processes that move runs on; none means that runs are accepted and wait' }),
    hosts: z.record(z.string(), z.number().int()).nullable().meta({ description: 'How many hosts in each status; null where the database is away' }),
  })
  .meta({ id: 'HealthDetailedAnswer' });
export type HealthDetailedAnswer = z.infer<typeof HealthDetailedAnswer>;
