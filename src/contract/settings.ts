import { z } from 'zod';
import { instant, nextAfter, pageAfter } from './identifiers.ts';

const name = z.string().min(1).max(200).meta({ description: 'What it is for; `bearer.SCHEME@HOST[:PORT]` is the token for gates and metrics at an origin', examples: ['bearer.https@prometheus.internal:9090'] });

export const Setting = z
  .object({
    name,
    masked: z.string().nullable().meta({ description: 'The value itself is never answered. Null where it cannot be opened', examples: ['abcd****wxyz'] }),
    keyId: z.string().meta({ description: 'The key that sealed it' }),
    setAt: instant,
    setBy: z.string(),
    problem: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }).nullable().meta({ description: 'Why it cannot be opened' }),
  })
  .meta({ id: 'Setting' });
export type Setting = z.infer<typeof Setting>;

export const SettingList = z.object({ settings: z.array(Setting), nextAfter }).meta({ id: 'SettingList' });
export type SettingList = z.infer<typeof SettingList>;

export const SettingListQuery = z.strictObject(pageAfter('name'));
export const SettingParams = z.object({ name });
export const SettingBody = z.strictObject({ value: z.string().max(16_384).meta({ description: 'The secret itself' }) });
export const SettingUnset = z.object({ name, state: z.literal('removed') }).meta({ id: 'SettingUnset' });
export type SettingUnset = z.infer<typeof SettingUnset>;
export const SettingsRotated = z
  .object({ keyId: z.string().meta({ description: 'The key that seals' }), resealed: z.array(z.string()), already: z.number().int().meta({ description: 'How many it had sealed before' }) })
  .meta({ id: 'SettingsRotated' });
export type SettingsRotated = z.infer<typeof SettingsRotated>;
