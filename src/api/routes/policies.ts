import { UpdatePolicy, UpdatePolicyBody, UpdatePolicyList, UpdatePolicyListQuery, UpdatePolicyQuery } from '../../contract/index.ts';
import { includesProduct } from '../../domain/access/scope.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { UpdatePolicy as StoredPolicy } from '../../domain/release-check/policy.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOfAll } from '../page.ts';
import { withinScope } from '../scopes.ts';

const tags = ['updates'];

/** What the release check may do by itself. It is a schedule that acts on it; nothing is changed on a host in here. */
export function policyRoutes(app: Api, { stores, calendar }: ApiDependencies): void {
  const subjectOf = ({ product, host }: Pick<StoredPolicy, 'product' | 'host'>): string => `policy/${host ?? '*'}/${product}`;

  app.get('/api/updates/policies', { schema: { tags, summary: 'What the release check may do by itself, by product and host', querystring: UpdatePolicyListQuery, response: { 200: UpdatePolicyList } } }, async (request) => {
    const { scope } = callerOf(request);
    const { within } = await withinScope(request, stores);
    const policies = (await stores.policies.list()).filter(({ product, host }) => includesProduct(scope, product) && (host === null || !within?.hosts || within.hosts.includes(host)));
    const { rows, nextAfter } = pageOfAll(policies, request.query, ({ product, host }) => `${product}/${host ?? '*'}`);
    return { policies: rows.map(answerOf), nextAfter };
  });

  app.put(
    '/api/updates/policies',
    { schema: { tags, summary: 'Say what the release check may do by itself', description: 'Takes the place of the policy of the same product and host. Windows that no calendar can read are refused.', headers: MutationHeaders, body: UpdatePolicyBody, response: { 200: UpdatePolicy } } },
    async (request, reply) => {
      const answer = await answerOnce<UpdatePolicy>(stores.idempotency, request, reply, async () => {
        const at = new Date().toISOString();
        for (const window of request.body.windows) calendar.check(window, at);
        const policy: StoredPolicy = { ...request.body, setBy: actorOf(callerOf(request)), setAt: at };
        const before = (await stores.policies.list()).find(({ product, host }) => product === policy.product && host === policy.host) ?? null;
        await stores.audit.append({ at, event: 'policy.set', actor: policy.setBy, subject: subjectOf(policy), runId: null, detail: { before, after: policy } });
        await stores.policies.set(policy);
        return { status: 200, body: answerOf(policy) };
      });
      return answer.body;
    },
  );

  app.delete('/api/updates/policies', { schema: { tags, summary: 'Take a policy away', headers: MutationHeaders, querystring: UpdatePolicyQuery, response: { 200: UpdatePolicyList } } }, async (request, reply) => {
    const { product, host = null } = request.query;
    const answer = await answerOnce<UpdatePolicyList>(stores.idempotency, request, reply, async () => {
      const before = (await stores.policies.list()).find((policy) => policy.product === product && policy.host === host);
      if (before === undefined) throw new FairleadError({ class: 'request', code: 'unknown_policy', message: `${product} has no policy for ${host === null ? 'every host' : `host ${host}`}.`, hint: 'See those there are: fairlead update policy list' });
      await stores.audit.append({ at: new Date().toISOString(), event: 'policy.removed', actor: actorOf(callerOf(request)), subject: subjectOf(before), runId: null, detail: { before } });
      await stores.policies.remove(product, host);
      return { status: 200, body: { policies: (await stores.policies.list()).map(answerOf), nextAfter: null } };
    });
    return answer.body;
  });
}

const answerOf = ({ windows, ...policy }: StoredPolicy): UpdatePolicy => ({ ...policy, windows: windows.map((window) => ({ ...window })) });
