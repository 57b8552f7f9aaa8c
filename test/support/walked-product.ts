import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';
import { writeSource } from './bundle-source.ts';

/**
 * A product whose update from r1 to r2 has every kind of step: an instance is retired, another one is new and gets a conf file, every hook is there, and r0
 * is old enough to be pruned. Its processes are never started.
 */
const manifest = (before: boolean) => `schema: 1
product: walked
releaseId: any
initialPhase: installed
services:
  api: {command: [bin/api], instances: {installed: [a, b${before ? ', c' : ''}]}, ports: {a: 4101, b: 4102${before ? ', c: 4103' : ''}}, probes: {ready: api}}
${before ? '' : '  worker: {command: [bin/api], instances: {installed: [a]}, ports: {a: 4201}, probes: {ready: worker}}\n'}probes:
  api: {service: api, releaseIdField: releaseId}
${before ? '' : '  worker: {service: worker, releaseIdField: releaseId}\n'}  route: {router: true, path: /, releaseIdField: releaseId}
health: {installed: [api, route]}
router:
  listen: 4000
  routes: {/: api}
  nginx: {upstreams: {api: walked_api}}
hooks:
  preflight: {command: [sh, -c, 'test -d "$FAIRLEAD_STATE_DIR"'], timeoutSeconds: 10}
  backup: {command: [sh, -c, 'cp "$FAIRLEAD_STATE_DIR/generation" "$FAIRLEAD_BACKUP_DIR/" 2>/dev/null || true'], timeoutSeconds: 10}
  migrate: {command: [sh, -c, 'echo "$FAIRLEAD_RELEASE_ID" >"$FAIRLEAD_STATE_DIR/generation" && sync "$FAIRLEAD_STATE_DIR/generation" "$FAIRLEAD_STATE_DIR"'], timeoutSeconds: 10}
  restore: {command: [sh, -c, 'cp "$FAIRLEAD_BACKUP_DIR/generation" "$FAIRLEAD_STATE_DIR/generation"'], timeoutSeconds: 10}
backup: {paths: ["{state}/generation"]}
data: {schemaGeneration: 1, readsFrom: 1, onRollback: restore}
retention: {releases: 2, backups: 1}
bakeSeconds: 0
`;

export interface Packed {
  readonly file: string;
  readonly artifact: Artifact;
}

/** Packs r0, r1 and r2 into `work`. */
export async function packWalkedProduct(work: string): Promise<{ r0: Packed; r1: Packed; r2: Packed }> {
  const pack = async (releaseId: string, text: string): Promise<Packed> => {
    const directory = await fs.mkdtemp(join(work, 'source-'));
    await writeSource(directory, { 'bin/api': `#!/bin/sh\n: ${releaseId}\n`, 'lib/big': `${releaseId}\n`.repeat(20_000), 'lib/small': releaseId }, text);
    const file = join(work, `${releaseId}.tar.zst`);
    return { file, artifact: await createBundle({ directory, releaseId: releaseId as ReleaseId, format: 'zst', output: file }) };
  };
  const before = manifest(true);
  return { r0: await pack('r0', before), r1: await pack('r1', before), r2: await pack('r2', manifest(false)) };
}
