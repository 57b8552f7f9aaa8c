import type { CommandRunner } from '../../../ports/command-runner.ts';
import { parseComposeVersion } from './parse.ts';

export interface LocatedCompose {
  /** The words that run it. */
  readonly command: readonly string[];
  readonly version: string;
}

const candidates = [['docker', 'compose'], ['docker-compose']] as const;

/** Compose as it is installed here: the plugin of `docker`, else the program `docker-compose`. Null where there is neither. Asks no daemon. */
export async function locateCompose(commands: CommandRunner, env: Readonly<Record<string, string>> = {}): Promise<LocatedCompose | null> {
  for (const command of candidates) {
    const { exitCode, stdout } = await commands.run([...command, 'version'], { timeoutMs: 20_000, env });
    const version = exitCode === 0 ? parseComposeVersion(stdout) : null;
    if (version !== null) return { command, version };
  }
  return null;
}
