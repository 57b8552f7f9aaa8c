import { randomUUID } from 'node:crypto';
import { Freeze, FreezeBody, FreezeList, FreezeListQuery, FreezeParams } from '../../contract/index.ts';
import { includesProduct } from '../../domain/access/scope.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { ProductName } from '../../domain/ids.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { noteChange } from '../auditing.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOfAll } from '../page.ts';

const tags = ['rollouts'];

/** While a freeze lasts no rollout begins, and those under way begin no further host. */
export function freezeRoutes(app: Api, { stores, rollouts }: ApiDependencies): void {
  async function tell(product: ProductName | null): Promise<void> {
    const open = await stores.rollouts.list({ open: true, limit: 200, ...(product ? { product } : {}) });
    await rollouts.freezeChanged(open.map(({ rolloutId }) => rolloutId));
  }

  app.get('/api/freezes', { schema: { tags, summary: 'Freezes that are in force', querystring: FreezeListQuery, response: { 200: FreezeList } } }, async (request) => {
    const { scope } = callerOf(request);
    const shown = (await stores.rollouts.freezes(new Date().toISOString())).filter(({ product }) => product === null || includesProduct(scope, product));
    const { rows, nextAfter } = pageOfAll(shown, request.query, ({ id }) => id);
    return { freezes: rows, nextAfter };
  });

  app.post('/api/freezes', { schema: { tags, summary: 'Freeze the rollouts of a product, or of all, until an instant', headers: MutationHeaders, body: FreezeBody, response: { 201: Freeze } } }, async (request, reply) => {
    const answer = await answerOnce<Freeze>(stores.idempotency, request, reply, async () => {
      const { product, reason, until } = request.body;
      const now = new Date();
      if (Date.parse(until) <= now.getTime()) throw new FairleadError({ class: 'request', code: 'freeze_over', message: `A freeze until ${until} would be over already.`, hint: 'Give an instant that is still to come.' });
      const actor = actorOf(callerOf(request));
      const freeze: Freeze = { id: randomUUID(), product: product ?? null, reason, setBy: actor, since: now.toISOString(), until: new Date(until).toISOString() };
      await stores.audit.append({ at: freeze.since, event: 'freeze.set', actor, subject: `freeze/${freeze.id}`, runId: null, detail: { ...freeze } });
      await stores.rollouts.setFreeze(freeze);
      await tell(freeze.product);
      noteChange(request, { before: null, after: freeze });
      return { status: 201, body: freeze };
    });
    return reply.code(201).send(answer.body);
  });

  app.delete('/api/freezes/:id', { schema: { tags, summary: 'Lift a freeze', headers: MutationHeaders, params: FreezeParams, response: { 200: FreezeList } } }, async (request, reply) => {
    const answer = await answerOnce<FreezeList>(stores.idempotency, request, reply, async () => {
      const at = new Date().toISOString();
      const freeze = (await stores.rollouts.freezes(at)).find((each) => each.id === request.params.id);
      if (!freeze) throw new FairleadError({ class: 'request', code: 'unknown_freeze', message: `No freeze ${request.params.id} is in force.`, hint: 'See those that are: fairlead rollout freezes' });
      await stores.audit.append({ at, event: 'freeze.lifted', actor: actorOf(callerOf(request)), subject: `freeze/${freeze.id}`, runId: null, detail: { ...freeze } });
      await stores.rollouts.liftFreeze(freeze.id, at);
      await tell(freeze.product);
      noteChange(request, { before: freeze, after: null });
      const { rows, nextAfter } = pageOfAll(await stores.rollouts.freezes(at), { limit: 1_000 }, ({ id }) => id);
      return { status: 200, body: { freezes: rows, nextAfter } };
    });
    return answer.body;
  });
}
