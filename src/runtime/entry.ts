import { readFileSync } from 'node:fs';
import type { Logger } from '../adapters/logger.ts';
import { isMissing } from '../adapters/files/durable.ts';
import { FairleadError, messagesOf } from '../domain/failure.ts';
import type { Role } from '../domain/product/manifest.ts';
import { settingsOrThrow, type Settings } from './config.ts';

/** sysexits.h: the command was not used as it has to be. A supervisor that starts it again will see the same. */
const usageExitCode = 64;

/**
 * What every entry point does: read the settings, run, and say in one place why it could not. Exits with 64 where the settings are not valid, else with 1.
 *
 * @param role the one that this program is: where the settings say another, it refuses to start.
 */
export async function enter(name: string, argv: readonly string[], role: Role, run: (settings: Settings) => Promise<void>): Promise<void> {
  try {
    await run(settingsOrThrow(process.env, argv, readConfigFile, role));
  } catch (error) {
    const hint = error instanceof FairleadError && error.reason.hint ? `  ${error.reason.hint}\n` : '';
    process.stderr.write(`fairlead ${name}: ${messagesOf(error).join(': ')}\n${hint}`);
    process.exit(error instanceof FairleadError && (error.reason.code === 'config_invalid') ? usageExitCode : 1);
  }
}

/** Calls `stop` once, at the first SIGTERM or SIGINT, and ends the process when it is done. */
export function stopOnSignal(logger: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  const once = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping: what is under way may end');
    stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', once);
  process.on('SIGINT', once);
}

function readConfigFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
