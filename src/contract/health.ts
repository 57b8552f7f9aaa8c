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
    dependencies: z.array(dependency),
    controlWorkers: z.number().int().nullable().meta({ description: 'Processes that move runs on; none means that runs are accepted and wait' }),
    hosts: z.record(z.string(), z.number().int()).nullable().meta({ description: 'How many hosts in each status; null where the database is away' }),
  })
  .meta({ id: 'HealthDetailedAnswer' });
export type HealthDetailedAnswer = z.infer<typeof HealthDetailedAnswer>;
