import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { FairleadError, messagesOf } from '../../domain/failure.ts';
import type { Updater, UpdaterAnswer, UpdaterQuestion } from '../../ports/updater.ts';

interface Options {
  /** Where it is, without a trailing slash; its routes stand below `/api/updates`. */
  readonly url: string;
  readonly tokenFile: string;
  /** For one question with all its repetitions. Default 10000. */
  readonly limitMs?: number;
  /** Before the first repetition; twice as long before each further one. Default 200. */
  readonly backoffMs?: number;
}

const maxBytes = 1_048_576;
const attempts = 4;

/**
 * Asks an updater service over HTTP, with a token that only this process knows. A question is repeated where its answer was lost or the service failed (5xx), but only one that is safe to repeat: GET,
 * or with an idempotency key. Redirects are not followed: they would carry the token elsewhere. The token is read for each question, so that a new one holds at once, and is taken out of
 * whatever the service answers.
 */
export function createHttpUpdater({ url, tokenFile, limitMs = 10_000, backoffMs = 200 }: Options): Updater {
  return {
    async ask(question, cancel) {
      const token = await readToken(tokenFile);
      const limit = AbortSignal.timeout(limitMs);
      const mayRepeat = question.method === 'GET' || question.idempotencyKey !== null;
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await askOnce(question, token, AbortSignal.any([cancel, limit]));
        } catch (error) {
          if (limit.aborted) throw failure('updater_slow', `The updater at ${url} did not answer ${question.what} within ${limitMs} ms.`, 'Ask again; if it stays so, look at the updater.');
          cancel.throwIfAborted();
          if (!mayRepeat || attempt >= attempts || !(error instanceof FairleadError) || !repeatable.has(error.reason.code)) throw error;
        }
        await pause(backoffMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2), undefined, { signal: AbortSignal.any([cancel, limit]) }).catch(() => undefined);
      }
    },
  };

  async function askOnce({ method, what, query = {}, body, idempotencyKey }: UpdaterQuestion, token: string, signal: AbortSignal): Promise<UpdaterAnswer> {
    const target = new URL(`${url}/api/updates/${what}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, String(value));
    let status: number;
    let text: string;
    try {
      const response = await fetch(target, {
        method,
        headers: { authorization: `Bearer ${token}`, accept: 'application/json', 'user-agent': 'fairlead', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(idempotencyKey === null ? {} : { 'idempotency-key': idempotencyKey }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal,
      });
      status = response.status;
      text = await textOf(response);
    } catch (error) {
      if (error instanceof FairleadError) throw error;
      throw failure('updater_unreachable', `The updater at ${url} could not be asked for ${what}: ${causeOf(error)}.`, 'Check that it runs and that this machine reaches it (updater.url).');
    }
    if (status === 401 || status === 403) throw failure('updater_failed', `The updater at ${url} refused Fairlead's own token (${status}).`, 'Give it another one: updater.tokenFile.', false);
    if (status >= 500) throw failure('updater_failed', `The updater at ${url} failed at ${what} (${status}).`, 'Ask again; if it stays so, look at the log of the updater.');
    if (status >= 300 && status < 400) throw failure('updater_answer_invalid', `The updater at ${url} answered ${what} with a redirect (${status}), which is not followed.`, 'Name the address that it leads to: updater.url.', false);
    try {
      return { status, body: JSON.parse(text.replaceAll(token, '[redacted]')) as unknown };
    } catch {
      throw failure('updater_answer_invalid', `The updater at ${url} answered ${what} with ${status} and no JSON.`, 'Look at the updater, and at what stands between.', false);
    }
  }

  async function textOf(response: Response): Promise<string> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of response.body ?? []) {
      bytes += part.byteLength;
      if (bytes > maxBytes) throw failure('updater_answer_invalid', `The updater at ${url} answered with more than ${maxBytes} bytes.`, 'Look at the updater.', false);
      parts.push(part);
    }
    return Buffer.concat(parts).toString('utf8');
  }
}

const repeatable: ReadonlySet<string> = new Set(['updater_unreachable', 'updater_failed']);

/** What the network said; fetch hides it in the cause. Nothing of it holds the token. */
const causeOf = (error: unknown): string => messagesOf((error as { cause?: unknown }).cause ?? error).join(': ');

async function readToken(file: string): Promise<string> {
  const token = await readFile(file, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
  if (/^[\x21-\x7e]{8,}$/.test(token)) return token;
  throw failure('updater_token_missing', 'The token for the updater cannot be read, or is none: it has to be 8 or more printable characters.', 'Lay it into the file that updater.tokenFile names, 0600.', false);
}

const failure = (code: string, message: string, hint: string, retryable = true): FairleadError => new FairleadError({ class: 'dependency', code, message, hint }, { retryable });
