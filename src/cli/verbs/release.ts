import { openAsBlob } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import { inspectBundle } from '../../adapters/bundle/inspect.ts';
import { signArtifact } from '../../adapters/bundle/signature.ts';
import { channelHeader, signatureHeader } from '../../contract/index.ts';
import { channels, type Channel } from '../../domain/release-check/channel.ts';
import type { ReleaseChannelAnswer, ReleaseDetail, ReleaseList, ReleasePublishAnswer } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { renderPairs, renderTable } from '../table.ts';
import { apiCommand, connectionWords, numberFrom, query } from './shared.ts';
import type { CommonOptions } from './shared.ts';

/** How a bundle is signed when it is handed over. */
export interface PublishOptions extends CommonOptions {
  readonly signKey?: string;
  readonly sign?: boolean;
  readonly channel?: Channel;
}

/** An upload has to end, but a slow line is no error: so long, plus a second for each 100 kB. */
const uploadBaseMs = 120_000;

export function registerRelease(program: Command, context: Context): void {
  const release = program.command('release').description('the releases that hosts can be brought to');

  apiCommand(
    release.command('publish').description('hand bundles to the controller').argument('<files...>').option('--sign-key <file>', "the publisher's private key (default: that of the development instance)").option('--no-sign', 'publish without a signature')
      .addOption(new Option('--channel <channel>', "who gets it by itself: hosts that follow this channel or a less careful one; counts for a release's first artifact (default: stable)").choices(channels)),
    context,
    async (api, options: PublishOptions, files: string[]) => {
      if (options.sign === false && options.signKey !== undefined) throw usageError('--sign-key and --no-sign contradict each other');
      const answers: ReleasePublishAnswer[] = [];
      for (const file of files) {
        const answer = await publishBundle(api, resolve(context.cwd, file), options, context);
        answers.push(answer);
        const { product, releaseId, role, profile } = answer.artifact;
        if (options.json !== true) context.out(`${answer.state === 'published' ? 'published' : 'was published already:'} ${product} ${releaseId} (${role}, ${profile})\n`);
      }
      if (options.json) printJson(context, { published: answers });
      const first = answers[0]?.artifact;
      if (first !== undefined && options.json !== true) context.note(`apply it: fairlead update apply ${first.releaseId} --product ${first.product}${connectionWords(options)}`);
    },
  );

  apiCommand(
    release.command('list').description('newest first').option('--product <product>').option('--limit <count>', 'at most so many', numberFrom(1, '--limit'), 20).option('--before <digest>', 'only older ones than this artifact'),
    context,
    async (api, { product, limit, before, json }: CommonOptions & { product?: string; limit: number; before?: string }) => {
      const list = await api.get<ReleaseList>(`/api/releases${query({ product, limit, before })}`);
      if (json) return printJson(context, list);
      const rows = list.releases.map((row) => [row.product, row.releaseId, row.platformVersion, row.channel, row.role, row.profile, size(row.sizeBytes), row.signature === null ? 'no' : row.signature.keyId, row.publishedAt]);
      context.out(renderTable(['PRODUCT', 'RELEASE', 'VERSION', 'CHANNEL', 'ROLE', 'PROFILE', 'SIZE', 'SIGNED BY', 'PUBLISHED'], rows));
      if (rows.length === 0) context.note('no releases; publish one: fairlead release publish FILE');
      if (list.nextBefore !== null) context.note(`older ones: --before ${list.nextBefore}`);
    },
  );

  apiCommand(
    release.command('channel').description('move a release to another channel: from beta to stable, once it has proved itself').argument('<product>').argument('<release>').addArgument(new Argument('<channel>').choices(channels)),
    context,
    async (api, options: CommonOptions, product: string, releaseId: string, channel: string) => {
      const moved = await api.put<ReleaseChannelAnswer>(`/api/releases/${encodeURIComponent(product)}/${encodeURIComponent(releaseId)}/channel`, { body: { channel } });
      if (options.json) return printJson(context, moved);
      context.out(moved.before === moved.channel ? `${product} ${releaseId} was in ${channel} already\n` : `${product} ${releaseId} is in ${channel}; it was in ${moved.before}\n`);
    },
  );

  apiCommand(release.command('show').description('one release with its artifacts').argument('<product>').argument('<release>'), context, async (api, options: CommonOptions, product: string, releaseId: string) => {
    const detail = await api.get<ReleaseDetail>(`/api/releases/${encodeURIComponent(product)}/${encodeURIComponent(releaseId)}`);
    if (options.json) return printJson(context, detail);
    context.out(`${detail.product} ${detail.releaseId}\n`);
    for (const artifact of detail.artifacts) {
      context.out(
        renderPairs(
          [
            ['artifact', `${artifact.role}, ${artifact.profile}, version ${artifact.platformVersion}`],
            ['sha256', artifact.sha256],
            ['size', `${size(artifact.sizeBytes)} (${artifact.format})`],
            ['signed by', artifact.signature?.keyId ?? 'nobody'],
            ['published', `${artifact.publishedAt} by ${artifact.publishedBy}`],
          ],
          '  ',
        ),
      );
    }
  });
}

/** Hands a bundle to the controller; one that is there already stays. */
export async function publishBundle(api: ApiClient, file: string, options: PublishOptions, context: Context): Promise<ReleasePublishAnswer> {
  const found = await stat(file).catch(() => null);
  if (found === null || !found.isFile()) throw usageError(`${file} is no file`);
  const keyFile = options.sign === false ? null : options.signKey === undefined ? api.connection.publisherKeyFile : resolve(context.cwd, options.signKey);
  const headers: Record<string, string> = {};
  if (keyFile !== null) {
    const pem = await readFile(keyFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new CommandFailure(exitCodes.usage, `the publisher key ${keyFile} cannot be read: ${error.code ?? error.message}`);
    });
    const { artifact } = await inspectBundle(file);
    headers[signatureHeader] = JSON.stringify(signArtifact(artifact, pem));
  }
  if (options.channel !== undefined) headers[channelHeader] = options.channel;
  const content = await openAsBlob(file);
  return api.post<ReleasePublishAnswer>('/api/releases', { content, headers, timeoutMs: uploadBaseMs + Math.ceil(found.size / 100) });
}

function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
