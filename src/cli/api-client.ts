import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Problem } from '../contract/index.ts';
import type { Connection } from './connection.ts';
import { CommandFailure, exitCodes } from './errors.ts';

export interface RequestOptions {
  readonly body?: unknown;
  /** Sent as it is, instead of `body` as JSON. */
  readonly content?: Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly cancel?: AbortSignal;
}

/** The API could not be reached at all, or broke off: the same request may work later. */
export class ApiUnreachable extends CommandFailure {}

export interface ApiClient {
  readonly connection: Connection;
  /** @throws CommandFailure with the exit code that belongs to the answer */
  get<Answer>(path: string, options?: RequestOptions): Promise<Answer>;
  /** Carries one Idempotency-Key through its repetitions, so that a request whose answer was lost is not done twice. */
  post<Answer>(path: string, options?: RequestOptions): Promise<Answer>;
  put<Answer>(path: string, options?: RequestOptions): Promise<Answer>;
  delete<Answer>(path: string, options?: RequestOptions): Promise<Answer>;
  /** The raw answer, for streams. */
  open(path: string, options?: RequestOptions): Promise<Response>;
}

const repetitions = 3;

export function createApiClient(connection: Connection): ApiClient {
  const once = async (method: string, path: string, options: RequestOptions): Promise<Response> => {
    const limit = options.timeoutMs === undefined ? [] : [AbortSignal.timeout(options.timeoutMs)];
    const signals = [...limit, ...(options.cancel === undefined ? [] : [options.cancel])];
    let response: Response;
    try {
      response = await fetch(`${connection.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${connection.key}`,
          accept: 'application/json',
          ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(options.content === undefined ? {} : { 'content-type': 'application/octet-stream' }),
          ...options.headers,
        },
        ...(options.content !== undefined ? { body: options.content } : options.body !== undefined ? { body: JSON.stringify(options.body) } : {}),
        ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
        redirect: 'error',
      });
    } catch (error) {
      options.cancel?.throwIfAborted();
      throw unreachable(connection, error);
    }
    if (response.ok) return response;
    throw await refusal(connection, response);
  };
  const repeated = async (method: string, path: string, options: RequestOptions): Promise<Response> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await once(method, path, options);
      } catch (error) {
        if (!(error instanceof ApiUnreachable) || attempt >= repetitions) throw error;
        await pause(200 * 2 ** attempt, undefined, { signal: options.cancel });
      }
    }
  };
  const json = async <Answer>(response: Response): Promise<Answer> => {
    try {
      return (await response.json()) as Answer;
    } catch (error) {
      throw new ApiUnreachable(exitCodes.failed, `the answer of the API at ${connection.url} broke off or is no JSON`, `is ${connection.foundBy} the address of a Fairlead API?`, error);
    }
  };
  const patient = { timeoutMs: 30_000 };
  const mutate = (method: string) => async <Answer>(path: string, options: RequestOptions = {}): Promise<Answer> =>
    json<Answer>(await repeated(method, path, { ...patient, ...options, headers: { 'idempotency-key': randomUUID(), ...options.headers } }));
  return {
    connection,
    get: async (path, options = {}) => json(await repeated('GET', path, { ...patient, ...options })),
    post: mutate('POST'),
    put: mutate('PUT'),
    delete: mutate('DELETE'),
    open: (path, options = {}) => once('GET', path, options),
  };
}

function unreachable(connection: Connection, error: unknown): ApiUnreachable {
  // fetch hides what the network said in the cause; read by shape, for it may come from another realm.
  const cause = ((error as { cause?: unknown } | null)?.cause ?? error) as { code?: unknown; name?: unknown; message?: unknown };
  const detail = cause.code === 'ECONNREFUSED' ? 'nothing listens there' : cause.name === 'TimeoutError' ? 'it did not answer in time' : typeof cause.code === 'string' ? cause.code : String(cause.message ?? cause);
  const local = /^https?:\/\/(127\.|localhost|\[::1\])/.test(connection.url);
  return new ApiUnreachable(
    exitCodes.failed,
    `the API at ${connection.url} cannot be reached: ${detail} (address from ${connection.foundBy})`,
    local ? 'start it: fairlead dev\nor name another one: --api URL --key-file FILE' : 'check the address and the network, or name another one: --api URL',
    error,
  );
}

async function refusal(connection: Connection, response: Response): Promise<CommandFailure> {
  const text = await response.text().catch(() => '');
  const problem = readProblem(text);
  const message = problem === null ? `the API at ${connection.url} answered ${response.status} ${response.statusText}: ${text.slice(0, 200)}` : `${problem.detail} (${problem.code})`;
  const exitCode = exitCodeOfStatus(response.status);
  const holding = problem?.holdingRunId === undefined ? null : `watch the run that holds the host: fairlead runs watch ${problem.holdingRunId}`;
  const hint = holding ?? problem?.hint ?? (exitCode === exitCodes.notAllowed ? 'check the key: fairlead keys list shows those that are valid' : null);
  // What stands in front of the API when it restarts; the request did not reach it, or found it unable or asked too often, and may be repeated.
  return response.status === 429 || response.status === 502 || response.status === 503 || response.status === 504 ? new ApiUnreachable(exitCode, message, hint) : new CommandFailure(exitCode, message, hint);
}

/** 400 is how the command was used; 404, 409, 412, 422 and 428 mean that nothing was touched. */
export function exitCodeOfStatus(status: number): number {
  if (status === 400) return exitCodes.usage;
  if (status === 401 || status === 403) return exitCodes.notAllowed;
  return status < 500 ? exitCodes.refused : exitCodes.failed;
}

type ReadProblem = Pick<Problem, 'code' | 'detail' | 'hint' | 'holdingRunId'>;

function readProblem(text: string): ReadProblem | null {
  try {
    const found = JSON.parse(text) as Partial<Problem>;
    if (typeof found.code !== 'string' || typeof found.detail !== 'string') return null;
    const errors = (found.errors ?? []).map(({ path, message }) => `\n  ${path}: ${message}`).join('');
    return { code: found.code, detail: `${found.detail}${errors}`, hint: found.hint ?? null, ...(found.holdingRunId === undefined ? {} : { holdingRunId: found.holdingRunId }) };
  } catch {
    return null;
  }
}
