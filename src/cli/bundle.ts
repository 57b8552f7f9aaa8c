import { stat } from 'node:fs/promises';
import { createBundle } from '../adapters/bundle/create.ts';
import { inspectBundle } from '../adapters/bundle/inspect.ts';
import { verifyBundle } from '../adapters/bundle/verify.ts';
import type { Artifact, ArtifactIdentity, BundleFormat, FileList } from '../domain/bundle/artifact.ts';
import { FairleadError } from '../domain/failure.ts';
import { type ReleaseId, releaseIdPattern } from '../domain/ids.ts';
import type { Role } from '../domain/product/manifest.ts';

/** What `bundle create DIR --release ID [--role R] [--format gz|zst] -o FILE` was given. */
export interface BundleCreateOptions {
  readonly directory: string;
  readonly release: string;
  readonly role?: string;
  /** Left out, told by the output's name; `zst` where that does not tell. */
  readonly format?: string;
  readonly output: string;
}

/** Packs a directory and reads the result again, so that a success means a bundle that hosts take. */
export async function bundleCreate(options: BundleCreateOptions): Promise<{ file: string; artifact: Artifact }> {
  const { directory, release, role, output } = options;
  if (!releaseIdPattern.test(release)) throw usage(`--release ${JSON.stringify(release)} is no release id: letters, digits and . _ + -, at most 128.`);
  if (role !== undefined && role !== 'controller' && role !== 'node') throw usage(`--role must be controller or node, not ${JSON.stringify(role)}.`);
  const isDirectory = await stat(directory).then((stats) => stats.isDirectory(), () => false);
  if (!isDirectory) throw usage(`${directory} is no directory.`);
  const format = formatOf(options.format, output);
  const artifact = await createBundle({ directory, releaseId: release as ReleaseId, format, output, ...(role === undefined ? {} : { role: role satisfies Role }) });
  await verifyBundle(output, artifact);
  return { file: output, artifact };
}

/** What a bundle is and holds, from the file alone. */
export async function bundleInspect(file: string): Promise<{ file: string; artifact: Artifact; files: number; bytes: number; fileList: FileList }> {
  await requireFile(file);
  const { artifact, fileList } = await inspectBundle(file);
  const sizes = fileList.entries.flatMap((entry) => (entry.type === 'file' ? [entry.size] : []));
  return { file, artifact, files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0), fileList };
}

/** Checks a bundle whole; throws the first reason against it. */
export async function bundleVerify(file: string, expected: Partial<ArtifactIdentity> = {}): Promise<{ file: string; ok: true; artifact: Artifact }> {
  await requireFile(file);
  const { artifact } = await verifyBundle(file, expected);
  return { file, ok: true, artifact };
}

function formatOf(format: string | undefined, output: string): BundleFormat {
  if (format === undefined) return /\.(tar\.gz|tgz|gz)$/.test(output) ? 'gz' : 'zst';
  if (format !== 'gz' && format !== 'zst') throw usage(`--format must be gz or zst, not ${JSON.stringify(format)}.`);
  return format;
}

async function requireFile(file: string): Promise<void> {
  const isFile = await stat(file).then((stats) => stats.isFile(), () => false);
  if (!isFile) throw usage(`${file} is no file.`);
}

function usage(message: string): FairleadError {
  return new FairleadError({ class: 'request', code: 'usage', message });
}
