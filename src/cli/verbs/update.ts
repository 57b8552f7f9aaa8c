import { Option, type Command } from 'commander';
import { actionText, registerPolicy } from './update-policy.ts';
import { strategies, type Strategy } from '../../domain/update/request.ts';
import type { RunAccepted, UpdateApplyBody, UpdateCheckAnswer, UpdateDownloadAnswer, UpdatePlanAnswer, UpdateStatusAnswer } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { renderPairs, renderTable } from '../table.ts';
import { followAccepted } from './follow-accepted.ts';
import { cancelDownload, followDownload, lineOf } from './update-download.ts';
import { renderPlan } from './plan-text.ts';
import { apiCommand, because, connectionWords, numberFrom, query } from './shared.ts';
import type { CommonOptions } from './shared.ts';
import { resolveTarget } from './target.ts';

interface TargetOptions extends CommonOptions {
  readonly host?: string;
  readonly product?: string;
}

interface ChangeOptions extends TargetOptions {
  readonly release?: string;
  readonly role?: 'controller' | 'node';
  readonly phase?: 'setup' | 'installed';
  readonly strategy?: Strategy;
  readonly tiers?: readonly number[];
  readonly holdSeconds?: number;
  readonly allowFailed?: boolean;
  readonly reason?: string;
  readonly bakeSeconds?: number;
  readonly detach?: boolean;
  readonly timeout?: number;
}

export function registerUpdate(program: Command, context: Context): void {
  const update = program.command('update').description('bring a host to another release');
  const target = (command: Command): Command =>
    command.option('--host <host>', 'which host (default: the only one)').option('--product <product>', 'which product (default: the only one)');
  const change = (command: Command): Command =>
    target(command)
      .argument('[release]', 'release id (default: the newest one)')
      .option('--release <release>', 'the same as the argument')
      .option('--role <role>', "artifact to take: controller or node (default: the host's role)")
      .option('--phase <phase>', 'first install: the phase to start in, setup or installed')
      .addOption(new Option('--strategy <strategy>', 'how the instances come to the new release (default: rolling)').choices(strategies))
      .option('--tiers <percentages>', 'canary: shares of the requests, rising, for example 1,10,50', tiersFrom)
      .option('--hold-seconds <seconds>', 'canary: how long each tier is held; blue-green: how long the old instances are kept up', numberFrom(0, '--hold-seconds'))
      .option('--allow-failed', 'try a release again that failed on this host')
      .option('--bake-seconds <seconds>', 'how long an instance has to stay healthy before the next one is touched', numberFrom(0, '--bake-seconds'));

  apiCommand(target(update.command('check').description('is there a newer release?')), context, async (api, options: TargetOptions) => {
    const answer = await check(api, await resolveTarget(api, options));
    if (options.json) return printJson(context, answer);
    const { host, product, activeReleaseId, newest, updateAvailable, channel, policy } = answer;
    context.out(updateAvailable && newest !== null ? `${product} on ${host}: ${newest.releaseId} is newer than ${activeReleaseId ?? 'nothing'}\n` : `${product} on ${host}: ${activeReleaseId ?? 'nothing'} is the newest there is\n`);
    context.out(`channel ${channel}; by itself: ${actionText(policy)}\n`);
    context.out(renderTable(['RELEASE', 'VERSION', 'CHANNEL', 'PUBLISHED', 'NOTE'], answer.candidates.map((row) => [row.releaseId, row.platformVersion, row.channel, row.publishedAt, noteOf(row)])));
    if (updateAvailable && newest !== null) context.note(`apply it: fairlead update apply ${newest.releaseId} --host ${host} --product ${product}${connectionWords(options)}`);
  });

  registerPolicy(update, context);

  apiCommand(target(update.command('status').description('what runs on a host, and what is under way')), context, async (api, options: TargetOptions) => {
    const status = await api.get<UpdateStatusAnswer>(`/api/updates/status${query(await resolveTarget(api, options))}`);
    if (options.json) return printJson(context, status);
    context.out(renderStatus(status));
    if (status.stranded !== null) context.note(`on ${status.host}: fairlead recover --product ${status.product} --run ${status.stranded.runId}`);
  });

  apiCommand(change(update.command('plan').description('what an update would do, without doing it')), context, async (api, options: ChangeOptions, argument?: string) => {
    const plan = await api.post<UpdatePlanAnswer>('/api/updates/plan', { body: await changeBody(api, options, argument, context) });
    if (options.json) return printJson(context, plan);
    context.out(renderPlan(plan));
  });

  apiCommand(
    target(update.command('download').description('bring the bundle of a release to a host ahead of the update, which then finds it there'))
      .argument('[release]', 'release id (default: the newest one)')
      .option('--release <release>', 'the same as the argument')
      .option('--role <role>', "artifact to take: controller or node (default: the host's role)")
      .option('--detach', 'have it fetched and leave')
      .option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'))
      .option('--cancel', 'end what is on its way, whatever release it is of'),
    context,
    async (api, options: ChangeOptions & { cancel?: boolean }, argument?: string) => options.cancel ? cancelDownload(api, await resolveTarget(api, options), options, context) : followDownload(api, await api.post<UpdateDownloadAnswer>('/api/updates/download', { body: await changeBody(api, options, argument, context) }), options, context),
  );

  apiCommand(
    change(update.command('apply').description('bring a host to a release, and follow it to its end'))
      .option('--reason <text>', 'why; goes into the audit, and --allow-failed needs it')
      .option('--detach', 'print the run and leave')
      .option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout')),
    context,
    async (api, options: ChangeOptions, argument?: string) => followUpdate(api, options, context, await api.post<RunAccepted>('/api/updates/apply', { body: await changeBody(api, options, argument, context), headers: because(options.reason) })),
  );

  apiCommand(
    target(update.command('rollback').description('bring a host back to the good release before its last one'))
      .option('--detach', 'print the run and leave')
      .option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout')),
    context,
    async (api, options: ChangeOptions) => followUpdate(api, options, context, await api.post<RunAccepted>('/api/updates/rollback', { body: await resolveTarget(api, options) })),
  );
}

const followUpdate = (api: ApiClient, options: ChangeOptions, context: Context, accepted: RunAccepted): Promise<void> =>
  followAccepted(api, accepted, `${accepted.product} on ${accepted.host} to ${accepted.releaseId}`, options, context);

const check = (api: ApiClient, target: { host: string; product: string }): Promise<UpdateCheckAnswer> => api.post<UpdateCheckAnswer>('/api/updates/check', { body: target });

async function changeBody(api: ApiClient, options: ChangeOptions, argument: string | undefined, context: Context): Promise<UpdateApplyBody> {
  if (argument !== undefined && options.release !== undefined && argument !== options.release) throw usageError(`two releases are named, ${argument} and --release ${options.release}`);
  const target = await resolveTarget(api, options);
  let releaseId = argument ?? options.release;
  if (releaseId === undefined) {
    const { newest } = await check(api, target);
    if (newest === null) throw new CommandFailure(exitCodes.refused, `no release of ${target.product} that ${target.host} could take is published`, 'publish one: fairlead release publish FILE');
    releaseId = newest.releaseId;
    context.note(`no release was named: taking ${releaseId}, the newest one`);
  }
  const { role, phase, strategy, tiers, holdSeconds, allowFailed, bakeSeconds } = options;
  const more = { role, phase, strategy, tiers, holdSeconds, allowFailed, bakeSeconds };
  return { ...target, releaseId, ...Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined)) } as UpdateApplyBody;
}

function tiersFrom(text: string): number[] {
  const tiers = text.split(',').map(Number);
  if (tiers.length === 0 || tiers.some((tier) => !Number.isInteger(tier) || tier < 1 || tier > 99)) throw usageError(`--tiers is ${text}: whole percentages from 1 to 99, rising, for example 1,10,50`);
  return tiers;
}

function noteOf(row: UpdateCheckAnswer['candidates'][number]): string {
  return [row.active ? 'active' : '', row.condemned ? 'failed on this host' : '', row.signedByTrusted === false ? 'not signed by a publisher that the host trusts' : ''].filter((note) => note !== '').join(', ');
}

function renderStatus(status: UpdateStatusAnswer): string {
  const { run, progress, lastRun, stranded, download } = status;
  const pairs: [string, string][] = [
    ['host', `${status.host}, ${status.hostStatus}, seen ${status.lastSeenAt}`],
    ['product', `${status.product}, phase ${status.phase ?? 'not installed'}`],
    ['active', status.activeReleaseId ?? 'nothing'],
    ['last good', status.lastGoodReleaseId ?? 'nothing'],
  ];
  if (status.failedReleaseIds.length > 0) pairs.push(['failed', status.failedReleaseIds.join(', ')]);
  if (stranded !== null) pairs.push(['STRANDED', `${stranded.reason.message} (run ${stranded.runId})`]);
  if (run !== null) pairs.push(['under way', `${run.runId} to ${run.toReleaseId}${progress === null ? '' : `, ${progress.direction === 'undo' ? 'undoing, ' : ''}step ${progress.stepsDone + 1} of ${progress.stepsPlanned}: ${progress.step ?? progress.phase}`}`]);
  if (progress?.waiting) pairs.push(['waits for', `${progress.waiting.for}, since ${progress.waiting.since}${progress.waiting.until === null ? '' : `, until ${progress.waiting.until}`}; ends with: ${progress.waiting.release}`]);
  if (download) pairs.push(['download', `${download.releaseId}: ${lineOf(download)}`]);
  if (lastRun !== null) pairs.push(['last run', `${lastRun.runId} to ${lastRun.toReleaseId}: ${lastRun.outcome ?? 'under way'}${lastRun.endedAt === null ? '' : ` at ${lastRun.endedAt}`}`]);
  return renderPairs(pairs) + renderTable(['INSTANCE', 'PORT', 'RELEASE', 'TRAFFIC'], status.instances.map(({ name, port, releaseId, admitted }) => [name, String(port), releaseId, admitted ? 'yes' : 'no']));
}
