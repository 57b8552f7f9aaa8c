import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { installWithGo, toolsDirectory, type Say } from './toolchain.ts';

/** The ACME server that tests issue certificates with. Debian's package is older and knows no renewal information. */
export const pebbleVersion = '2.10.1';

export interface PebblePrograms {
  readonly pebble: string;
  readonly challengeServer: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What is in the cache; null where one of the two is missing. */
export async function findPebble(env: Environment): Promise<PebblePrograms | null> {
  const directory = directoryOf(env);
  const programs = { pebble: join(directory, 'pebble'), challengeServer: join(directory, 'pebble-challtestsrv') };
  const there = await Promise.all(Object.values(programs).map((path) => access(path, constants.X_OK).then(() => true, () => false)));
  return there.every(Boolean) ? programs : null;
}

/** Builds pebble with its challenge server where they are not in the cache. @returns null where that does not work; it is said why */
export async function ensurePebble(env: Environment, say: Say): Promise<PebblePrograms | null> {
  const found = await findPebble(env);
  if (found !== null) return found;
  const directory = directoryOf(env);
  await mkdir(directory, { recursive: true });
  say(`building pebble ${pebbleVersion}, the ACME server of the tests, with Go (up to a minute, once) …`);
  const module = 'github.com/letsencrypt/pebble/v2/cmd';
  const problem = await installWithGo([`${module}/pebble@v${pebbleVersion}`, `${module}/pebble-challtestsrv@v${pebbleVersion}`], directory, env);
  if (problem !== null) say(`  did not work: ${problem}; tests that need it are skipped`);
  return findPebble(env);
}

const directoryOf = (env: Environment): string => join(toolsDirectory(env), `pebble-${pebbleVersion}`);
