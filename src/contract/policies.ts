import { z } from 'zod';
import { channels } from '../domain/release-check/channel.ts';
import { checkActions } from '../domain/release-check/policy.ts';
import { hostId, instant, nextAfter, pageAfter, productName } from './identifiers.ts';

export const channel = z.enum(channels).meta({ description: 'Channel of a release, from the most careful to the least: who follows one also takes what is in those before it' });
export const maintenanceWindow = z.strictObject({ cron: z.string().min(1).max(200), zone: z.string().min(1).max(64), durationSeconds: z.number().min(60).max(366 * 86_400) }).meta({ description: 'Opens by a cron expression of five fields, read in an IANA zone, and stays open so long' });

const policyShape = {
  product: productName,
  host: hostId.nullable().default(null).meta({ description: 'Null: every host of the product that has no policy of its own' }),
  channel: channel.default('stable'),
  action: z.enum(checkActions).default('notify').meta({ description: 'What the release check does by itself with a newer release: notes it, has the host fetch it, or applies it' }),
  windows: z.array(maintenanceWindow).max(20).default([]).meta({ description: 'When updates may begin by themselves: while any of them is open. None: at any time' }),
};
export const UpdatePolicyBody = z.strictObject(policyShape);
export type UpdatePolicyBody = z.input<typeof UpdatePolicyBody>;
export const UpdatePolicy = z.object({ ...policyShape, setBy: z.string(), setAt: instant }).meta({ id: 'UpdatePolicy', description: 'What the release check may do by itself' });
export type UpdatePolicy = z.infer<typeof UpdatePolicy>;
export const UpdatePolicyList = z.object({ policies: z.array(UpdatePolicy), nextAfter }).meta({ id: 'UpdatePolicyList' });
export type UpdatePolicyList = z.infer<typeof UpdatePolicyList>;
export const UpdatePolicyListQuery = z.strictObject(pageAfter('`product/host`, with `*` for every host'));
export const UpdatePolicyQuery = z.strictObject({ product: productName, host: hostId.optional() });
