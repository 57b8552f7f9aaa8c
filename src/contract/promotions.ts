import { z } from 'zod';
import { CertificateIssueBody } from './certificates.ts';
import { hostId, productName, releaseId } from './identifiers.ts';

const target = { host: hostId, product: productName };

export const PromotionCertificate = CertificateIssueBody.omit({ host: true, product: true, alsoOn: true, force: true }).meta({ description: 'Has the host served over TLS in the same course: got over the plain HTTP of the setup phase, proven, and redirected to once the installed phase is healthy. Undone with the promotion. For administrators' });

export const PromotionBody = z
  .strictObject({
    ...target,
    releaseId: releaseId.optional().meta({ description: 'The release that is to be promoted; left out, the one that the host runs. Another one than it runs is refused' }),
    bakeSeconds: z.number().min(0).max(86_400).optional().meta({ description: "Instead of the manifest's: how long an instance has to stay healthy before the next one is started" }),
    certificate: PromotionCertificate.optional(),
  })
  .meta({ examples: [{ host: 'h1', product: 'noderax-platform' }] });
export type PromotionBody = z.input<typeof PromotionBody>;

export const PromotionPlanBody = z.strictObject({ ...target, certificate: PromotionCertificate.optional() });
export type PromotionPlanBody = z.input<typeof PromotionPlanBody>;
