import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';
import { hideSecrets } from '../domain/secret-text.ts';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** The process, as it stands in every line: `api`, `control`, `agent`. */
  readonly name: string;
  /** The host that it stands on; in every line of an agent. */
  readonly host?: string;
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where lines go; standard output where it is left out. */
  readonly destination?: DestinationStream;
  /** Takes secrets out that this process knows; left out: only what looks like one is. */
  readonly hide?: (text: string) => string;
}

const secretNames = ['authorization', 'cookie', 'password', 'secret', 'token', 'taskToken', 'apiKey', 'privateKey', 'key', 'keyText', 'databaseUrl'];

/**
 * A logger of JSON lines. Secrets are taken out here, where every line passes: by the name of the field, at any of the depths that are
 * logged, by their look, wherever they stand (`hideSecrets`), and those that the process knows. Errors are written with every cause.
 */
export function createLogger({ name, host, level, destination, hide = (text) => text }: LoggerOptions): Logger {
  return pino(
    {
      name,
      level,
      base: { name, pid: process.pid, ...(host === undefined ? {} : { host }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((field) => ['', '*.', '*.*.', '*.*.*.'].map((depth) => depth + field)), censor: '[redacted]' },
      serializers: { err: describeError, error: describeError, cause: describeError },
      hooks: { streamWrite: (line) => hideSecrets(hide(line)) },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

interface DescribedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: DescribedError;
  readonly errors?: readonly DescribedError[];
}

/** An error as data, with every cause. Errors are told by their shape: they may come from another realm. */
export function describeError(error: unknown, depth = 0): DescribedError {
  if (typeof error !== 'object' || error === null || !('message' in error)) return { type: typeof error, message: String(error) };
  const { name, message, stack, cause, errors, code, reason } = error as { name?: string; message: unknown; stack?: string; cause?: unknown; errors?: unknown; code?: unknown; reason?: { code?: string } };
  const stable = reason?.code ?? (typeof code === 'string' ? code : undefined);
  return {
    type: name ?? 'Error',
    message: String(message),
    ...(stable === undefined ? {} : { code: stable }),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined || depth >= 10 ? {} : { cause: describeError(cause, depth + 1) }),
    ...(Array.isArray(errors) && depth < 10 ? { errors: errors.slice(0, 10).map((each) => describeError(each, depth + 1)) } : {}),
  };
}
