import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { FairleadError } from '../../domain/failure.ts';
import { ensureDirectory, exists, readIfThere, writeFileDurably } from '../files/durable.ts';
import { databaseAccount } from './account.ts';
import type { Account } from './account.ts';
import { findBinaries } from './binaries.ts';
import { runToEnd } from './run.ts';

export interface EmbeddedPostgres {
  /** The server's process: PostgreSQL in the foreground. SIGINT ends it fast and cleanly. */
  readonly command: readonly string[];
  readonly account: Account | null;
  readonly env: Readonly<Record<string, string>>;
  readonly dataDir: string;
  /** For `pg`; holds the password. */
  readonly url: string;
}

export interface EmbeddedPostgresOptions {
  /** Where the cluster should lie. */
  readonly directory: string;
  /** Names the cluster among those that had to be put elsewhere, because `directory` cannot be reached by the database's user. */
  readonly id: string;
  /** Where else clusters and binaries may lie, best first. */
  readonly sharedDirectories: readonly string[];
  /** 0600; made with a new password where it does not exist. */
  readonly passwordFile: string;
  readonly port: number;
  readonly say: (line: string) => void;
}

const superuser = 'fairlead';
const database = 'fairlead';

/**
 * Gets a cluster ready to be started: finds or copies the binaries, finds a place that the database's user can reach, and runs initdb where
 * no whole cluster is. Idempotent; a cluster that initdb did not finish is made anew.
 */
export async function prepareEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = await databaseAccount(options.say);
  const binaries = await findBinaries(account, options.sharedDirectories, options.say);
  const password = (await readIfThere(options.passwordFile))?.trim() ?? randomBytes(24).toString('base64url');
  await writeFileDurably(options.passwordFile, `${password}\n`, 0o600);
  const dataDir = await reachablePlace(options, account);
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', LC_MESSAGES: 'C', TZ: 'UTC' };
  if (!(await exists(completeMark(dataDir)))) await initialise(binaries.initdb, dataDir, account, password, env);
  const settings = {
    listen_addresses: '127.0.0.1',
    // A socket file would have to lie in a directory that both users reach, and nothing needs it.
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: '64MB',
    log_min_messages: 'warning',
  };
  return {
    command: [binaries.postgres, '-D', dataDir, '-p', String(options.port), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    account,
    env,
    dataDir,
    url: `postgres://${superuser}:${encodeURIComponent(password)}@127.0.0.1:${options.port}/${database}`,
  };
}

/** Asks once whether the server takes connections. @returns null, or what it answered instead. */
export async function whatPostgresLacks(url: string, timeoutMs: number): Promise<string | null> {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  const client = new pg.Client({ connectionString: admin.toString(), connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Makes the database that `url` names where there is none. */
export async function ensureDatabase(url: string): Promise<void> {
  const admin = new URL(url);
  const name = admin.pathname.slice(1);
  admin.pathname = '/postgres';
  const client = new pg.Client({ connectionString: admin.toString() });
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

/** `directory`, or where the database's user cannot get there, a place of the same id that it can reach. */
async function reachablePlace(options: EmbeddedPostgresOptions, account: Account | null): Promise<string> {
  const candidates = [options.directory, ...options.sharedDirectories.map((shared) => join(shared, `cluster-${options.id}`))];
  const tried: string[] = [];
  for (const directory of account === null ? [options.directory] : candidates) {
    await ensureDirectory(dirname(directory), 0o755);
    await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    if (account === null) return directory;
    await fs.chown(directory, account.uid, account.gid);
    const { code, output } = await runToEnd(['/bin/sh', '-c', 'cd "$1" && test -w .', 'sh', directory], account);
    if (code === 0) {
      if (directory !== options.directory) {
        options.say(`the user ${account.name} cannot reach ${options.directory}: the database lies in ${directory}`);
        await fs.rm(options.directory, { recursive: true, force: true });
      }
      return directory;
    }
    tried.push(`${directory}: ${output.trim()}`);
  }
  throw new FairleadError({
    class: 'host',
    code: 'embedded_postgres_unreachable',
    message: `the user ${account?.name}, as whom PostgreSQL runs since root may not, cannot reach a directory for its data: ${tried.join('; ')}`,
    hint: 'give --dir a directory that every user may enter (below /srv or /var/tmp), start fairlead as a user who is not root, or set FAIRLEAD_DATABASE_URL to a PostgreSQL of your own',
  });
}

async function initialise(initdb: string, dataDir: string, account: Account | null, password: string, env: Readonly<Record<string, string>>): Promise<void> {
  // What is there without the mark is what a killed initdb left: it refuses to work over it.
  for (const name of await fs.readdir(dataDir)) await fs.rm(join(dataDir, name), { recursive: true, force: true });
  // initdb reads the password as the database's user, who reaches this directory, since it reaches the one in it.
  const passwordFile = join(dirname(dataDir), `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await fs.writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
    if (account !== null) await fs.chown(passwordFile, account.uid, account.gid);
    const argv = [initdb, `--pgdata=${dataDir}`, `--username=${superuser}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C', '--no-instructions'];
    const { code, output } = await runToEnd(argv, account, env);
    if (code !== 0) throw new FairleadError({ class: 'host', code: 'embedded_postgres_initdb', message: `initdb could not make a database in ${dataDir} (ended with ${code ?? 'a signal'}): ${output.trim()}` });
  } finally {
    await fs.rm(passwordFile, { force: true });
  }
  await writeFileDurably(completeMark(dataDir), '', 0o600);
}

/** Beside the cluster, because PostgreSQL wants its directory to itself. */
const completeMark = (dataDir: string): string => `${dataDir}.complete`;
