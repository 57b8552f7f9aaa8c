import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { idempotencyHeader, reasonHeader } from '../contract/index.ts';
import { isMutation } from '../domain/access/mutation.ts';
import { askedForAudit } from '../domain/audit/asked.ts';
import { demandReason } from '../domain/audit/override.ts';
import { FairleadError } from '../domain/failure.ts';
import { hostWorkflowId, rolloutWorkflowId, type HostId, type ProductName, type RolloutId, type RunId } from '../domain/ids.ts';
import type { AuditLog } from '../ports/control-stores.ts';
import { actorOf, type Api } from './api.ts';
import { digest } from './idempotency.ts';

/** What a mutating request leaves in the audit, as it is gathered. */
interface RequestAudit {
  readonly route: string;
  /** Sequence of its row; null until it stands. */
  intent: number | null;
  before?: unknown;
  after?: unknown;
  answer: Readonly<Record<string, unknown>>;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null where nothing is asked to be changed. */
    audit: RequestAudit | null;
  }
}

/** Notes how something was before the request and how it is after; it stands in the audit row of the result. */
export function noteChange(request: FastifyRequest, change: { readonly before?: unknown; readonly after?: unknown }): void {
  if (request.audit !== null) Object.assign(request.audit, change);
}

/** Why the caller wants it: `reason` or `comment` of the body, else the header, else null. @throws FairleadError `invalid_request` for a header that is not percent-encoded UTF-8 */
export function reasonOf(request: FastifyRequest): string | null {
  const { reason, comment } = (isJson(request.body) ? request.body : {}) as { readonly reason?: unknown; readonly comment?: unknown };
  for (const said of [reason, comment]) if (typeof said === 'string' && said.trim() !== '') return said;
  const header = request.headers[reasonHeader];
  if (typeof header !== 'string' || header.trim() === '') return null;
  try {
    return decodeURIComponent(header).slice(0, 500);
  } catch {
    throw new FairleadError({ class: 'request', code: 'invalid_request', message: `Header ${reasonHeader} is not percent-encoded UTF-8.`, hint: 'encodeURIComponent(reason) makes it.' });
  }
}

/** Before the hook that authenticates: what that one refuses is noted too. */
export function markMutations(app: Api): void {
  app.decorateRequest('audit', null);
  app.addHook('onRequest', async (request) => {
    const route = `${request.method} ${request.routeOptions.url ?? ''}`;
    if (!request.is404 && isMutation(route)) request.audit = { route, intent: null, answer: {} };
  });
}

/**
 * Has every request that asks for a change leave two rows: what was asked, by whom, from where and why, before anything is done; and what came of it, before the caller is answered. Where the
 * first cannot be written nothing is done. One that is refused before it comes that far (by role, scope, its body) leaves both when it is refused. Requests without a valid key, and those beyond
 * the limits, leave none: anybody could fill the audit with them.
 *
 * Call it after the hooks that authenticate and hold scopes.
 */
export function auditMutations(app: Api, audit: Pick<AuditLog, 'append'>): void {
  app.addHook('preHandler', async (request) => {
    if (request.audit === null) return;
    demandReason(request.audit.route, isJson(request.body) ? request.body : {}, reasonOf(request));
    await writeIntent(request, request.audit);
  });
  app.addHook('preSerialization', async (request, _reply, payload) => {
    if (request.audit !== null && isJson(payload)) request.audit.answer = payload;
    return payload;
  });
  app.addHook('onSend', async (request, reply) => {
    const { audit: noted } = request;
    if (noted === null || (noted.intent === null && (request.identity === null || reply.statusCode === 429 || reply.statusCode === 401))) return;
    try {
      if (noted.intent === null) await writeIntent(request, noted);
    } catch (error) {
      // Refused, and nothing was done: the audit may be what is away.
      return request.log.warn({ err: error }, 'a refused request could not be noted in the audit');
    }
    const replayed = reply.getHeader('idempotent-replayed') !== undefined;
    await writeResult(request, noted, reply.statusCode, replayed);
  });

  async function writeIntent(request: FastifyRequest, noted: RequestAudit): Promise<void> {
    const { identity } = request;
    const idempotencyKey = request.headers[idempotencyHeader];
    const { sequence } = await audit.append(
      {
        at: new Date().toISOString(),
        event: 'request.intended',
        actor: actorIn(request),
        subject: subjectOf(request, noted.route),
        runId: null,
        detail: {
          requestId: request.id,
          request: noted.route,
          key: identity === null ? null : { id: identity.id, name: identity.name, role: identity.role },
          address: request.ip,
          reason: quietReason(request),
          ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
          asked: askedOf(request, noted.route),
        },
      },
      `${request.id}/intended`,
    );
    noted.intent = sequence;
  }

  async function writeResult(request: FastifyRequest, noted: RequestAudit, status: number, replayed: boolean): Promise<void> {
    const { runId, workflowId, rolloutId, code } = noted.answer as { readonly runId?: RunId; readonly workflowId?: string; readonly rolloutId?: RolloutId; readonly code?: string };
    const { before, after } = noted;
    const ids = { ...(workflowId === undefined ? {} : { workflowId }), ...(rolloutId === undefined ? {} : { rolloutId }) };
    const changed = { ...(before === undefined ? {} : { before: askedForAudit(before, digest) }), ...(after === undefined ? {} : { after: askedForAudit(after, digest) }) };
    const outcome = status === 202 ? 'accepted' : status < 400 ? 'done' : status < 500 ? 'refused' : 'failed';
    const append = (): Promise<unknown> =>
      audit.append(
        {
          at: new Date().toISOString(),
          event: 'request.ended',
          actor: actorIn(request),
          subject: subjectOf(request, noted.route),
          runId: runId ?? (rolloutId as string as RunId | undefined) ?? null,
          detail: { requestId: request.id, intent: noted.intent, status, outcome, ...(status >= 400 && code !== undefined ? { code } : {}), ...ids, ...changed, ...(replayed ? { replayed } : {}) },
        },
        `${request.id}/ended`,
      );
    // It was done or refused by now, whatever becomes of the row; an intent without a result says that nobody knows.
    await append().catch((error: unknown) => {
      request.log.error({ err: error }, 'the result of a request could not be noted in the audit; trying again');
      void tryAgain(append).catch((cause: unknown) => request.log.error({ err: cause }, 'the audit lacks the result of a request'));
    });
  }
}

async function tryAgain(act: () => Promise<unknown>): Promise<void> {
  for (const [at, waitMs] of [1_000, 10_000, 60_000].entries()) {
    await pause(waitMs, undefined, { ref: false });
    try {
      return void (await act());
    } catch (error) {
      if (at === 2) throw error;
    }
  }
}

const isJson = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value) && typeof (value as { pipe?: unknown }).pipe !== 'function';

/** Who asks by a token in the body has no name yet. */
const actorIn = ({ identity }: FastifyRequest): string => (identity === null ? 'an enrolment token' : actorOf(identity));

/** A reason that cannot be read is the reason of the refusal, and not of the row. */
function quietReason(request: FastifyRequest): string | null {
  try {
    return reasonOf(request);
  } catch {
    return null;
  }
}

/** Bundles are not kept in the audit, only that one came; their digest stands in the row about the release. */
function askedOf(request: FastifyRequest, route: string): unknown {
  if (request.body === undefined || request.body === null) return isJson(request.query) && Object.keys(request.query).length > 0 ? askedForAudit(request.query, digest, route) : null;
  return isJson(request.body) ? askedForAudit(request.body, digest, route) : { bytes: Number(request.headers['content-length'] ?? 0) || null };
}

/** By what rows about one thing are found, also where the request is refused. */
function subjectOf(request: FastifyRequest, route: string): string {
  const { id, name } = (request.params ?? {}) as { readonly id?: string; readonly name?: string };
  const { host, product } = (isJson(request.body) ? request.body : isJson(request.query) ? request.query : {}) as { readonly host?: unknown; readonly product?: unknown };
  const [, , collection = ''] = (route.split(' ')[1] ?? '').split('/');
  if (name !== undefined) return `${collection.replace(/s$/, '')}/${name}`;
  if (id === undefined) return typeof host === 'string' && typeof product === 'string' ? hostWorkflowId(host as HostId, product as ProductName) : collection;
  return collection === 'rollouts' ? rolloutWorkflowId(id as RolloutId) : `${collection.replace(/s$/, '')}/${id}`;
}
