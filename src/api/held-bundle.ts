import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { UpdateDownloadAnswer } from '../contract/index.ts';
import type { Artifact } from '../domain/bundle/artifact.ts';
import { FairleadError } from '../domain/failure.ts';
import type { ArtifactStore, HostRow } from '../ports/control-stores.ts';

/**
 * The bundle that the host would take, once the controller's copy of it was read whole.
 * @throws FairleadError `artifact_missing`, `artifact_digest_mismatch`, `artifact_size_mismatch`
 */
export async function heldBundle(store: ArtifactStore, artifact: Artifact, host: HostRow): Promise<Omit<UpdateDownloadAnswer, 'transfer'>> {
  const { product, releaseId, sha256, sizeBytes, signature } = artifact;
  const what = `The bundle of ${product} ${releaseId} for role ${artifact.role}`;
  const hint = 'Publish the same bundle again: fairlead release publish FILE';
  const file = await store.path(sha256);
  if (file === null) throw new FairleadError({ class: 'dependency', code: 'artifact_missing', message: `${what} is published, and not stored here.`, hint });
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    hash.update(chunk);
  }
  if (bytes !== sizeBytes) throw new FairleadError({ class: 'dependency', code: 'artifact_size_mismatch', message: `${what} has ${bytes} bytes where it is stored, and was published with ${sizeBytes}.`, hint });
  if (hash.digest('hex') !== sha256) throw new FairleadError({ class: 'dependency', code: 'artifact_digest_mismatch', message: `${what} was altered where it is stored: its digest is not ${sha256}.`, hint });
  const trusted = host.products.find((each) => each.product === product)?.trustedKeyIds ?? [];
  const signedBy = signature?.keyId ?? null;
  return { host: host.host, product, releaseId, sha256, sizeBytes, verified: true, signedBy, signedByTrusted: trusted.length === 0 ? null : signedBy !== null && trusted.includes(signedBy), artifact: `/api/artifacts/${sha256}` };
}
