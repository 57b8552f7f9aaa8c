import { Kysely, PostgresDialect, sql } from 'kysely';
import type { Transaction } from 'kysely';
import pg from 'pg';
import { applicationRole } from './application-role.ts';
import { databaseError } from './errors.ts';
import type { Tables } from './tables.ts';

export interface DatabaseOptions {
  /** Connections at most. */
  readonly poolSize: number;
  /** How long to wait for a connection. Default 5000. */
  readonly connectTimeoutMs?: number;
  /** How long a statement may take. Default 30000. */
  readonly statementTimeoutMs?: number;
}

/** A pool of connections that recovers by itself: one that broke is thrown away, the next question opens another. */
export interface Database {
  /** Where it is, without the password. */
  readonly address: string;
  /** Runs `use` and turns what PostgreSQL says into FairleadErrors. @param what is being done, for the message: `reading run r1`. */
  query<Result>(what: string, use: (db: Kysely<Tables>) => Promise<Result>): Promise<Result>;
  /** As `query`, in one transaction. */
  transaction<Result>(what: string, use: (transaction: Transaction<Tables>) => Promise<Result>): Promise<Result>;
  /** A connection of its own as the database's owner, outside the pool, for migrations. */
  asOwner<Result>(what: string, use: (db: Kysely<Tables>) => Promise<Result>): Promise<Result>;
  /** Waits for what is under way. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens nothing yet: the first question connects. Call `migrate` before the first question.
 *
 * @param url `postgres://user:password@host:port/database`; `sslmode` and the other parameters of libpq that `pg` knows are taken.
 */
export function createDatabase(url: string, options: DatabaseOptions): Database {
  const config: pg.PoolConfig = {
    connectionString: url,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    // A server that vanished without a word (power, network) answers nothing at all: the statement's limit cannot end such a wait, this does.
    query_timeout: (options.statementTimeoutMs ?? 30_000) + 5_000,
    keepAlive: true,
    application_name: 'fairlead',
  };
  const address = addressOf(url);
  const pool = openPool({ ...config, max: options.poolSize, onConnect: assumeApplicationRole });
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  let closing: Promise<void> | undefined;

  const guarded = async <Result>(what: string, act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act();
    } catch (error) {
      throw databaseError(error, what, address);
    }
  };

  return {
    address,
    query: (what, use) => guarded(what, () => use(db)),
    transaction: (what, use) => guarded(what, () => db.transaction().execute(use)),
    asOwner: (what, use) =>
      guarded(what, async () => {
        const single = openPool({ ...config, max: 1, statement_timeout: 0, query_timeout: 0 });
        const owner = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: single }) });
        try {
          return await owner.connection().execute(use);
        } finally {
          await owner.destroy();
        }
      }),
    close: () => (closing ??= db.destroy()),
  };
}

/**
 * A connection that breaks emits `error` on itself while it is lent out, and on the pool while it idles; without listeners either would end
 * the process. Nobody needs to be told: the statement under way fails, and whoever asks next gets a new connection.
 */
function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config);
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** Gives up the owner's rights for the life of the connection, where the role was made and granted (docs/decisions/0004-audit-role.md). */
async function assumeApplicationRole(client: pg.ClientBase): Promise<void> {
  await client.query("select set_config('role', rolname, false) from pg_roles where rolname = $1 and pg_has_role(session_user, oid, 'member')", [applicationRole]);
}

/** The address without password and parameters, for messages. */
export function addressOf(url: string): string {
  try {
    const { protocol, username, hostname, port, pathname } = new URL(url);
    return `${protocol}//${username === '' ? '' : `${username}@`}${hostname}:${port === '' ? '5432' : port}${pathname}`;
  } catch {
    return 'an address that is no URL';
  }
}

/** Rows that stand for one thing under a name are changed by one transaction at a time. @param name of the lock, within this database. */
export async function lockInTransaction(transaction: Transaction<Tables>, name: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(transaction);
}
