import { Option, type Command } from 'commander';
import type { UpdatePolicy, UpdatePolicyBody, UpdatePolicyList } from '../../contract/index.ts';
import { channels } from '../../domain/release-check/channel.ts';
import { checkActions } from '../../domain/release-check/policy.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { apiCommand, everyPage, query, secondsOf, type CommonOptions } from './shared.ts';

interface PolicyOptions extends CommonOptions {
  readonly product: string;
  readonly host?: string;
  readonly channel?: UpdatePolicyBody['channel'];
  readonly action?: UpdatePolicyBody['action'];
  readonly window?: readonly string[];
}
type Told = Pick<UpdatePolicy, 'action' | 'windows'>;

/** `fairlead update policy`: what the release check may do by itself. */
export function registerPolicy(update: Command, context: Context): void {
  const policy = update.command('policy').description('what is done with newer releases by itself, by product and host');

  apiCommand(policy.command('list').description('the policies there are; elsewhere stable releases are noted'), context, async (api, options: CommonOptions) => {
    const list = { policies: (await everyPage<UpdatePolicyList>(api, '/api/updates/policies')).flatMap(({ policies }) => policies), nextAfter: null };
    if (options.json) return printJson(context, list);
    context.out(renderTable(['PRODUCT', 'HOST', 'CHANNEL', 'BY ITSELF', 'SET BY', 'AT'], list.policies.map((each) => [each.product, each.host ?? 'every other', each.channel, actionText(each), each.setBy, each.setAt])));
  });

  apiCommand(
    policy
      .command('set')
      .description('say what is done by itself; takes the place of the policy of the same product and host')
      .requiredOption('--product <product>')
      .option('--host <host>', 'only this one (default: every host without a policy of its own)')
      .addOption(new Option('--channel <channel>', 'which releases').choices(channels).default('stable'))
      .addOption(new Option('--action <action>', 'notify: note them; download: have the host fetch them; apply: start the update').choices(checkActions).default('notify'))
      .option('--window <window...>', 'when updates may begin: "CRON;ZONE;DURATION", such as "0 2 * * SAT;Europe/Berlin;4h" (default: at any time)'),
    context,
    async (api, options: PolicyOptions) => {
      const { product, host = null, channel, action, window = [] } = options;
      const set = await api.put<UpdatePolicy>('/api/updates/policies', { body: { product, host, channel, action, windows: window.map(windowFrom) } });
      if (options.json) return printJson(context, set);
      context.out(`${set.product} on ${set.host ?? 'every host without a policy of its own'}: channel ${set.channel}; by itself: ${actionText(set)}\n`);
    },
  );

  apiCommand(policy.command('remove').description('take a policy away').requiredOption('--product <product>').option('--host <host>', 'that of this host (default: that of the product)'), context, async (api, options: PolicyOptions) => {
    const list = await api.delete<UpdatePolicyList>(`/api/updates/policies${query({ product: options.product, host: options.host })}`);
    if (options.json) return printJson(context, list);
    context.out(`${options.product} on ${options.host ?? 'every host'}: the policy is gone\n`);
  });
}

/** What a policy does, in words. */
export function actionText({ action, windows }: Told): string {
  if (action === 'notify') return 'noted';
  if (action === 'download') return 'fetched';
  return windows.length === 0 ? 'applied at any time' : `applied in ${windows.map(({ cron, zone, durationSeconds }) => `"${cron}" ${zone}, ${durationSeconds / 3_600} h`).join('; ')}`;
}

function windowFrom(text: string): UpdatePolicy['windows'][number] {
  const [cron, zone, duration, ...rest] = text.split(';').map((part) => part.trim());
  if (!cron || !zone || !duration || rest.length > 0) throw usageError(`--window is ${JSON.stringify(text)}: expected "CRON;ZONE;DURATION", such as "0 2 * * SAT;Europe/Berlin;4h"`);
  return { cron, zone, durationSeconds: secondsOf(duration, '--window') };
}
