import { readFileSync, writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import type { Freeze, FreezeList, ReleaseList, Rollout, RolloutAccepted, RolloutBody, RolloutCommandAnswer, RolloutList, RolloutPlanAnswer } from '../../contract/index.ts';
import { failurePolicies } from '../../domain/rollout/request.ts';
import type { ApiClient } from '../api-client.ts';
import { printJson, type Context } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { followRollout, printRollout } from '../rollout/follow.ts';
import { bodyFrom, rolloutOptions, type RolloutOptions } from '../rollout/options.ts';
import { renderRolloutPlan } from '../rollout/text.ts';
import { duration, renderPairs, renderTable } from '../table.ts';
import { apiCommand, because, connectionWords, numberFrom, query, type CommonOptions } from './shared.ts';

type Follow = { readonly detach?: boolean; readonly timeout?: number };
/** A plan that was looked at: what was asked, and the fleet that it was made for. */
interface PlanFile {
  readonly body: RolloutBody;
  readonly planDigest: string;
}

export function registerRollout(program: Command, context: Context): void {
  const rollout = program.command('rollout').description('bring a release to many hosts');
  const following = (command: Command): Command => command.option('--detach', 'print the rollout and leave').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'));

  apiCommand(rolloutOptions(rollout.command('plan').description('waves and steps of a rollout, without doing it').argument('[release]', 'release id (default: the newest one)')).option('-o, --output <file>', 'keep the plan for: rollout start --plan FILE'), context, async (api, options: RolloutOptions & { output?: string }, release?: string) => {
    const body = await bodyOf(api, options, release, context);
    const plan = await api.post<RolloutPlanAnswer>('/api/rollouts/plan', { body });
    if (options.output !== undefined) writeFileSync(options.output, `${JSON.stringify({ body, planDigest: plan.planDigest } satisfies PlanFile, null, 2)}\n`);
    if (options.json) printJson(context, plan);
    else context.out(renderRolloutPlan(plan));
    if (plan.decision === 'refuse') context.exitWith(exitCodes.refused);
    else if (options.output !== undefined) context.note(`start it: fairlead rollout start --plan ${options.output}${connectionWords(options)}`);
  });

  apiCommand(
    following(rolloutOptions(rollout.command('start').description('start a rollout, and follow it to its end').argument('[release]', 'release id (default: the newest one)')).option('--plan <file>', 'of rollout plan -o FILE: refused where the fleet has moved since')),
    context,
    async (api, options: RolloutOptions & Follow & { plan?: string }, release?: string) => {
      const kept = options.plan === undefined ? null : planFrom(options.plan);
      const body = kept === null ? await bodyOf(api, options, release, context) : { ...kept.body, planDigest: kept.planDigest };
      await startAndFollow(api, body, options, context);
    },
  );

  apiCommand(rollout.command('status').description('where a rollout stands (default: the newest one)').argument('[rollout]'), context, async (api, options: CommonOptions, id?: string) => {
    const found = await rolloutOf(api, id);
    if (options.json) printJson(context, found);
    else await printRollout(api, found, context, false);
  });

  apiCommand(rollout.command('watch').description('follow a rollout to its end').argument('[rollout]').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout')), context, async (api, options: CommonOptions & Follow, id?: string) =>
    followRollout(api, (await rolloutOf(api, id)).rolloutId, context, { json: options.json === true, timeoutSeconds: options.timeout ?? null, comeBack: connectionWords(options) }),
  );

  apiCommand(rollout.command('why').description('what a rollout waits for, since when, until when, and who can release it').argument('[rollout]'), context, async (api, options: CommonOptions, id?: string) => {
    const { standing, outcome, reason, rolloutId } = await rolloutOf(api, id);
    if (options.json) return printJson(context, { rolloutId, status: standing.status, wave: standing.wave, waiting: standing.waiting, outcome, reason });
    const { waiting } = standing;
    context.out(renderPairs(waiting === null || outcome !== null ? [['ended', outcome ?? ''], ...(reason === null ? [] : [['why', reason.message] as const]), ...(reason?.hint === undefined ? [] : [['hint', reason.hint] as const])] : [['status', standing.status], ['waits for', waiting.for], ['since', waiting.since], ['until', waiting.until ?? 'it comes'], ['released by', waiting.release]]));
  });

  apiCommand(rollout.command('history').description('rollouts, newest first').option('--product <product>').option('--limit <count>', 'at most so many', numberFrom(1, '--limit'), 20).option('--before <rollout>', 'only older ones than this'), context, async (api, { json, product, limit, before }: CommonOptions & { product?: string; limit: number; before?: string }) => {
    const list = await api.get<RolloutList>(`/api/rollouts${query({ product, limit, before })}`);
    if (json) return printJson(context, list);
    context.out(renderTable(['ROLLOUT', 'PRODUCT', 'RELEASE', 'OUTCOME', 'OK', 'ASKED FOR BY', 'AT', 'TOOK'], list.rollouts.map((each) => [each.rolloutId, each.product, each.releaseId, each.outcome ?? each.standing.status, each.ok === null ? '' : each.ok ? 'yes' : 'no', each.requestedBy, each.requestedAt, each.endedAt === null ? '' : duration(Date.parse(each.endedAt) - Date.parse(each.requestedAt))])));
    if (list.rollouts.length === 0) context.note('no rollouts');
    if (list.nextBefore !== null) context.note(`older ones: --before ${list.nextBefore}`);
  });

  const commands: readonly (readonly [string, string])[] = [
    ['pause', 'hold a rollout: hosts in flight finish, none is begun'],
    ['resume', 'let a paused rollout go on'],
    ['retry', 'try the failed hosts of the wave again'],
    ['promote', 'skip the bake time, or open the gates before the next wave'],
    ['abort', 'end a rollout; hosts in flight finish'],
  ];
  for (const [name, what] of commands) {
    const command = rollout.command(name).description(what).argument('[rollout]', 'default: the one that is open').option('--comment <text>', 'goes into the audit').option('--reason <text>', name === 'resume' || name === 'promote' ? 'the same; this one needs it' : 'the same');
    if (name === 'abort') command.addOption(new Option('--updated <policy>', 'what becomes of hosts that are updated already').choices(failurePolicies).default('keep'));
    apiCommand(command, context, async (api, options: CommonOptions & { comment?: string; reason?: string; updated?: string }, id?: string) => {
      const comment = options.comment ?? options.reason;
      const { rolloutId } = await rolloutOf(api, id, true);
      const body = { ...(comment === undefined ? {} : { comment }), ...(options.updated === undefined ? {} : { updated: options.updated }) };
      printStanding(await api.post<RolloutCommandAnswer>(`/api/rollouts/${rolloutId}/${name}`, { body }), options, context);
    });
  }
  for (const [name, what] of [['approve', 'approve a gate of a rollout'], ['reject', 'reject a gate, which ends the rollout']] as const) {
    apiCommand(rollout.command(name).description(what).argument('<gate>').argument('[rollout]', 'default: the one that is open').option('--comment <text>', 'goes into the audit'), context, async (api, options: CommonOptions & { comment?: string }, gate: string, id?: string) => {
      const { rolloutId } = await rolloutOf(api, id, true);
      printStanding(await api.post<RolloutCommandAnswer>(`/api/rollouts/${rolloutId}/${name}`, { body: { gate, ...(options.comment === undefined ? {} : { comment: options.comment }) } }), options, context);
    });
  }

  apiCommand(rollout.command('freeze').description('hold all rollouts, or those of a product, until an instant').requiredOption('--reason <text>', 'shown to whoever is held').requiredOption('--until <instant>', 'RFC 3339, for example 2027-01-02T06:00:00Z').option('--product <product>'), context, async (api, { reason, until, product, json }: CommonOptions & { reason: string; until: string; product?: string }) => {
    const freeze = await api.post<Freeze>('/api/freezes', { body: { reason, until, ...(product === undefined ? {} : { product }) } });
    if (json) printJson(context, freeze);
    else context.out(`frozen until ${freeze.until}: ${freeze.id}\n`);
  });
  apiCommand(rollout.command('freezes').description('freezes that are in force'), context, async (api, { json }: CommonOptions) => {
    const list = await api.get<FreezeList>('/api/freezes');
    if (json) return printJson(context, list);
    context.out(renderTable(['FREEZE', 'PRODUCT', 'UNTIL', 'SET BY', 'REASON'], list.freezes.map(({ id, product, until, setBy, reason }) => [id, product ?? 'all', until, setBy, reason])));
    if (list.freezes.length === 0) context.note('no freezes');
  });
  apiCommand(rollout.command('thaw').description('lift a freeze').argument('<freeze>').requiredOption('--reason <text>', 'why; goes into the audit'), context, async (api, { json, reason }: CommonOptions & { reason: string }, id: string) => {
    const list = await api.delete<FreezeList>(`/api/freezes/${encodeURIComponent(id)}`, { headers: because(reason) });
    if (json) printJson(context, list);
    else context.out('lifted\n');
  });
}

/** Says which rollout was started, and stays with it to its end unless it was detached. */
export async function startAndFollow(api: ApiClient, body: RolloutBody, options: CommonOptions & Follow & { readonly reason?: string }, context: Context): Promise<void> {
  const accepted = await api.post<RolloutAccepted>('/api/rollouts', { body, headers: because(options.reason) });
  const words = connectionWords(options);
  context.note(`rollout ${accepted.rolloutId}: ${accepted.product} to ${accepted.releaseId}`);
  if (accepted.links.temporalUi !== null) context.note(`  ${accepted.links.temporalUi}`);
  if (options.detach === true) {
    if (options.json) printJson(context, accepted);
    else context.out(`${accepted.rolloutId}\n`);
    context.note(`follow it: fairlead rollout watch ${accepted.rolloutId}${words}`);
    return;
  }
  await followRollout(api, accepted.rolloutId, context, { json: options.json === true, timeoutSeconds: options.timeout ?? null, comeBack: words });
}

/** Product and release as they were named; where they were not, the only product and its newest release. */
export async function bodyOf(api: ApiClient, options: RolloutOptions, release: string | undefined, context: Context): Promise<RolloutBody> {
  const { releases } = await api.get<ReleaseList>(`/api/releases${query({ product: options.product, limit: 200 })}`);
  const products = [...new Set(releases.map(({ product }) => product))];
  const product = options.product ?? (products.length === 1 ? products[0] : undefined);
  if (product === undefined) throw usageError(products.length === 0 ? 'no release is published' : `which product? ${products.join(', ')}`, products.length === 0 ? 'publish one: fairlead release publish FILE' : 'name it with --product');
  const releaseId = release ?? releases.find((each) => each.product === product)?.releaseId;
  if (releaseId === undefined) throw new CommandFailure(exitCodes.refused, `no release of ${product} is published`, 'publish one: fairlead release publish FILE');
  if (release === undefined) context.note(`no release was named: taking ${releaseId}, the newest one`);
  return bodyFrom(options, product, releaseId);
}

/** The rollout that was named, or the newest one. @param open only one that has not ended */
async function rolloutOf(api: ApiClient, id: string | undefined, open = false): Promise<Rollout> {
  if (id !== undefined) return api.get<Rollout>(`/api/rollouts/${encodeURIComponent(id)}`);
  const { rollouts } = await api.get<RolloutList>(`/api/rollouts${query({ limit: 2, open: open ? 'true' : undefined })}`);
  const [newest, other] = rollouts;
  if (newest === undefined) throw new CommandFailure(exitCodes.refused, open ? 'no rollout is open' : 'there was no rollout yet', 'start one: fairlead rollout start');
  if (open && other !== undefined) throw usageError('several rollouts are open', `name one: ${rollouts.map(({ rolloutId }) => rolloutId).join(', ')}`);
  return api.get<Rollout>(`/api/rollouts/${newest.rolloutId}`);
}

function printStanding({ rolloutId, standing }: RolloutCommandAnswer, options: CommonOptions, context: Context): void {
  if (options.json) return printJson(context, { rolloutId, standing });
  context.out(renderPairs([['rollout', rolloutId], ['status', standing.status], ...(standing.waiting === null ? [] : [['waits for', standing.waiting.for] as const])]));
}

function planFrom(file: string): PlanFile {
  try {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as Partial<PlanFile>;
    if (kept.body && typeof kept.planDigest === 'string') return kept as PlanFile;
  } catch (error) {
    throw usageError(`--plan ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw usageError(`--plan ${file} is no plan that was kept by: fairlead rollout plan -o FILE`);
}
