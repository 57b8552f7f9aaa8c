import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createLogger } from '../../adapters/logger.ts';
import { isMissing } from '../../adapters/files/durable.ts';
import { FairleadError, messagesOf } from '../../domain/failure.ts';
import { section, settingsOrThrow } from '../config.ts';
import { version } from '../version.ts';
import { startAgent, type AgentOptions } from './index.ts';

/** The agent as a process: settings from flags and environment, until SIGTERM or SIGINT. */
export async function runAgent(argv: readonly string[], hooks: Pick<AgentOptions, 'around' | 'wrap'> = {}): Promise<void> {
  try {
    const settings = settingsOrThrow({ FAIRLEAD_ROLE: 'node', ...process.env }, argv, readConfigFile);
    const host = section(settings, 'host');
    const logger = createLogger({ name: 'agent', level: host.logLevel });
    // The same program is the router when it is called so; from sources that is this entry point's own file as well.
    const self = process.argv[1] ?? fileURLToPath(import.meta.url);
    const agent = await startAgent({ settings: host, version, role: settings.role, logger, routerEntry: [process.execPath, self, 'router'], ...hooks });
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) return;
      stopping = true;
      logger.info({ signal }, 'stopping: letting activities end');
      agent.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          logger.error({ error: messagesOf(error).join(': ') }, 'did not stop cleanly');
          process.exit(1);
        },
      );
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  } catch (error) {
    const lines = messagesOf(error).join(': ');
    process.stderr.write(`fairlead agent: ${lines}\n${error instanceof FairleadError && error.reason.hint ? `  ${error.reason.hint}\n` : ''}`);
    process.exit(1);
  }
}

function readConfigFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
