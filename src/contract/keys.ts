import { z } from 'zod';
import { keyRoles } from '../domain/access/role.ts';
import { labelNamePattern, labelValuePattern } from '../domain/access/scope.ts';
import { hostId, instant, nextAfter, pageAfter, productName } from './identifiers.ts';

export const keyRole = z.enum(keyRoles).meta({ description: '`viewer` looks, `operator` changes hosts, releases and rollouts, `approver` looks and decides gates, `admin` may all of it and makes keys, `agent` is one host' });

export const KeyScope = z
  .strictObject({
    products: z.array(productName).max(100).default([]).meta({ description: 'Only these products; empty: all' }),
    hosts: z.array(z.string().min(1).max(500)).max(100).default([]).meta({ description: 'Only hosts that one of these selects, by all of its labels; empty: all. `host=NAME` is one host', examples: [['env=prod,site=east']] }),
  })
  .meta({ id: 'KeyScope', description: 'What a key of a viewer, an operator or an approver is limited to' });

const identity = {
  id: z.string(),
  name: z.string().meta({ examples: ['ci'] }),
  role: keyRole,
  scope: KeyScope.nullable().meta({ description: 'Null: everything' }),
};

export const KeyCreateBody = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}$/, "a key's name is 1 to 63 letters, digits, spaces, dots, dashes, underscores and @, and starts with a letter or digit")
    .meta({ description: 'Who uses it; stands in the audit', examples: ['ci'] }),
  role: keyRole,
  scope: KeyScope.nullable().default(null),
  expiresSeconds: z.number().int().min(60).max(10 * 366 * 86_400).nullable().default(null).meta({ description: 'How long it works; null: until it is revoked' }),
});
export type KeyCreateBody = z.infer<typeof KeyCreateBody>;

const text = z.string().nullable().meta({ description: 'The key itself. Shown this once and never stored: null where a repeated request (Idempotency-Key) is answered again' });
const masked = z.string().meta({ examples: ['abcd****wxyz'] });

export const KeyCreated = z.object({ ...identity, text, masked }).meta({ id: 'KeyCreated' });
export type KeyCreated = z.infer<typeof KeyCreated>;

export const KeyListQuery = z.strictObject(pageAfter('id'));
export const KeyList = z
  .object({
    keys: z.array(
      z.object({
        ...identity,
        host: hostId.nullable().meta({ description: 'The only host that the key may speak for' }),
        masked,
        createdAt: instant,
        expiresAt: instant.nullable(),
        revokedAt: instant.nullable(),
        lastUsedAt: instant.nullable().meta({ description: 'To the minute' }),
        previous: z.object({ masked, endsAt: instant }).nullable().meta({ description: 'The text before the last rotation, while it works' }),
      }),
    ),
    nextAfter,
  })
  .meta({ id: 'KeyList' });
export type KeyList = z.infer<typeof KeyList>;

export const KeyParams = z.object({ id: z.string().min(1).max(64) });
export const KeyRevoked = z.object({ id: z.string(), state: z.literal('revoked') }).meta({ id: 'KeyRevoked' });
export type KeyRevoked = z.infer<typeof KeyRevoked>;

export const KeyRotateBody = z
  .strictObject({ graceSeconds: z.number().int().min(0).max(86_400).default(86_400).meta({ description: 'How long the old text works still; 0 ends every older one at once' }) })
  .default({ graceSeconds: 86_400 });
export const KeyRotated = z.object({ ...identity, text, masked, previousEndsAt: instant.meta({ description: 'When the old text ends' }) }).meta({ id: 'KeyRotated' });
export type KeyRotated = z.infer<typeof KeyRotated>;

const labelName = z.string().regex(labelNamePattern, 'a label has a name of 1 to 63 of a-z, 0-9, dot, dash and underscore');
const labelValue = z.string().regex(labelValuePattern, 'a label has a value of 1 to 63 letters, digits, dots, dashes and underscores');
export const Labels = z.record(labelName, labelValue).meta({ id: 'Labels', description: 'What people say of a host; scopes of keys select hosts by it' });
export const LabelsBody = z.strictObject({ labels: z.record(labelName, labelValue.nullable()).meta({ description: 'Those to set; null takes one away', examples: [{ env: 'prod', old: null }] }) });
export const LabelsAnswer = z.object({ host: hostId, labels: Labels }).meta({ id: 'LabelsAnswer' });
export type LabelsAnswer = z.infer<typeof LabelsAnswer>;
