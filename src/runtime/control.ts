import { createLogger } from '../adapters/logger.ts';
import type { AroundActivity } from '../adapters/temporal/activity-poller.ts';
import { messagesOf } from '../domain/failure.ts';
import { bootstrap } from './bootstrap.ts';
import { section } from './config.ts';
import { enter, stopOnSignal } from './entry.ts';
import { controlParts } from './kernel.ts';

/** The control worker as a process: settings from flags and environment, until SIGTERM or SIGINT. */
export async function runControl(argv: readonly string[], hooks: { readonly around?: AroundActivity } = {}): Promise<void> {
  await enter('control', argv, { FAIRLEAD_ROLE: 'controller' }, async (settings) => {
    const control = section(settings, 'control');
    const logger = createLogger({ name: 'control', level: control.logLevel });
    const failed = (error: unknown): void => {
      logger.error({ error: messagesOf(error).join(': ') }, 'the control worker has failed');
      process.exit(1);
    };
    const started = await bootstrap(controlParts(control, logger, { ...hooks, failed }), (fields, message) => logger.error(fields, message));
    stopOnSignal(logger, () => started.stop());
  });
}
