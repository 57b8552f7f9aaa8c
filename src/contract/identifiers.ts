import { z } from 'zod';
import { namePattern, releaseIdPattern, sha256Pattern } from '../domain/ids.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId, ServiceName, Sha256 } from '../domain/ids.ts';

/** A checked string that counts as one kind of id from here on. */
const branded = <Kind extends string>(schema: z.ZodString): z.ZodType<Kind, Kind> => schema as unknown as z.ZodType<Kind, Kind>;

const name = (what: string, example: string): z.ZodString =>
  z
    .string()
    .regex(namePattern, `${what} must be 1 to 63 of a-z, 0-9, dot, dash and underscore, and start and end with a letter or digit`)
    .meta({ description: what, examples: [example] });

export const productName = branded<ProductName>(name('Product name', 'noderax-platform'));
export const hostId = branded<HostId>(name('Host id', 'h1'));
export const serviceName = branded<ServiceName>(name('Service name', 'api'));
export const instanceName = branded<InstanceName>(name('Instance name: the service, a dash, and the short name', 'api-a'));
export const releaseId = branded<ReleaseId>(
  z
    .string()
    .regex(releaseIdPattern, 'a release id must be 1 to 128 of A-Z, a-z, 0-9, dot, dash, plus and underscore, and start and end with a letter or digit')
    .meta({ description: 'Release id: names one immutable build', examples: ['2026.11.2-4f1c9d0'] }),
);
export const sha256 = branded<Sha256>(
  z.string().regex(sha256Pattern, 'a digest must be 64 lower-case hexadecimal digits').meta({
    description: 'SHA-256 in lower-case hexadecimal digits',
    examples: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  }),
);
export const runId = branded<RunId>(
  z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'a run id must be 1 to 64 of A-Z, a-z, 0-9, dot, dash and underscore')
    .meta({ description: 'Run id', examples: ['01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10'] }),
);

export const instant = z.iso.datetime({ offset: true }).meta({ description: 'Instant (RFC 3339)', examples: ['2026-11-21T09:12:20.000Z'] });
export const role = z.enum(['controller', 'node']).meta({ description: 'What the host is, and which artifact of a release it gets' });
export const phase = z.enum(['setup', 'installed']).meta({ description: 'Which instances exist, and what healthy means' });

/** Why somebody wants what goes over Fairlead's own judgement; for the audit. */
export const reason = z.string().trim().min(1).max(500).optional().meta({ description: 'Why; goes into the audit. An override is refused without one' });

/** Query parameters of every list, newest first. @param cursor what `before` names. */
export const page = (cursor: string) => ({
  limit: z.coerce.number().int().min(1).max(200).default(50).meta({ description: 'How many rows at most', examples: [50] }),
  before: z.string().min(1).max(128).optional().meta({ description: `Only rows older than this one (${cursor} of the last row of the page before)` }),
});
/** Query parameters of a list in an order of its own. @param cursor what `after` names */
export const pageAfter = (cursor: string) => ({
  limit: z.coerce.number().int().min(1).max(1_000).default(1_000).meta({ description: 'How many rows at most', examples: [100] }),
  after: z.string().min(1).max(200).optional().meta({ description: `Only rows after this one (${cursor} of the last row of the page before)` }),
});
export const nextAfter = z.string().nullable().meta({ description: 'Give this as `after` for the next page; null on the last one' });
export const nextBefore = z.string().nullable().meta({ description: 'Give this as `before` for the next page; null on the last one' });
