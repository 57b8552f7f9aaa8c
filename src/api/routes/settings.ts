import { z } from 'zod';
import { Setting, SettingBody, SettingList, SettingListQuery, SettingParams, SettingUnset, SettingsRotated } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { refuseSettingValue, settingName, type SettingName } from '../../domain/setting/name.ts';
import type { ListedSetting } from '../../ports/setting-store.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOfAll } from '../page.ts';
import { unknown } from '../unknown.ts';

const tags = ['settings'];

/** Secrets of control. They come in and are used, and are never answered: whoever may set one may not read it. */
export function settingRoutes(app: Api, { stores }: ApiDependencies): void {
  const { settings, audit } = stores;

  app.get('/api/settings', { schema: { tags, summary: 'Sealed settings, masked', querystring: SettingListQuery, response: { 200: SettingList } } }, async (request) => {
    const { rows, nextAfter } = pageOfAll(await settings.list(), request.query, ({ name }) => name);
    return { settings: rows.map(shownOf), nextAfter };
  });

  app.get('/api/settings/:name', { schema: { tags, summary: 'A sealed setting, masked', params: SettingParams, response: { 200: Setting } } }, async (request) => {
    const name = named(request.params.name);
    const found = await settings.find(name);
    if (found === null) throw await notSet(name);
    return shownOf(found);
  });

  app.put('/api/settings/:name', { schema: { tags, summary: 'Seal a setting', headers: MutationHeaders, params: SettingParams, body: SettingBody, response: { 200: Setting } } }, async (request, reply) => {
    const name = named(request.params.name);
    const { value } = request.body;
    const refused = refuseSettingValue(name, value);
    if (refused !== null) throw new FairleadError(refused);
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce<z.infer<typeof Setting>>(
      stores.idempotency,
      request,
      reply,
      async () => {
        const { setting, replaced } = await settings.set(name, value, actor);
        await audit.append({ at: setting.setAt, event: 'setting.set', actor, subject: `setting/${name}`, runId: null, detail: { keyId: setting.keyId, replaced } });
        return { status: 200, body: shownOf(setting) };
      },
      // What is kept of the request is a plain digest; of a secret, that of its digest under the key.
      { name, value: await settings.digest(value) },
    );
    return answer.body;
  });

  app.delete('/api/settings/:name', { schema: { tags, summary: 'Remove a setting', headers: MutationHeaders, params: SettingParams, response: { 200: SettingUnset } } }, async (request, reply) => {
    const name = named(request.params.name);
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      if ((await settings.unset(name)) === 'not_found') throw await notSet(name);
      await audit.append({ at: new Date().toISOString(), event: 'setting.unset', actor, subject: `setting/${name}`, runId: null, detail: {} });
      return { status: 200, body: { name: name as string, state: 'removed' as const } };
    });
    return answer.body;
  });

  app.post('/api/settings/rotate', { schema: { tags, summary: 'Seal every setting anew with the first key', headers: MutationHeaders, response: { 200: SettingsRotated } } }, async (request, reply) => {
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce<SettingsRotated>(stores.idempotency, request, reply, async () => {
      const { keyId, resealed, already } = await settings.rotate();
      await audit.append({ at: new Date().toISOString(), event: 'settings.rotated', actor, subject: 'settings', runId: null, detail: { keyId, resealed: [...resealed], already } });
      return { status: 200, body: { keyId, resealed: [...resealed], already } };
    });
    return answer.body;
  });

  const notSet = async (name: SettingName): Promise<FairleadError> => unknown('unknown_setting', `Setting ${name} is not set.`, 'Those that are', (await settings.list()).map((each) => each.name), `Set it: fairlead settings set ${name}`);
}

function named(text: string): SettingName {
  const name = settingName(text);
  if (typeof name !== 'string') throw new FairleadError(name);
  return name;
}

const shownOf = ({ problem, ...setting }: ListedSetting): z.infer<typeof Setting> => ({ ...setting, problem: problem === null ? null : { code: problem.code, message: problem.message, hint: problem.hint ?? null } });
