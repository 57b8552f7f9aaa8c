import type { Webhook } from '../../contract/index.ts';
import { WebhookBody, WebhookCreated, WebhookDelivery, WebhookDeliveryList, WebhookDeliveryQuery, WebhookList, WebhookListQuery, WebhookParams, WebhookRemoved, Webhook as WebhookAnswer } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { refuseWebhookUrl } from '../../domain/webhook/address.ts';
import { testMessage } from '../../domain/webhook/message.ts';
import type { ListedWebhook } from '../../ports/webhook-store.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import { noteChange } from '../auditing.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOf, pageOfAll } from '../page.ts';
import { unknown } from '../unknown.ts';

const tags = ['webhooks'];

/** Who is told of what. Control does the telling; here it is only said whom. */
export function webhookRoutes(app: Api, { stores, refuseUrl }: ApiDependencies): void {
  const { webhooks, audit, settings } = stores;

  app.get('/api/webhooks', { schema: { tags, summary: 'Webhooks, the oldest first', querystring: WebhookListQuery, response: { 200: WebhookList } } }, async ({ query }) => {
    const { rows, nextAfter } = pageOfAll(await webhooks.list(), query, ({ id }) => id);
    return { webhooks: rows.map(shownOf), nextAfter };
  });

  app.get('/api/webhooks/:id', { schema: { tags, summary: 'A webhook', params: WebhookParams, response: { 200: WebhookAnswer } } }, async ({ params }) => shownOf(await known(params.id)));

  app.post('/api/webhooks', { schema: { tags, summary: 'Have somebody told', description: 'The secret that messages are signed with is in the answer, this once.', headers: MutationHeaders, body: WebhookBody, response: { 201: WebhookCreated } } }, async (request, reply) => {
    const { url, events, products } = request.body;
    const why = refuseWebhookUrl(url);
    if (why !== null) throw badAddress(why);
    const refused = refuseUrl?.(url) ?? null;
    if (refused !== null) throw refused;
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce<WebhookCreated>(
      stores.idempotency,
      request,
      reply,
      async () => {
        const { webhook, secret } = await webhooks.create({ url, events, products, by: actor });
        const shown = shownOf(webhook);
        await audit.append({ at: webhook.createdAt, event: 'webhook.added', actor, subject: `webhook/${webhook.id}`, runId: null, detail: { address: shown.address, events: shown.events, products: shown.products } });
        noteChange(request, { before: null, after: shown });
        // The secret is kept sealed only, not for a repetition.
        return { status: 201, body: { ...shown, secret }, kept: { ...shown, secret: null } };
      },
      // What is kept of the request is a plain digest; of an address, which may be a secret, that of its digest under the key.
      { events, products, url: await settings.digest(url) },
    );
    return reply.code(201).header('cache-control', 'no-store').send(answer.body);
  });

  app.delete('/api/webhooks/:id', { schema: { tags, summary: 'Tell it nothing more, and forget its deliveries', headers: MutationHeaders, params: WebhookParams, response: { 200: WebhookRemoved } } }, async (request, reply) => {
    const { id } = request.params;
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      const before = shownOf(await known(id));
      if ((await webhooks.remove(id)) === 'not_found') throw await notKnown(id);
      await audit.append({ at: new Date().toISOString(), event: 'webhook.removed', actor, subject: `webhook/${id}`, runId: null, detail: { address: before.address } }, `webhook.removed:${id}`);
      noteChange(request, { before, after: null });
      return { status: 200, body: { id, state: 'removed' as const } };
    });
    return answer.body;
  });

  app.post('/api/webhooks/:id/test', { schema: { tags, summary: 'Send it a message, whatever it chose', headers: MutationHeaders, params: WebhookParams, response: { 202: WebhookDelivery } } }, async (request, reply) => {
    const { id } = request.params;
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce<WebhookDelivery>(stores.idempotency, request, reply, async () => {
      const webhook = await known(id);
      if (webhook.disabled !== null) throw isDisabled(webhook);
      return { status: 202, body: await webhooks.enqueue(id, testMessage(new Date().toISOString(), actor)) };
    });
    return reply.code(202).send(answer.body);
  });

  app.get('/api/webhooks/:id/deliveries', { schema: { tags, summary: 'Its deliveries, newest first', params: WebhookParams, querystring: WebhookDeliveryQuery, response: { 200: WebhookDeliveryList } } }, async ({ params, query }) => {
    const { id } = await known(params.id);
    const { rows, nextBefore } = await pageOf({ ...query, webhookId: id }, (filter) => webhooks.deliveries(filter), (delivery) => delivery.id);
    return { deliveries: rows, nextBefore };
  });

  const known = async (id: string): Promise<ListedWebhook> => (await webhooks.find(id)) ?? Promise.reject(await notKnown(id));
  const notKnown = async (id: string): Promise<FairleadError> => unknown('unknown_webhook', `No webhook "${id}" is known.`, 'Webhooks', (await webhooks.list()).map((each) => `${each.id} (${each.address})`), 'There is none: fairlead webhooks add URL');
}

/** The same members; only the contract's lists are not readonly. */
const shownOf = ({ afterSequence: _after, events, products, ...webhook }: ListedWebhook): Webhook => ({ ...webhook, events: [...events], products: [...products] });

const badAddress = (why: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'invalid_webhook_url', message: `This is no address for a webhook: ${why}.`, hint: 'Name one that takes POST: https://alerts.example.org/hooks/fairlead' });

const isDisabled = ({ id, disabled }: ListedWebhook): FairleadError =>
  new FairleadError({ class: 'request', code: 'webhook_disabled', message: `Webhook ${id} is told of nothing more: ${disabled}.`, hint: `Make it anew: fairlead webhooks remove ${id}, then add` });
