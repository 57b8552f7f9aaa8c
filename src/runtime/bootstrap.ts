import { messagesOf } from '../domain/failure.ts';

/** One thing that is started and, in the reverse order, stopped again. */
export interface Part {
  readonly name: string;
  /** Starts it, and gives how to stop it; null where there is nothing to stop. */
  readonly start: () => Promise<(() => Promise<void>) | null>;
}

export interface Started {
  /** Stops every part, the last started first. One that cannot be stopped does not keep the others from it; the first such error is thrown at the end. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the parts one after the other, each only when the one before it is up. Where one fails, those before it are stopped again in reverse
 * and its error is thrown: a process never half runs.
 */
export async function bootstrap(parts: readonly Part[], say: (fields: { readonly part: string; readonly error?: string }, message: string) => void): Promise<Started> {
  const stops: { readonly name: string; readonly stop: () => Promise<void> }[] = [];
  let stopping: Promise<void> | null = null;

  async function stopAll(): Promise<void> {
    const errors: unknown[] = [];
    for (const { name, stop } of stops.reverse()) {
      try {
        await stop();
      } catch (error) {
        errors.push(error);
        say({ part: name, error: messagesOf(error).join(': ') }, 'did not stop cleanly');
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  for (const { name, start } of parts) {
    try {
      const stop = await start();
      if (stop) stops.push({ name, stop });
    } catch (error) {
      // What matters to whoever reads it is why the start failed, not what went wrong while it was taken back.
      await stopAll().catch(() => undefined);
      throw error;
    }
  }
  return { stop: () => (stopping ??= stopAll()) };
}
