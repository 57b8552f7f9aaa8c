import { z } from 'zod';
import { hostId, instant } from './identifiers.ts';

export const keyRole = z.enum(['admin', 'agent']).meta({ description: '`admin`: people and CI; `agent`: hosts' });

const identity = {
  id: z.string(),
  name: z.string().meta({ examples: ['ci'] }),
  role: keyRole,
};

export const KeyCreateBody = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}$/, "a key's name is 1 to 63 letters, digits, spaces, dots, dashes, underscores and @, and starts with a letter or digit")
    .meta({ description: 'Who uses it; stands in the audit', examples: ['ci'] }),
  role: keyRole,
});
export type KeyCreateBody = z.infer<typeof KeyCreateBody>;

export const KeyCreated = z
  .object({
    ...identity,
    text: z.string().nullable().meta({ description: 'The key itself. Shown this once and never stored: null where a repeated request (Idempotency-Key) is answered again' }),
    masked: z.string().meta({ examples: ['abcd****wxyz'] }),
  })
  .meta({ id: 'KeyCreated' });
export type KeyCreated = z.infer<typeof KeyCreated>;

export const KeyList = z
  .object({ keys: z.array(z.object({ ...identity, host: hostId.nullable().meta({ description: 'The only host that the key may speak for' }), masked: z.string(), createdAt: instant, revokedAt: instant.nullable() })) })
  .meta({ id: 'KeyList' });
export type KeyList = z.infer<typeof KeyList>;

export const KeyParams = z.object({ id: z.string().min(1).max(64) });
export const KeyRevoked = z.object({ id: z.string(), state: z.literal('revoked') }).meta({ id: 'KeyRevoked' });
export type KeyRevoked = z.infer<typeof KeyRevoked>;
