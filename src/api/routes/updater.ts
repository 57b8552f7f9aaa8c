import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { RunAccepted, UpdateCheckAnswer, UpdateDownloadAnswer, UpdateHistory, UpdatePlanAnswer, UpdateStatusAnswer } from '../../contract/index.ts';
import { withoutSecrets } from '../../domain/audit/asked.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { Updater, UpdaterQuestion } from '../../ports/updater.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, hasKey, requestIdOf } from '../idempotency.ts';
import { updateSchemas } from './update-schemas.ts';

/**
 * /api/updates where an external service does them: the same routes for the same keys, with the same audit. What it answers is held against our own schemas, and its refusals become our own
 * problems; neither its address nor the token for it reaches a client.
 */
export function updaterRoutes(app: Api, { stores }: ApiDependencies, updater: Updater): void {
  app.post('/api/updates/check', { schema: updateSchemas.check }, async (request) => ask(request, { method: 'POST', what: 'check', body: request.body }, UpdateCheckAnswer));
  app.get('/api/updates/status', { schema: updateSchemas.status }, async (request) => ask(request, { method: 'GET', what: 'status', query: request.query }, UpdateStatusAnswer));
  app.post('/api/updates/plan', { schema: updateSchemas.plan }, async (request) => ask(request, { method: 'POST', what: 'plan', body: request.body }, UpdatePlanAnswer));
  app.get('/api/updates/history', { schema: updateSchemas.history }, async (request) => ask(request, { method: 'GET', what: 'history', query: request.query }, UpdateHistory));
  app.post('/api/updates/download', { schema: updateSchemas.download }, async (request, reply) => once(request, reply, 200, () => ask(request, { method: 'POST', what: 'download', body: request.body }, UpdateDownloadAnswer)));
  app.post('/api/updates/apply', { schema: updateSchemas.apply }, async (request, reply) => {
    const { reason: _audited, ...wanted } = request.body;
    return reply.code(202).send(await once(request, reply, 202, () => start(request, 'apply', wanted)));
  });
  app.post('/api/updates/rollback', { schema: updateSchemas.rollback }, async (request, reply) => reply.code(202).send(await once(request, reply, 202, () => start(request, 'rollback', request.body))));

  async function once<Body>(request: FastifyRequest, reply: FastifyReply, status: number, act: () => Promise<Body>): Promise<Body> {
    return (await answerOnce(stores.idempotency, request, reply, async () => ({ status, body: await act() }))).body;
  }

  /** The run is the service's own: here it can be followed by the status only. */
  async function start(request: FastifyRequest, what: string, body: { readonly host: string; readonly product: string }): Promise<RunAccepted> {
    const accepted = await ask(request, { method: 'POST', what, body }, RunAccepted);
    const self = `/api/updates/status?${new URLSearchParams({ host: body.host, product: body.product }).toString()}`;
    return { ...accepted, links: { self, events: self, temporalUi: null } };
  }

  async function ask<Schema extends z.ZodType>(request: FastifyRequest, question: Omit<UpdaterQuestion, 'idempotencyKey'>, schema: Schema): Promise<z.output<Schema>> {
    // The client's own key would mean the same to the service for every caller here.
    const idempotencyKey = hasKey(request) ? requestIdOf(request) : null;
    const { status, body } = await updater.ask({ ...question, idempotencyKey }, AbortSignal.timeout(60_000));
    if (status >= 400) throw refusalOf(status, body, question.what);
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    request.log.error({ issues: parsed.error.issues.slice(0, 10), what: question.what }, 'the updater answered with something else than this API promises');
    throw new FairleadError({ class: 'dependency', code: 'updater_answer_invalid', message: `The updater answered ${question.what} with something else than this API promises.`, hint: 'What differs stands in the log of the API.' });
  }
}

/** What the service refused, in our words and its own; of its problem only code and sentence are taken. */
function refusalOf(status: number, body: unknown, what: string): FairleadError {
  const { code, detail, message } = (typeof body === 'object' && body !== null ? withoutSecrets(body) : {}) as { readonly code?: unknown; readonly detail?: unknown; readonly message?: unknown };
  const said = [detail, message].find((text): text is string => typeof text === 'string' && text.trim() !== '')?.slice(0, 500) ?? 'it did not say why';
  const named = typeof code === 'string' && /^[a-z][a-z0-9_]{0,63}$/.test(code) ? ` [${code}]` : '';
  return new FairleadError({ class: 'request', code: 'updater_refused', message: `The updater refused ${what} (${status})${named}: ${said}`, hint: 'Mend what it names and ask again.' });
}
