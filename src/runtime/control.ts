import { createLogger } from '../adapters/logger.ts';
import type { AroundActivity } from '../adapters/temporal/activity-poller.ts';
import { messagesOf } from '../domain/failure.ts';
import { bootstrap } from './bootstrap.ts';
import { startHealthServer } from './agent/health.ts';
import type { Part } from './bootstrap.ts';
import { section, type ControlSettings } from './config.ts';
import { ownReleaseId } from './home.ts';
import { version } from './version.ts';
import { enter, stopOnSignal } from './entry.ts';
import { controlParts } from './kernel.ts';

/** The control worker as a process: settings from flags and environment, until SIGTERM or SIGINT. */
export async function runControl(argv: readonly string[], hooks: { readonly around?: AroundActivity } = {}): Promise<void> {
  await enter('control', argv, 'controller', async (settings) => {
    const control = section(settings, 'control');
    const logger = createLogger({ name: 'control', level: control.logLevel });
    const failed = (error: unknown): void => {
      logger.error({ error: messagesOf(error).join(': ') }, 'the control worker has failed');
      process.exit(1);
    };
    const started = await bootstrap([...(await controlParts(control, logger, { ...hooks, failed })), healthPart(control)], (fields, message) => logger.error(fields, message));
    stopOnSignal(logger, () => started.stop());
  });
}

/** The last part: by then the worker polls, and it ends the process where it cannot go on. */
function healthPart({ healthListen }: ControlSettings): Part {
  return {
    name: 'health',
    start: async () => {
      if (healthListen === null) return null;
      const server = await startHealthServer(healthListen, () => ({ healthy: true, role: 'controller', part: 'control', version, releaseId: ownReleaseId() }));
      return async () => void server.close();
    },
  };
}
