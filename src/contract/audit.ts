import { z } from 'zod';
import type { AuditRow as DomainAuditRow } from '../domain/audit/chain.ts';
import type { AuditCheckpoint as DomainAuditCheckpoint } from '../domain/audit/checkpoint.ts';
import { hostId, instant } from './identifiers.ts';

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
  actor: z.string().max(256).optional().meta({ description: 'Only rows of this key, by its name, or of this part of Fairlead', examples: ['deploy'] }),
  event: z.string().max(64).optional().meta({ description: 'Only rows of this event, or of those below it', examples: ['run.ended', 'run'] }),
  host: hostId.optional().meta({ description: 'Only rows about this host: its runs, its certificates, its downloads, itself' }),
  since: instant.optional().meta({ description: 'Only rows from then on' }),
  until: instant.optional().meta({ description: 'Only rows before then' }),
});
export const AuditList = z
  .object({ rows: z.array(AuditRow), nextAfterSequence: z.number().int().nullable().meta({ description: 'Give this as `afterSequence` to go on; null where there was no row' }) })
  .meta({ id: 'AuditList' });
export type AuditList = z.infer<typeof AuditList>;

export const AuditVerifyAnswer = z
  .object({
    rows: z.number().int(),
    ok: z.boolean(),
    firstBroken: z.object({ sequence: z.number().int(), why: z.string() }).nullable().meta({ description: 'The first of `problems` that is about a row' }),
    checkpoints: z.number().int(),
    signaturesChecked: z.boolean().meta({ description: 'False where this server signs no checkpoints: then only hashes and links are checked' }),
    rowsSinceCheckpoint: z.number().int().meta({ description: 'What no checkpoint covers yet' }),
    problems: z.array(z.object({ where: z.string().meta({ examples: ['row 7', 'checkpoint 2'] }), sequence: z.number().int().nullable(), why: z.string() })),
  })
  .meta({ id: 'AuditVerifyAnswer', description: 'Every row was read, its hash computed again, and every checkpoint held against its row' });
export type AuditVerifyAnswer = z.infer<typeof AuditVerifyAnswer>;

export const AuditCheckpoint = z
  .object({
    number: z.number().int().min(1),
    sequence: z.number().int().min(1).meta({ description: 'The last row that it covers' }),
    hash: z.string().meta({ description: "That row's hash" }),
    at: instant,
    previousHash: z.string(),
    keyId: z.string().meta({ description: 'First 16 hexadecimal digits of the SHA-256 of the public key (SPKI, DER)' }),
    signature: z.string().meta({ description: 'Ed25519 over the canonical JSON of all the others with `kind` and `schema`, base64' }),
  })
  .meta({ id: 'AuditCheckpoint', description: 'Signed word that the audit reached this row with this hash. Keep copies where nobody writes who can write to the database' }) satisfies z.ZodType<DomainAuditCheckpoint>;
export const AuditCheckpointQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1_000).default(100).meta({ description: 'How many at most' }),
  afterNumber: z.coerce.number().int().min(0).optional().meta({ description: 'Only those after this one. Left out: the latest ones. Both by number, rising' }),
});
export const AuditCheckpointList = z.object({ checkpoints: z.array(AuditCheckpoint), nextAfterNumber: z.number().int().nullable().meta({ description: 'Give this as `afterNumber` to go on; null where there was none' }) }).meta({ id: 'AuditCheckpointList' });
export type AuditCheckpointList = z.infer<typeof AuditCheckpointList>;

/** Checkpoints that were kept elsewhere, to be held against what is there now. */
export const AuditVerifyBody = z.strictObject({ saved: z.array(AuditCheckpoint).max(1_000).default([]) }).nullish();
