import { z } from 'zod';
import type { ArtifactRef } from '../domain/bundle/artifact.ts';
import { channel } from './policies.ts';
import { instant, nextBefore, page, productName, releaseId, role, sha256 } from './identifiers.ts';

export const ArtifactSignature = z
  .strictObject({
    keyId: z.string().regex(/^[0-9a-f]{16}$/, 'a key id is 16 hexadecimal digits').meta({ description: "First 16 hexadecimal digits of the SHA-256 of the publisher's public key (SPKI, DER)" }),
    value: z.base64().max(128).meta({ description: 'Ed25519 (RFC 8032) over the canonical identity, in base64' }),
  })
  .meta({ id: 'ArtifactSignature' });

const artifactShape = {
  product: productName,
  releaseId,
  role,
  profile: z.string().meta({ examples: ['default'] }),
  format: z.enum(['gz', 'zst']),
  sizeBytes: z.number().int(),
  sha256,
  fileListSha256: sha256,
  platformVersion: z.string().meta({ description: 'A label that many releases share; no decision reads it' }),
  signature: ArtifactSignature.nullable(),
};

export const Artifact = z.object(artifactShape).meta({ id: 'Artifact', description: 'A bundle for one role of a release' }) satisfies z.ZodType<ArtifactRef>;

export const PublishedRelease = z.object({ ...artifactShape, publishedAt: instant, publishedBy: z.string(), channel }).meta({ id: 'PublishedRelease' });
export type PublishedRelease = z.infer<typeof PublishedRelease>;

export const ReleaseListQuery = z.strictObject({ product: productName.optional(), ...page('sha256') });
export const ReleaseList = z.object({ releases: z.array(PublishedRelease), nextBefore }).meta({ id: 'ReleaseList' });
export type ReleaseList = z.infer<typeof ReleaseList>;

export const ReleaseParams = z.object({ product: productName, releaseId });
export const ReleaseDetail = z
  .object({
    product: productName,
    releaseId,
    artifacts: z.array(
      z.object({
        ...artifactShape,
        publishedAt: instant,
        publishedBy: z.string(),
        channel,
        manifest: z.record(z.string(), z.unknown()).meta({ description: 'The product manifest of the bundle, as it was checked' }),
      }),
    ),
  })
  .meta({ id: 'ReleaseDetail' });
export type ReleaseDetail = z.infer<typeof ReleaseDetail>;

/** The request header of a publication that carries the signature, as JSON. */
export const signatureHeader = 'x-fairlead-signature';
/** The request header of a publication that says the channel of the release. */
export const channelHeader = 'x-fairlead-channel';
export const ReleasePublishHeaders = z.object({
  [channelHeader]: channel.optional().meta({ description: "Counts for the release's first artifact; left out: stable" }),
  [signatureHeader]: z
    .string()
    .max(512)
    .optional()
    .meta({ description: 'The signature as JSON: `{"keyId":"…","value":"…"}`', examples: ['{"keyId":"0123456789abcdef","value":"…"}'] }),
});
export const ReleaseChannelBody = z.strictObject({ channel });
export const ReleaseChannelAnswer = z.object({ product: productName, releaseId, channel, before: channel }).meta({ id: 'ReleaseChannelAnswer' });
export type ReleaseChannelAnswer = z.infer<typeof ReleaseChannelAnswer>;
export const ReleasePublishAnswer = z
  .object({ state: z.enum(['published', 'already_published']), artifact: Artifact, links: z.object({ self: z.string(), artifact: z.string() }) })
  .meta({ id: 'ReleasePublishAnswer' });
export type ReleasePublishAnswer = z.infer<typeof ReleasePublishAnswer>;

export const ArtifactParams = z.object({ sha256 });
