import { z } from 'zod';
import { hostId, productName, releaseId } from './identifiers.ts';

const target = { host: hostId, product: productName };

export const PromotionBody = z
  .strictObject({
    ...target,
    releaseId: releaseId.optional().meta({ description: 'The release that is to be promoted; left out, the one that the host runs. Another one than it runs is refused' }),
    bakeSeconds: z.number().min(0).max(86_400).optional().meta({ description: "Instead of the manifest's: how long an instance has to stay healthy before the next one is started" }),
  })
  .meta({ examples: [{ host: 'h1', product: 'noderax-platform' }] });
export type PromotionBody = z.input<typeof PromotionBody>;

export const PromotionPlanBody = z.strictObject(target);
