import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactIdentity, ArtifactRef } from '../../domain/bundle/artifact.ts';
import { FairleadError } from '../../domain/failure.ts';
import { agentLayout } from '../../domain/host/layout.ts';
import type { BundleVerifier } from '../../ports/bundle-verifier.ts';
import { keyIdOf, verifySignature } from '../bundle/signature.ts';
import { isMissing } from '../files/durable.ts';

/** Checks bundles against what control says of them, and against the publishers that the host itself was given (`/etc/fairlead/publishers/*.pub`, PEM). */
export function createBundleVerifier(root: string): BundleVerifier {
  const { trustedPublishersDir } = agentLayout(root);

  async function publicKeys(): Promise<string[]> {
    try {
      const names = (await fs.readdir(trustedPublishersDir)).filter((name) => name.endsWith('.pub')).sort();
      return await Promise.all(names.map((name) => fs.readFile(join(trustedPublishersDir, name), 'utf8')));
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  return {
    async trustedKeyIds() {
      return (await publicKeys()).map(keyIdOf);
    },

    async verify(file, artifact, onProgress, cancel) {
      try {
        await demandDigest(file, artifact, onProgress, cancel);
        return { signedBy: demandSignature(artifact, await publicKeys(), trustedPublishersDir) };
      } catch (error) {
        if (error instanceof FairleadError) await fs.rm(file, { force: true });
        throw error;
      }
    },
  };
}

async function demandDigest(file: string, artifact: ArtifactRef, onProgress: (done: number, total: number) => void, cancel?: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, ...(cancel ? { signal: cancel } : {}) }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    onProgress(bytes, artifact.sizeBytes);
  }
  const about = `The bundle of ${artifact.product} ${artifact.releaseId}`;
  if (bytes !== artifact.sizeBytes) {
    throw new FairleadError({
      class: 'dependency',
      code: 'size_mismatch',
      message: `${about} has ${bytes} bytes where ${artifact.sizeBytes} were published.`,
      hint: 'It was cut or altered on the way, and has been removed. Start the update again to fetch it anew.',
    });
  }
  const digest = hash.digest('hex');
  if (digest === artifact.sha256) return;
  throw new FairleadError({
    class: 'dependency',
    code: 'digest_mismatch',
    message: `${about} has the SHA-256 ${digest} where ${artifact.sha256} was published.`,
    hint: 'It was altered on the way or in the artifact store, and has been removed. Start the update again; if it happens again, publish the release anew and look for who alters it.',
  });
}

function demandSignature(artifact: ArtifactRef, trusted: readonly string[], directory: string): string | null {
  if (trusted.length === 0) return null;
  if (artifact.signature === null) {
    throw new FairleadError({
      class: 'release',
      code: 'signature_missing',
      message: `${artifact.product} ${artifact.releaseId} is not signed, and this host takes signed releases only (it has publishers' keys in ${directory}).`,
      hint: 'Publish it with fairlead release publish --sign-key FILE.',
    });
  }
  const { product, releaseId, role, profile, format, sizeBytes, sha256, fileListSha256 } = artifact;
  const identity: ArtifactIdentity = { product, releaseId, role, profile, format, sizeBytes, sha256, fileListSha256 };
  return verifySignature(identity, artifact.signature, trusted);
}
