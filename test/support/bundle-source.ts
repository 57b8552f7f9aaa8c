import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import type { Artifact, BundleFormat } from '../../src/domain/bundle/artifact.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';

export const sourceManifest = `# A product to pack.
schema: 1
product: demo
releaseId: any # replaced when it is packed
services:
  api: {command: [bin/run], instances: {installed: [a]}, ports: {a: 4100}, probes: {ready: ready}}
probes:
  ready: {service: api}
`;

/** Writes files (path to text; a function makes what is no file) with `fairlead.yaml` beside them. */
export async function writeSource(directory: string, files: Record<string, string | Buffer>, manifest = sourceManifest): Promise<void> {
  for (const [path, content] of Object.entries({ 'fairlead.yaml': manifest, ...files })) {
    await fs.mkdir(dirname(join(directory, path)), { recursive: true });
    await fs.writeFile(join(directory, path), content);
  }
}

/** Packs a release of `demo` into `work` and tells what it is. */
export async function packRelease(work: string, releaseId: string, files: Record<string, string | Buffer>, format: BundleFormat = 'zst'): Promise<{ file: string; artifact: Artifact }> {
  const directory = await fs.mkdtemp(join(work, 'source-'));
  await writeSource(directory, files);
  const file = join(work, `${releaseId}.tar.${format}`);
  return { file, artifact: await createBundle({ directory, releaseId: releaseId as ReleaseId, format, output: file }) };
}
