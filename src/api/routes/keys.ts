import { KeyCreateBody, KeyCreated, KeyList, KeyParams, KeyRevoked } from '../../contract/index.ts';
import type { KeyCreated as KeyCreatedAnswer } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { unknown } from '../unknown.ts';

const admins = { access: ['admin'] } as const;
const tags = ['keys'];

export function keyRoutes(app: Api, { stores }: ApiDependencies): void {
  app.get('/api/keys', { config: admins, schema: { tags, summary: 'Keys, masked', response: { 200: KeyList } } }, async () => ({ keys: await stores.keys.list() }));

  app.post('/api/keys', { config: admins, schema: { tags, summary: 'Make a key', headers: MutationHeaders, body: KeyCreateBody, response: { 201: KeyCreated } } }, async (request, reply) => {
    const { body } = request;
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      const { identity, text } = await stores.keys.create(body.name, body.role);
      await stores.audit.append({ at: new Date().toISOString(), event: 'key.created', actor: actorOf(callerOf(request)), subject: `key/${identity.id}`, runId: null, detail: { name: identity.name, role: identity.role } });
      const masked = (await stores.keys.list()).find((key) => key.id === identity.id)?.masked ?? '';
      const created: KeyCreatedAnswer = { ...identity, text, masked };
      // The key itself is never stored, not even for a repetition.
      return { status: 201, body: created, kept: { ...created, text: null } };
    });
    return reply.code(201).header('cache-control', 'no-store').send(answer.body);
  });

  app.delete('/api/keys/:id', { config: admins, schema: { tags, summary: 'Revoke a key', headers: MutationHeaders, params: KeyParams, response: { 200: KeyRevoked } } }, async (request, reply) => {
    const { params } = request;
    const caller = callerOf(request);
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      if (params.id === caller.id) throw ownKey(caller.name);
      if ((await stores.keys.revoke(params.id)) === 'not_found') {
        const names = (await stores.keys.list()).map((key) => `${key.id} (${key.name})`);
        throw unknown('unknown_key', `No key "${params.id}" is known.`, 'Known keys', names, 'There is no key.');
      }
      await stores.audit.append({ at: new Date().toISOString(), event: 'key.revoked', actor: actorOf(caller), subject: `key/${params.id}`, runId: null, detail: {} }, `key.revoked:${params.id}`);
      return { status: 200, body: { id: params.id, state: 'revoked' as const } };
    });
    return answer.body;
  });
}

const ownKey = (name: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'own_key', message: `Key "${name}" cannot revoke itself.`, hint: 'Make another admin key, and revoke this one with it: so nobody locks everybody out.' });
