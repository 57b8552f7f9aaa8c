import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../adapters/logger.ts';
import { messagesOf } from '../domain/failure.ts';

/** Tries until it works: at a start after a power cut nobody can say which of the parts is up first. Said once, and again every minute. */
export async function untilAvailable<T>(what: string, logger: Logger, attempt: () => Promise<T>): Promise<T> {
  let saidAt = 0;
  for (let waitMs = 200; ; waitMs = Math.min(5_000, waitMs * 2)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isRetryable(error)) throw error;
      if (Date.now() - saidAt > 60_000) {
        saidAt = Date.now();
        logger.warn({ waitingFor: what, error: messagesOf(error).join(': ') }, 'waiting for a dependency');
      }
      await sleep(waitMs);
    }
  }
}

/** A wrong password does not become right by waiting; a server that is away may come back. */
function isRetryable(error: unknown): boolean {
  const retryable = (error as { retryable?: unknown } | null)?.retryable;
  return typeof retryable === 'boolean' ? retryable : true;
}
