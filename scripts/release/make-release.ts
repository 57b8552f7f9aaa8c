import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import { signArtifact, verifySignature } from '../../src/adapters/bundle/signature.ts';
import { verifyBundle } from '../../src/adapters/bundle/verify.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { type ReleaseId, releaseIdPattern } from '../../src/domain/ids.ts';
import type { Role } from '../../src/domain/product/manifest.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';
import { problemsOf } from './node-contents.ts';
import { project } from './project.ts';
import { readRecordings, replay } from './replay.ts';
import { stageController } from './stage-controller.ts';
import { stageNode } from './stage-node.ts';

export interface ReleaseOptions {
  readonly releaseId: string;
  /** Where the bundles go; made where it is not there. */
  readonly output: string;
  /** Directories of recorded runs beside test/histories, such as those of the installation that is to be updated. */
  readonly histories: readonly string[];
  /** The publisher's private key and its public one, or null for bundles without a signature. */
  readonly key: { readonly privateKeyPem: string; readonly publicKeyPem: string } | null;
  readonly say: (line: string) => void;
}

export interface ReleasedBundle {
  readonly file: string;
  /** Beside the bundle, where there is a key: a signature cannot stand in what it signs. */
  readonly signatureFile: string | null;
  readonly artifact: Artifact;
}

/**
 * Makes Fairlead's own release: a bundle for the controller and one for nodes, each verified as a host would. The same sources, packages and Node in the
 * same directory give the same bytes.
 *
 * Before anything is made, the workflows replay every recorded run: a controller that is updated takes over runs that its predecessor began.
 * @throws FairleadError `release_id_invalid`; `replay_failed`, which names each recording; `node_not_alone`; what the bundle creator refuses
 */
export async function makeRelease({ releaseId, output, histories, key, say }: ReleaseOptions): Promise<ReleasedBundle[]> {
  if (!releaseIdPattern.test(releaseId)) throw refuse('release_id_invalid', `--release ${JSON.stringify(releaseId)} is no release id: letters, digits and . _ + -, at most 128.`);
  await replayAll([join(project, 'test/histories'), ...histories], say);
  await fs.mkdir(output, { recursive: true });
  const staging = await fs.mkdtemp(join(tmpdir(), 'fairlead-release-'));
  try {
    const released: ReleasedBundle[] = [];
    for (const role of ['controller', 'node'] as const) {
      const directory = join(staging, role);
      await fs.mkdir(directory);
      await stage(role, directory, say);
      released.push(await pack(role, directory, join(output, `fairlead-${releaseId}-${role}.tar.zst`), releaseId as ReleaseId, key));
    }
    return released;
  } finally {
    await fs.rm(staging, { recursive: true, force: true });
  }
}

async function replayAll(directories: readonly string[], say: (line: string) => void): Promise<void> {
  const code = await workflowBundle();
  for (const directory of directories) {
    const recordings = await readRecordings(directory);
    if (recordings.length === 0) throw refuse('replay_failed', `${directory} holds no recorded run.`, 'A recording is NAME.json, as `temporal workflow show --output json` prints it.');
    const failed = await replay(code, recordings);
    if (failed.size > 0) {
      const lines = [...failed].map(([name, error]) => `  ${name}: ${error.message.split('\n')[0]}`);
      throw refuse('replay_failed', `${failed.size} of ${recordings.length} recorded runs in ${directory} cannot be replayed by these workflows; no bundle was made:\n${lines.join('\n')}`, 'Runs that are under way would be stuck. docs/checklists/changing-a-workflow-in-flight.md says how to change a workflow all the same.');
    }
    say(`replayed ${recordings.length} recorded runs of ${directory}`);
  }
}

async function stage(role: Role, directory: string, say: (line: string) => void): Promise<void> {
  if (role === 'controller') {
    const { packages } = await stageController(directory);
    return say(`controller: sources and ${packages} packages`);
  }
  const programs = await stageNode(directory);
  const problems = programs.flatMap(({ path, metafile }) => problemsOf(metafile).map((problem) => `  ${path}: ${problem}`));
  if (problems.length > 0) throw refuse('node_not_alone', `The node's programs hold what belongs to the controller; no bundle of it was made:\n${problems.join('\n')}`, 'npm run check:node');
  say(`node: ${programs.map(({ path, bytes }) => `${path} (${(bytes / 1e6).toFixed(2)} MB)`).join(', ')}`);
}

async function pack(role: Role, directory: string, file: string, releaseId: ReleaseId, key: ReleaseOptions['key']): Promise<ReleasedBundle> {
  const created = await createBundle({ directory, releaseId, role, format: 'zst', output: file });
  const { artifact } = await verifyBundle(file, created);
  if (key === null) return { file, signatureFile: null, artifact };
  const signature = signArtifact(artifact, key.privateKeyPem);
  verifySignature(artifact, signature, [key.publicKeyPem]);
  const signatureFile = `${file}.signature.json`;
  await fs.writeFile(signatureFile, `${JSON.stringify(signature, null, 2)}\n`);
  return { file, signatureFile, artifact: { ...artifact, signature } };
}

function refuse(code: string, message: string, hint?: string): FairleadError {
  return new FairleadError({ class: 'release', code, message, ...(hint === undefined ? {} : { hint }) });
}
