import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { ownProduct } from '../../domain/ids.ts';
import type { ReleaseDetail, RolloutBody, RolloutPlanAnswer } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { rolloutOptions, type RolloutOptions } from '../rollout/options.ts';
import { publishBundle, type PublishOptions } from './release.ts';
import { bodyOf, startAndFollow } from './rollout.ts';
import { apiCommand, numberFrom } from './shared.ts';

type UpdateOptions = RolloutOptions & PublishOptions & { readonly all?: boolean; readonly release?: string; readonly build?: boolean; readonly detach?: boolean; readonly timeout?: number };

const buildLimitMs = 900_000;
const isBundle = (word: string): boolean => /\.tar\.(gz|zst)$/.test(word);

/** `nodes update`: hosts to a release of Fairlead itself, the controllers first, by a rollout. */
export function registerNodesUpdate(nodes: Command, context: Context): void {
  const command = rolloutOptions(nodes.command('update').description('bring hosts to a release of Fairlead itself: its controllers first, then the agents of the nodes; follows to the end'))
    .argument('[hosts and bundles...]', 'names of hosts, and bundle files (.tar.gz, .tar.zst) of the release, one for each role')
    .option('--all', 'every host that has the product')
    .option('--release <release>', 'a published release (default: that of the bundles, else the newest one)')
    .option('--build', 'make the release from this checkout first, as npm run release does')
    .option('--sign-key <file>', "for bundles: the publisher's private key (default: that of the development instance)")
    .option('--no-sign', 'publish bundles without a signature')
    .option('--detach', 'print the rollout and leave')
    .option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'));

  apiCommand(command, context, async (api, options: UpdateOptions, words: string[]) => {
    const hosts = [...(options.hosts ?? []), ...words.filter((word) => !isBundle(word))];
    if (options.all === true && hosts.length > 0) throw usageError('--all and names of hosts contradict each other');
    if (options.all !== true && hosts.length === 0) throw usageError('which hosts?', 'name them, or say --all');
    if (options.build === true && options.release !== undefined) throw usageError('--build and --release contradict each other', 'what is built is named after the commit');
    const product = options.product ?? ownProduct;
    const built = options.build === true ? await build(context) : null;
    try {
      const files = [...words.filter(isBundle), ...(built?.files ?? [])];
      const published = await publishAll(api, files, { ...options, product }, context);
      const given = { ...options, product, ...(options.all === true ? {} : { hosts }) };
      const body = await bodyOf(api, given, options.release ?? published ?? undefined, context);
      await demandArtifacts(api, body);
      await startAndFollow(api, body, options, context);
    } finally {
      await built?.end();
    }
  });
}

/** @returns the release that all the bundles belong to; null where there are none */
async function publishAll(api: ApiClient, files: readonly string[], options: UpdateOptions & { readonly product: string }, context: Context): Promise<string | null> {
  let releaseId: string | null = null;
  for (const file of files) {
    const { artifact, state } = await publishBundle(api, resolve(context.cwd, file), options, context);
    context.note(`${state === 'published' ? 'published' : 'was published already:'} ${artifact.product} ${artifact.releaseId} (${artifact.role}, ${artifact.profile})`);
    if (artifact.product !== options.product) throw usageError(`${file} is a bundle of ${artifact.product}, not of ${options.product}`);
    const wanted: string | null = releaseId ?? options.release ?? null;
    if (wanted !== null && wanted !== artifact.releaseId) throw usageError(`${file} is of release ${artifact.releaseId}, not of ${wanted}`, 'one release at a time: a bundle for each role');
    releaseId = artifact.releaseId;
  }
  return releaseId;
}

/** Before anything happens: each host in scope has to find the artifact of its role. */
async function demandArtifacts(api: ApiClient, body: RolloutBody): Promise<void> {
  const plan = await api.post<RolloutPlanAnswer>('/api/rollouts/plan', { body });
  if (plan.decision === 'refuse') return; // The start is refused for the same reason, and says it.
  const { artifacts } = await api.get<ReleaseDetail>(`/api/releases/${encodeURIComponent(body.product)}/${encodeURIComponent(plan.toReleaseId)}`);
  const there = new Set(artifacts.map(({ role }) => role));
  const lacking = plan.waves.flatMap(({ hosts }) => hosts).filter(({ artifactRole }) => !there.has(artifactRole));
  if (lacking.length === 0) return;
  const roles = [...new Set(lacking.map(({ artifactRole }) => artifactRole))];
  throw new CommandFailure(exitCodes.refused, `release ${plan.toReleaseId} has no artifact for ${roles.join(' and ')}, which ${lacking.slice(0, 5).map(({ host }) => host).join(', ')}${lacking.length > 5 ? ` and ${lacking.length - 5} more` : ''} need`, 'publish it: fairlead release publish FILE');
}

/** Makes both bundles in a directory of its own, by the script that publishers use. */
async function build(context: Context): Promise<{ files: string[]; end(): Promise<void> }> {
  const checkout = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
  const script = join(checkout, 'scripts/release.ts');
  if (!existsSync(script)) throw usageError('--build needs a checkout, and this is a release', 'name bundles that were made, or --release');
  const directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-build-'));
  const end = (): Promise<void> => fs.rm(directory, { recursive: true, force: true });
  context.note('making the bundles of this checkout …');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', script, '--json', '-o', directory], { cwd: checkout, timeout: buildLimitMs, maxBuffer: 16 * 2 ** 20 });
    return { files: (JSON.parse(stdout) as { releases: { file: string }[] }).releases.map(({ file }) => file), end };
  } catch (error) {
    await end();
    throw new CommandFailure(exitCodes.failed, `the release could not be made: ${(error as { stderr?: string }).stderr?.trim() || String(error)}`);
  }
}
