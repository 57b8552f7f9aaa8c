import { createLogger } from '../adapters/logger.ts';
import { bootstrap } from './bootstrap.ts';
import { section } from './config.ts';
import { enter, stopOnSignal } from './entry.ts';
import { apiParts } from './kernel.ts';

/** The API as a process: settings from flags and environment, until SIGTERM or SIGINT. It keeps nothing of its own; any number of copies may run. */
export async function runApi(argv: readonly string[]): Promise<void> {
  await enter('api', argv, 'controller', async (settings) => {
    const own = section(settings, 'api');
    const logger = createLogger({ name: 'api', level: own.logLevel });
    const started = await bootstrap(await apiParts(own, logger), (fields, message) => logger.error(fields, message));
    stopOnSignal(logger, () => started.stop());
  });
}
