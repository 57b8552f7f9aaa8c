import { KeyCreateBody, KeyCreated, KeyList, KeyListQuery, KeyParams, KeyRevoked, KeyRotateBody, KeyRotated } from '../../contract/index.ts';
import type { KeyScope } from '../../domain/access/scope.ts';
import type { ProductName } from '../../domain/ids.ts';
import { FairleadError } from '../../domain/failure.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { noteChange } from '../auditing.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOfAll } from '../page.ts';
import type { KeyIdentity } from '../../ports/control-stores.ts';
import { unknown } from '../unknown.ts';

const tags = ['keys'];

export function keyRoutes(app: Api, { stores }: ApiDependencies): void {
  app.get('/api/keys', { schema: { tags, summary: 'Keys, masked', querystring: KeyListQuery, response: { 200: KeyList } } }, async ({ query }) => {
    const { rows, nextAfter } = pageOfAll(await stores.keys.list(), query, ({ id }) => id);
    return { keys: rows.map(shownOf), nextAfter };
  });

  app.post('/api/keys', { schema: { tags, summary: 'Make a key', headers: MutationHeaders, body: KeyCreateBody, response: { 201: KeyCreated } } }, async (request, reply) => {
    const { body } = request;
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      const { identity, text } = await stores.keys.create(body.name, body.role, { scope: body.scope, expiresSeconds: body.expiresSeconds });
      await stores.audit.append({ at: new Date().toISOString(), event: 'key.created', actor: actorOf(callerOf(request)), subject: `key/${identity.id}`, runId: null, detail: { name: identity.name, role: identity.role, scope: identity.scope, expiresSeconds: body.expiresSeconds } });
      noteChange(request, { before: null, after: { ...identity, expiresSeconds: body.expiresSeconds } });
      const created = { ...shownOf(identity), text: text as string | null, masked: await maskedOf(identity.id) };
      // The key itself is never stored, not even for a repetition.
      return { status: 201, body: created, kept: { ...created, text: null } };
    });
    return reply.code(201).header('cache-control', 'no-store').send(answer.body);
  });

  app.delete('/api/keys/:id', { schema: { tags, summary: 'Revoke a key', headers: MutationHeaders, params: KeyParams, response: { 200: KeyRevoked } } }, async (request, reply) => {
    const { params } = request;
    const caller = callerOf(request);
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      if (params.id === caller.id) throw ownKey(caller.name);
      const before = (await stores.keys.list()).find(({ id }) => id === params.id);
      if ((await stores.keys.revoke(params.id)) === 'not_found') throw await notKnown(params.id);
      await stores.audit.append({ at: new Date().toISOString(), event: 'key.revoked', actor: actorOf(caller), subject: `key/${params.id}`, runId: null, detail: {} }, `key.revoked:${params.id}`);
      noteChange(request, { before: before ?? null, after: { ...before, revokedAt: new Date().toISOString() } });
      return { status: 200, body: { id: params.id, state: 'revoked' as const } };
    });
    return answer.body;
  });

  app.post(
    '/api/keys/:id/rotate',
    { schema: { tags, summary: 'Give a key another text; the old one works for a day still', headers: MutationHeaders, params: KeyParams, body: KeyRotateBody, response: { 200: KeyRotated } } },
    async (request, reply) => {
      const { params, body } = request;
      const answer = await answerOnce(stores.idempotency, request, reply, async () => {
        const maskedBefore = await maskedOf(params.id);
        const rotated = await stores.keys.rotate(params.id, body.graceSeconds);
        if (rotated.result === 'not_found') throw await notKnown(params.id);
        if (rotated.result === 'under_way') throw rotating(params.id, rotated.previousEndsAt);
        const { identity, text, previousEndsAt } = rotated;
        await stores.audit.append({ at: new Date().toISOString(), event: 'key.rotated', actor: actorOf(callerOf(request)), subject: `key/${identity.id}`, runId: null, detail: { name: identity.name, previousEndsAt } });
        const made = { ...shownOf(identity), text: text as string | null, masked: await maskedOf(identity.id), previousEndsAt };
        noteChange(request, { before: { masked: maskedBefore }, after: { masked: made.masked, previousEndsAt } });
        return { status: 200, body: made, kept: { ...made, text: null } };
      });
      return reply.header('cache-control', 'no-store').send(answer.body);
    },
  );

  const maskedOf = async (id: string): Promise<string> => (await stores.keys.list()).find((key) => key.id === id)?.masked ?? '';
  const notKnown = async (id: string): Promise<FairleadError> => {
    const names = (await stores.keys.list()).filter(({ revokedAt }) => revokedAt === null).map((key) => `${key.id} (${key.name})`);
    return unknown('unknown_key', `No key "${id}" is known, or it opens nothing any more.`, 'Keys that work', names, 'There is no key.');
  };
}

/** The same members; only the contract's lists are not readonly. */
const shownOf = <Key extends KeyIdentity>({ scope, ...key }: Key): Omit<Key, 'scope'> & { scope: { products: ProductName[]; hosts: string[] } | null } => ({ ...key, scope: scope as (KeyScope & { products: ProductName[]; hosts: string[] }) | null });

const rotating = (id: string, endsAt: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'key_rotating', message: `Key ${id} was rotated already: its old text works until ${endsAt}, and another rotation would end it now.`, hint: `If that is meant: fairlead keys rotate ${id} --end-old` });

const ownKey = (name: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'own_key', message: `Key "${name}" cannot revoke itself.`, hint: 'Make another admin key, and revoke this one with it: so nobody locks everybody out.' });
