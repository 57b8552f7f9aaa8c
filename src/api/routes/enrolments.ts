import { EnrolmentBody, EnrolmentCreated, EnrolmentList, EnrolmentListQuery, ExchangeAnswer, ExchangeBody } from '../../contract/index.ts';
import type { EnrolmentCreated as EnrolmentCreatedAnswer } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { ExchangeResult } from '../../ports/fleet-stores.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Fleet } from '../fleet/index.ts';
import { noteChange } from '../auditing.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOfAll } from '../page.ts';
import { problemContent } from '../problems.ts';

const tags = ['hosts'];

export function enrolmentRoutes(app: Api, { stores }: ApiDependencies, { sessions }: Fleet): void {
  app.get('/api/enrolments', { schema: { tags, summary: 'Enrolment tokens, without their texts', querystring: EnrolmentListQuery, response: { 200: EnrolmentList } } }, async ({ query }) => {
    const { rows, nextAfter } = pageOfAll(await stores.enrolments.list(), query, ({ id }) => id);
    return { enrolments: rows, nextAfter };
  });

  app.post('/api/enrolments', { schema: { tags, summary: 'Make a one-time token by which a host gets its own key', headers: MutationHeaders, body: EnrolmentBody, response: { 201: EnrolmentCreated } } }, async (request, reply) => {
    const { body } = request;
    const actor = actorOf(callerOf(request));
    const answer = await answerOnce(stores.idempotency, request, reply, async () => {
      const { enrolment, text } = await stores.enrolments.create({ ...body, createdBy: actor });
      const { id, host, role, expiresAt } = enrolment;
      await stores.audit.append({ at: new Date().toISOString(), event: 'enrolment.created', actor, subject: `enrolment/${id}`, runId: null, detail: { host, role, expiresAt } });
      noteChange(request, { before: null, after: enrolment });
      const created: EnrolmentCreatedAnswer = { ...enrolment, token: text };
      return { status: 201, body: created, kept: { ...created, token: null } };
    });
    return reply.code(201).header('cache-control', 'no-store').send(answer.body);
  });

  app.post(
    '/api/enrolments/exchange',
    {
      schema: {
        tags,
        summary: "Exchange a token for the host's own key",
        description: 'The token is the proof; no key is needed. Keys that the host had before open nothing from then on.',
        body: ExchangeBody,
        response: { 201: ExchangeAnswer, '4XX': problemContent('The token was refused, and why') },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const result = await stores.enrolments.exchange(body.token, body.host);
      if (result.result === 'refused') {
        request.log.warn({ code: result.code, host: body.host, remoteAddress: request.ip }, 'an enrolment token was refused');
        throw refusal(result.code, body.host);
      }
      noteChange(request, { before: { keys: result.revokedKeys }, after: { host: result.host, role: result.role, keys: [result.keyId], enrolment: result.enrolment } });
      const { host, role, keyId, key, revokedKeys, ended, enrolment } = result;
      const detail = { enrolment, keyId, revokedKeys, remoteAddress: request.ip };
      await stores.audit.append({ at: new Date().toISOString(), event: 'host.enrolled', actor: `enrolment ${enrolment}`, subject: `host/${host}`, runId: null, detail }, `host.enrolled:${enrolment}`);
      await sessions.announce(ended);
      return reply.code(201).header('cache-control', 'no-store').send({ host, role, keyId, key });
    },
  );
}

const again = 'Make a new one: fairlead nodes enroll HOST';

function refusal(code: Extract<ExchangeResult, { result: 'refused' }>['code'], host: string | null): FairleadError {
  const [message, hint] = {
    enrolment_unknown: ['The enrolment token is not known.', `Check that the whole token was copied (fl_enrol_ and 49 characters). ${again}`],
    enrolment_used: ['The enrolment token was used before.', `If that was not you, somebody else has this host's key: a new enrolment takes it away. ${again}`],
    enrolment_expired: ['The enrolment token has expired.', again],
    enrolment_other_host: [host === null ? 'The enrolment token names no host, and neither does the request.' : `The enrolment token is for another host than ${host}.`, host === null ? 'Name it: --host-id NAME' : again],
    enrolment_host_taken: [`Host ${host} has an identity, and the enrolment token is for new hosts only.`, `Replace it with a token of its own: fairlead nodes enroll ${host}`],
  }[code] as [string, string];
  return new FairleadError({ class: 'request', code, message, hint });
}
