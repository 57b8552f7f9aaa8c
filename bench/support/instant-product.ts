import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';

const manifest = `schema: 1
product: instant
releaseId: replaced
platformVersion: "1.0.0"
artifact: { role: node, profile: bench }
initialPhase: installed
services:
  api:
    command: [bin/api]
    instances: { setup: [setup], installed: [a, b] }
    ports: { setup: 4010, a: 4011, b: 4012 }
    probes: { ready: ready }
probes:
  ready: { service: api, path: /, releaseIdField: releaseId }
health: { setup: [ready], installed: [ready] }
data: { schemaGeneration: 1, readsFrom: 1, onRollback: keep }
retention: { releases: 2, backups: 2 }
bakeSeconds: 0
`;

/** A product of one small file, two instances and no hooks, bundled as `releaseId` below `work`. */
export async function bundleInstantProduct(work: string, releaseId: string): Promise<{ file: string; artifact: Artifact }> {
  const directory = join(work, releaseId);
  await fs.mkdir(join(directory, 'bin'), { recursive: true });
  await fs.writeFile(join(directory, 'fairlead.yaml'), manifest);
  await fs.writeFile(join(directory, 'bin/api'), `#!/bin/sh\n: ${releaseId}\n`, { mode: 0o755 });
  const file = join(work, `${releaseId}.tar.gz`);
  return { file, artifact: await createBundle({ directory, releaseId: releaseId as ReleaseId, format: 'gz', output: file }) };
}
