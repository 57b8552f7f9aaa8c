import { setTimeout as sleep } from 'node:timers/promises';

/** Waits, or throws the abort's reason as soon as `cancel` fires. */
export async function pause(milliseconds: number, cancel: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal: cancel });
  } catch (error) {
    cancel.throwIfAborted();
    throw error;
  }
}
