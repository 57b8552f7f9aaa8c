import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { idempotencyHeader, reasonHeader } from '../contract/index.ts';
import { canonicalJson } from '../domain/canonical-json.ts';
import { FairleadError } from '../domain/failure.ts';
import type { IdempotencyClaim, IdempotencyStore, StoredAnswer } from '../ports/idempotency-store.ts';
import { callerOf } from './api.ts';

/** The headers of a mutation. */
export const MutationHeaders = z.object({
  [idempotencyHeader]: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'an idempotency key is 1 to 128 printable ASCII characters without spaces')
    .optional()
    .meta({ description: 'The same key with the same request within 24 hours gets the same answer and changes nothing twice', examples: ['deploy-4711'] }),
  [reasonHeader]: z.string().max(1_500).optional().meta({ description: 'Why, percent-encoded; it goes into the audit. Overrides need it, or a `reason` in the body', examples: ['the%20old%20disk%20is%20gone'] }),
});

/** SHA-256 in hexadecimal digits. */
export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

const keyOf = (request: FastifyRequest): string | undefined => {
  const value = request.headers[idempotencyHeader];
  return typeof value === 'string' ? value : undefined;
};

/** Whether the request may be repeated. */
export const hasKey = (request: FastifyRequest): boolean => keyOf(request) !== undefined;

/**
 * What a request is known by to whatever acts on it: a repetition (same caller, same Idempotency-Key) has the same one, so that even a
 * repetition that overtakes the stored answer starts nothing twice.
 */
export function requestIdOf(request: FastifyRequest): string {
  const key = keyOf(request);
  return key === undefined ? request.id : `idem-${digest(canonicalJson([callerOf(request).id, key])).slice(0, 32)}`;
}

interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
  /** What is kept for repetitions, where that must not be the body itself. */
  readonly kept?: Body;
}

/**
 * Acts once per Idempotency-Key. Only what was done is kept: a refusal changed nothing, so the same request may be tried again.
 *
 * @param content what the request consists of; its body, unless that was a stream.
 * @throws FairleadError `idempotency_key_reused` for another request under the key, `request_under_way` while the first is served.
 */
export async function answerOnce<Body>(
  store: IdempotencyStore,
  request: FastifyRequest,
  reply: FastifyReply,
  act: () => Promise<Answer<Body>>,
  content: unknown = request.body ?? null,
): Promise<Answer<Body>> {
  const key = keyOf(request);
  if (key === undefined) return act();
  const fingerprint = digest(canonicalJson([request.method, request.url, content]));
  const claim: IdempotencyClaim = { key, caller: callerOf(request).id, fingerprint };
  const claimed = await store.claim(claim);
  if (claimed.state === 'mismatch') throw reused(key);
  if (claimed.state === 'under_way') throw underWay(key);
  if (claimed.state === 'answered') {
    void reply.header('idempotent-replayed', 'true');
    return claimed.answer as StoredAnswer & { body: Body };
  }
  let answer: Answer<Body>;
  try {
    answer = await act();
  } catch (error) {
    await store.release(claim).catch((cause: unknown) => request.log.warn({ err: cause }, 'could not give an idempotency key back; it frees itself after two minutes'));
    throw error;
  }
  // It was done, whatever becomes of the note about it.
  await store
    .answer(claim, { status: answer.status, body: answer.kept ?? answer.body })
    .catch((cause: unknown) => request.log.warn({ err: cause }, 'could not keep the answer for repetitions'));
  return answer;
}

const reused = (key: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'idempotency_key_reused',
    message: `Idempotency-Key "${key}" came with another request before.`,
    hint: 'Give each request a key of its own, and repeat a request unchanged.',
  });

const underWay = (key: string): FairleadError =>
  new FairleadError(
    { class: 'request', code: 'request_under_way', message: `The first request with Idempotency-Key "${key}" is still being served.`, hint: 'Ask again in a few seconds.' },
    { retryable: true },
  );
