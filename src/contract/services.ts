import { z } from 'zod';
import { shortNamePattern } from '../domain/service/request.ts';
import type { ServiceInstance as DomainServiceInstance } from '../domain/service/inspection.ts';
import { hostStatus } from './hosts.ts';
import { hostId, instanceName, instant, productName, releaseId, serviceName } from './identifiers.ts';
import { Reason, RunLinks, RunProgress, RunSummary } from './runs.ts';
import { RunAccepted } from './updates.ts';

const target = { host: hostId, product: productName };
const bakeSeconds = z.number().min(0).max(86_400).optional().meta({ description: "Instead of the manifest's: how long an instance has to stay healthy before the next one is touched" });
const instances = z.array(instanceName).min(1).max(100).optional().meta({ description: 'Only these; left out, every instance of the service' });
const short = z
  .string()
  .regex(shortNamePattern, 'the name of an instance must be 1 to 31 of a-z, 0-9, dash and underscore, and start and end with a letter or digit')
  .meta({ description: "The instance's name without its service: `c` for `api-c`", examples: ['c'] });

export const ServiceStatusQuery = z.strictObject({ ...target, service: serviceName.optional() });
export const ServiceInstance = z
  .object({
    name: instanceName,
    service: serviceName,
    status: z.enum(['active', 'draining', 'starting', 'inactive', 'failed', 'unknown']).meta({
      description: '`draining` and `starting` are parts of a restart, and no error. `unknown`: nobody could be asked now',
    }),
    releaseId: releaseId.nullable().meta({ description: 'What its process was started from; null where none runs or it cannot be told' }),
    pid: z.number().int().nullable(),
    port: z.number().int(),
    traffic: z.boolean().meta({ description: 'Whether the router sends requests to it' }),
    lastExit: z.string().nullable().meta({ description: 'How its last process ended', examples: ['exit 1'] }),
    extra: z.boolean().meta({ description: 'Added on this host, beside what the manifest declares' }),
  })
  .meta({ id: 'ServiceInstance' }) satisfies z.ZodType<DomainServiceInstance>;

export const ServiceStatusAnswer = z
  .object({
    ...target,
    hostStatus,
    asked: z.boolean().meta({ description: 'Whether the host answered just now. If not, everything is what it told last, and what runs is unknown' }),
    observedAt: instant.meta({ description: 'When the host answered, or was last heard' }),
    activeReleaseId: releaseId.nullable(),
    instances: z.array(ServiceInstance),
    stranded: Reason.nullable(),
    run: RunSummary.nullable().meta({ description: 'The run that is under way on the host, or that waits for its turn' }),
    progress: RunProgress.nullable(),
    links: RunLinks.nullable(),
  })
  .meta({ id: 'ServiceStatusAnswer' });
export type ServiceStatusAnswer = z.infer<typeof ServiceStatusAnswer>;

export const ServiceRestartBody = z
  .strictObject({ ...target, service: serviceName, instances, bakeSeconds })
  .meta({ examples: [{ host: 'h1', product: 'noderax-platform', service: 'api' }] });
export type ServiceRestartBody = z.input<typeof ServiceRestartBody>;

export const ServiceReloadBody = z
  .strictObject({
    ...target,
    service: serviceName,
    instances,
    bakeSeconds,
    orRestart: z.boolean().optional().meta({ description: 'Restarts what has no reload signal, does not run, or is not ready after its reload' }),
  })
  .meta({ examples: [{ host: 'h1', product: 'noderax-platform', service: 'api' }] });
export type ServiceReloadBody = z.input<typeof ServiceReloadBody>;

export const ServiceAddInstanceBody = z
  .strictObject({
    ...target,
    service: serviceName,
    name: short,
    port: z.number().int().min(1).max(65_535).optional().meta({ description: 'Where it listens on loopback; left out, a free one above the highest port of the service' }),
  })
  .meta({ examples: [{ host: 'h1', product: 'noderax-platform', service: 'api', name: 'c' }] });
export type ServiceAddInstanceBody = z.input<typeof ServiceAddInstanceBody>;

export const ServiceRemoveInstanceBody = z.strictObject({ ...target, service: serviceName, name: short }).meta({ examples: [{ host: 'h1', product: 'noderax-platform', service: 'api', name: 'c' }] });
export type ServiceRemoveInstanceBody = z.input<typeof ServiceRemoveInstanceBody>;

/** 202: accepted, and durable from here on. */
export const ServiceRunAccepted = RunAccepted.extend({
  service: serviceName,
  action: z.enum(['restart', 'reload', 'add-instance', 'remove-instance']),
  joined: z.boolean().meta({ description: 'The request joined a restart that others had asked for and that had not begun' }),
}).meta({ id: 'ServiceRunAccepted' });
export type ServiceRunAccepted = z.infer<typeof ServiceRunAccepted>;
