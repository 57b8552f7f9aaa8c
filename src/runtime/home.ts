import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where the Fairlead that runs lies: a checkout, or a release of its own product. Found by what is there, because the same sources run from files, and
 * from one file that was built of them.
 */
export interface Home {
  readonly directory: string;
  readonly command: string;
  /** The agent's program: one built file where there is one. */
  readonly agentEntry: string;
}

/** Below a release's top. */
export const agentFile = 'lib/agent.mjs';
export const commandsFile = 'lib/fairlead.mjs';

/** @param from a file of Fairlead; without it, this one. Null where nothing of Fairlead lies around it: a copy of one built file alone. */
export function findHome(from = fileURLToPath(import.meta.url)): Home | null {
  for (let directory = dirname(from), up = 0; up < 3; directory = dirname(directory), up += 1) {
    const command = join(directory, 'bin/fairlead');
    if (!existsSync(command)) continue;
    const entries = [agentFile, 'dist/agent.mjs', 'workers/host.ts'].map((path) => join(directory, path));
    return { directory, command, agentEntry: entries.find((path) => existsSync(path)) ?? entries.at(-1)! };
  }
  return null;
}

/**
 * The same place by a name that outlives an update: a release that `current` points at is named by `current`. For what is written down, such as the
 * command of a unit.
 */
export function lastingHome(home: Home): Home {
  const current = join(dirname(dirname(home.directory)), 'current');
  if (basename(dirname(home.directory)) !== 'releases' || !existsSync(current) || realpathSync(current) !== realpathSync(home.directory)) return home;
  const move = (path: string): string => join(current, path.slice(home.directory.length));
  return { directory: current, command: move(home.command), agentEntry: move(home.agentEntry) };
}

/**
 * The release of Fairlead that this code is: read from the manifest that lies with it and not from the environment, so that an answer proves which code runs
 * and not which one was meant to. Null where it runs from a checkout.
 */
export function ownReleaseId(home = findHome()): string | null {
  const file = home === null ? null : join(home.directory, 'fairlead.yaml');
  if (file === null || !existsSync(file)) return null;
  const text = readFileSync(file, 'utf8');
  return /^product:\s*fairlead\s*$/m.test(text) ? (/^releaseId:\s*["']?([^"'\s#]+)/m.exec(text)?.[1] ?? null) : null;
}
