import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors, isResponseSerializationError } from 'fastify-type-provider-zod';
import { STATUS_CODES } from 'node:http';
import { Problem, problemMediaType } from '../contract/index.ts';
import { FairleadError } from '../domain/failure.ts';
import type { FailureClass, Reason } from '../domain/failure.ts';
import { runHeldBy } from '../ports/run-starter.ts';
import type { Api } from './api.ts';
import { RateLimited } from './rate-limits.ts';

/** The problem answer in a route's schema. */
export const problemContent = (description: string) => ({ description, content: { [problemMediaType]: { schema: Problem } } });

/** Codes whose status is not that of their class. */
const statusOfCode: Readonly<Record<string, number>> = {
  unknown_route: 404,
  key_missing: 401,
  key_unknown: 401,
  not_allowed: 403,
  out_of_scope: 403,
  rate_limited: 429,
  key_rotating: 409,
  not_this_host: 403,
  enrolment_unknown: 401,
  enrolment_other_host: 403,
  enrolment_used: 409,
  enrolment_host_taken: 409,
  enrolment_expired: 410,
  identity_conflict: 409,
  identity_refused: 409,
  session_superseded: 409,
  not_in_maintenance: 409,
  no_conflict: 409,
  upgrade_required: 426,
  host_pending: 404,
  own_key: 409,
  unknown_host: 404,
  unknown_product: 404,
  unknown_release: 404,
  unknown_service: 404,
  unknown_instance: 404,
  unknown_run: 404,
  unknown_artifact: 404,
  unknown_key: 404,
  unknown_setting: 404,
  payload_codec_off: 409,
  payload_key_unknown: 422,
  payload_key_wrong: 422,
  payload_damaged: 422,
  settings_key_missing: 409,
  settings_keys_invalid: 409,
  setting_key_unknown: 409,
  setting_key_wrong: 409,
  setting_damaged: 409,
  run_in_progress: 409,
  release_exists: 409,
  nothing_to_roll_back_to: 409,
  instance_exists: 409,
  instance_declared: 409,
  port_taken: 409,
  reload_undeclared: 409,
  release_condemned: 409,
  request_under_way: 409,
  unknown_rollout: 404,
  unknown_freeze: 404,
  cursor_gone: 410,
  request_too_slow: 408,
  too_many_streams: 429,
  artifact_missing: 503,
  updater_slow: 504,
  updater_unreachable: 502,
  updater_answer_invalid: 502,
  updater_failed: 502,
  updater_refused: 422,
  reason_required: 400,
  rollout_ended: 409,
  rollout_open: 409,
  rollout_not_begun: 409,
  rollout_halted: 409,
  fleet_moved: 409,
  not_paused: 409,
  nothing_to_retry: 409,
  nothing_to_promote: 409,
  gate_not_asked: 409,
  approver_role: 403,
  approver_is_requester: 403,
  artifact_too_large: 413,
  range_not_satisfiable: 416,
  idempotency_key_reused: 422,
  artifact_size_mismatch: 422,
  artifact_digest_mismatch: 422,
};

const statusOfClass: Readonly<Record<FailureClass, number>> = { request: 400, release: 422, host: 409, dependency: 503, orchestrator: 500 };

/** Retryable failures are away for seconds, not for hours. */
const retryAfterSeconds = 5;

/** Every answer that is not what was asked for is a problem (RFC 9457). */
export function answerWithProblems(app: Api): void {
  app.setErrorHandler((error, request, reply) => sendProblem(reply, problemOf(error as Error, request), error as Error));
  app.setNotFoundHandler({}, (request, reply) =>
    sendProblem(
      reply,
      problem(request, 404, { class: 'request', code: 'unknown_route', message: `There is no ${request.method} ${pathOf(request)}.`, hint: 'GET /api/openapi.json lists every route.' }),
    ),
  );
}

function sendProblem(reply: FastifyReply, body: Problem, error?: Error): FastifyReply {
  const { log } = reply.request;
  if (body.status >= 500) log.error({ err: error, code: body.code }, 'request failed');
  else log.debug({ err: error, code: body.code }, 'request refused');
  if (body.status === 401) void reply.header('www-authenticate', 'Bearer realm="fairlead"');
  if (body.retryable && (body.status === 503 || body.status === 409 || body.code === 'too_many_streams')) void reply.header('retry-after', String(retryAfterSeconds));
  if (error instanceof RateLimited) void reply.header('retry-after', String(error.retryAfterSeconds));
  // What the route has already said of the answer that it did not give.
  void reply.header('cache-control', 'no-store').removeHeader('etag');
  // Serialized here: the route's own schema for this status may be another one.
  return reply.code(body.status).type(problemMediaType).serializer(JSON.stringify).send(body);
}

function problemOf(error: Error | FastifyError, request: FastifyRequest): Problem {
  if (error instanceof FairleadError) return problemOfFailure(error, request);
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map(({ instancePath, message }) => ({ path: instancePath === '' ? '/' : instancePath, message: message ?? 'not valid' }));
    return {
      ...problem(request, 400, {
        class: 'request',
        code: 'invalid_request',
        message: `${placeOf((error as { validationContext?: string }).validationContext)} of ${request.method} ${pathOf(request)} is not valid: ${errors.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
        hint: 'GET /api/openapi.json describes what is taken.',
      }),
      errors,
    };
  }
  const status = (error as FastifyError).statusCode ?? 500;
  if (status >= 400 && status < 500 && !isResponseSerializationError(error)) {
    return problem(request, status, { class: 'request', code: 'invalid_request', message: error.message, ...ofStatus[status] });
  }
  if ((error as FastifyError).code === 'FST_ERR_REOPENED_CLOSE_SERVER' || status === 503) {
    return { ...problem(request, 503, { class: 'orchestrator', code: 'closing', message: 'This copy of the API is closing.', hint: 'Ask again; another copy answers.' }), retryable: true };
  }
  return problem(request, 500, {
    class: 'orchestrator',
    code: 'internal_error',
    message: 'The API made a mistake. What went wrong stands in its log.',
    hint: `Look for request ${request.id} in the log of the API.`,
  });
}

/** The problem that a failure is told as. @param request its id stands in the log */
export function problemOfFailure(error: FairleadError, request: { readonly id: string }): Problem {
  const { reason } = error;
  const status = statusOfCode[reason.code] ?? (reason.class === 'orchestrator' && error.retryable ? 503 : statusOfClass[reason.class]);
  const body: Problem = { ...problem(request, status, reason), retryable: error.retryable };
  const holder = reason.code === 'run_in_progress' ? runHeldBy(reason.message) : null;
  return holder === null ? body : { ...body, holdingRunId: holder, links: { run: `/api/runs/${holder}`, events: `/api/runs/${holder}/events` } };
}

const problem = (request: { readonly id: string }, status: number, reason: Reason): Problem => ({
  type: `urn:fairlead:problem:${reason.code}`,
  title: STATUS_CODES[status] ?? 'Problem',
  status,
  code: reason.code,
  class: reason.class,
  detail: reason.message,
  hint: reason.hint ?? null,
  instance: `urn:fairlead:request:${request.id}`,
  retryable: false,
});

/** Without the query, which may hold what does not belong into a log. */
const pathOf = (request: FastifyRequest): string => request.url.split('?')[0] ?? request.url;

const placeOf = (context: string | undefined): string => ({ body: 'The body', querystring: 'The query', params: 'The path', headers: 'A header' })[context ?? ''] ?? 'The request';

/** What Fastify refuses by itself. */
const ofStatus: Readonly<Record<number, Pick<Reason, 'code' | 'hint'>>> = {
  400: { code: 'invalid_request', hint: 'The body must be one JSON document.' },
  413: { code: 'body_too_large', hint: 'Bodies of JSON may have 1 MiB; bundles go to POST /api/releases.' },
  415: { code: 'unsupported_media_type', hint: 'Send JSON with content-type application/json; bundles with application/octet-stream.' },
};
