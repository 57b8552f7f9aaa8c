import { canonicalJson } from '../canonical-json.ts';
import type { ArtifactIdentity } from './artifact.ts';

/** The bytes that a publisher signs: the identity's own fields and no others, keys sorted, without white space (a subset of RFC 8785). */
export function canonicalIdentity(identity: ArtifactIdentity): string {
  const { product, releaseId, role, profile, format, sizeBytes, sha256, fileListSha256 } = identity;
  return canonicalJson({ product, releaseId, role, profile, format, sizeBytes, sha256, fileListSha256 });
}
