import { z } from 'zod';
import type { AuditRow as DomainAuditRow } from '../domain/audit/chain.ts';
import { instant } from './identifiers.ts';

export const AuditRow = z
  .object({
    sequence: z.number().int(),
    at: instant,
    event: z.string().meta({ examples: ['run.intended'] }),
    actor: z.string().meta({ examples: ['deploy (admin)'] }),
    subject: z.string().meta({ examples: ['host/h1/noderax-platform'] }),
    runId: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
    previousHash: z.string(),
    hash: z.string().meta({ description: 'SHA-256 over the canonical JSON of the entry, its sequence and `previousHash`' }),
  })
  .meta({ id: 'AuditRow' }) satisfies z.ZodType<DomainAuditRow>;

export const AuditListQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1000).default(100).meta({ description: 'How many rows at most' }),
  afterSequence: z.coerce.number().int().min(0).optional().meta({ description: 'Only rows after this one, oldest first. Left out: the latest rows, oldest first' }),
  runId: z.string().max(64).optional(),
  subject: z.string().max(256).optional(),
});
export const AuditList = z
  .object({ rows: z.array(AuditRow), nextAfterSequence: z.number().int().nullable().meta({ description: 'Give this as `afterSequence` to go on; null where there was no row' }) })
  .meta({ id: 'AuditList' });
export type AuditList = z.infer<typeof AuditList>;

export const AuditVerifyAnswer = z
  .object({
    rows: z.number().int(),
    ok: z.boolean(),
    firstBroken: z.object({ sequence: z.number().int(), why: z.string() }).nullable(),
  })
  .meta({ id: 'AuditVerifyAnswer', description: 'Every row was read, and its hash computed again' });
export type AuditVerifyAnswer = z.infer<typeof AuditVerifyAnswer>;
