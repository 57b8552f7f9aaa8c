import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { WebhookCreated, WebhookDelivery, WebhookDeliveryList, WebhookList, WebhookRemoved } from '../../contract/index.ts';
import { alarmEvents, webhookEvents } from '../../domain/webhook/event.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { apiCommand, everyPage, numberFrom, query } from './shared.ts';
import type { CommonOptions } from './shared.ts';

const lookMs = 500;

export function registerWebhooks(program: Command, context: Context): void {
  const webhooks = program.command('webhooks').description('who is told when a run fails, a rollout halts or a certificate ends');
  const pathOf = (id: string): string => `/api/webhooks/${encodeURIComponent(id)}`;

  const add = webhooks
    .command('add')
    .description('have messages posted to an address; the secret that they are signed with is shown this once')
    .argument('<url>', 'https://…; - reads it from standard input, and a file name with --file: what chat services give out is a secret')
    .option('--file', 'the argument names a file that holds the address')
    .option('--event <event...>', `of ${webhookEvents.join(', ')} (default: ${alarmEvents.join(', ')})`)
    .option('--product <name...>', 'only these products (default: all)');
  apiCommand(add, context, async (api, options: CommonOptions & { file?: boolean; event?: string[]; product?: string[] }, given: string) => {
    const url = (given === '-' ? await textOf(process.stdin) : options.file ? await readFile(resolve(context.cwd, given), 'utf8') : given).trim();
    for (const event of options.event ?? []) if (!webhookEvents.some((each) => each === event)) throw usageError(`--event is ${JSON.stringify(event)}: expected ${webhookEvents.join(', ')}`);
    const created = await api.post<WebhookCreated>('/api/webhooks', { body: { url, ...(options.event === undefined ? {} : { events: options.event }), products: options.product ?? [] } });
    if (options.json) return printJson(context, created);
    if (created.secret === null) throw new CommandFailure(exitCodes.failed, `webhook ${created.id} was made, but its secret was lost on the way`, `make it anew: fairlead webhooks remove ${created.id}, then add`);
    context.out(`${created.secret}\n`);
    context.note(`webhook ${created.id} to ${created.address}; the secret is not shown again\ntry it: fairlead webhooks test ${created.id}`);
  });

  apiCommand(webhooks.command('list').description('all webhooks; of their addresses, only the origin'), context, async (api, options: CommonOptions) => {
    const list: WebhookList = { webhooks: (await everyPage<WebhookList>(api, '/api/webhooks')).flatMap((page) => page.webhooks), nextAfter: null };
    if (options.json) return printJson(context, list);
    context.out(renderTable(['ID', 'ADDRESS', 'PRODUCTS', 'WAITING', 'GIVEN UP', 'EVENTS'], list.webhooks.map((each) => [each.id, each.address, each.products.join(' ') || 'all', String(each.waiting), String(each.givenUp), each.disabled === null ? each.events.join(' ') : `disabled: ${each.disabled}`])));
    if (list.webhooks.length === 0) context.note('nobody is told of anything: fairlead webhooks add URL');
  });

  apiCommand(webhooks.command('remove').description('tell it nothing more, and forget its deliveries').argument('<id>'), context, async (api, options: CommonOptions, id: string) => {
    const removed = await api.delete<WebhookRemoved>(pathOf(id));
    if (options.json) return printJson(context, removed);
    context.out(`webhook ${removed.id} is removed\n`);
  });

  const test = webhooks.command('test').description('send it a message, and wait for what comes of the first attempt').argument('<id>').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'), 30);
  apiCommand(test, context, async (api, options: CommonOptions & { timeout: number }, id: string) => {
    const { id: deliveryId } = await api.post<WebhookDelivery>(`${pathOf(id)}/test`);
    const limit = Date.now() + options.timeout * 1_000;
    for (;;) {
      const { deliveries } = await api.get<WebhookDeliveryList>(`${pathOf(id)}/deliveries`);
      const delivery = deliveries.find((each) => each.id === deliveryId);
      // While an attempt is under way it is counted, and nothing is known of it.
      if (delivery !== undefined && delivery.lastAnswer !== null) {
        if (options.json) printJson(context, delivery);
        else context.out(`${delivery.state === 'delivered' ? 'arrived' : 'did not arrive'}: ${delivery.lastAnswer}\n`);
        if (delivery.state !== 'delivered') context.exitWith(exitCodes.failed);
        return;
      }
      if (Date.now() >= limit) throw new CommandFailure(exitCodes.stillRunning, `delivery ${deliveryId} was not tried within ${options.timeout} s`, `see whether control runs: fairlead doctor; then: fairlead webhooks deliveries ${id}`);
      await pause(lookMs);
    }
  });

  const deliveries = webhooks.command('deliveries').description('what was sent and what came of it, newest first').argument('<id>').option('--limit <count>', 'at most so many', numberFrom(1, '--limit'), 20).option('--before <delivery>', 'only older ones than this');
  apiCommand(deliveries, context, async (api, options: CommonOptions & { limit: number; before?: string }, id: string) => {
    const list = await api.get<WebhookDeliveryList>(`${pathOf(id)}/deliveries${query({ limit: options.limit, before: options.before })}`);
    if (options.json) return printJson(context, list);
    context.out(renderTable(['ID', 'MADE', 'EVENT', 'STATE', 'ATTEMPTS', 'NEXT', 'LAST ANSWER'], list.deliveries.map((each) => [each.id, each.createdAt, each.message.event, each.state, String(each.attempts), each.nextAt ?? '-', each.lastAnswer ?? '-'])));
    if (list.nextBefore !== null) context.note(`older ones: fairlead webhooks deliveries ${id} --before ${list.nextBefore}`);
  });
}
