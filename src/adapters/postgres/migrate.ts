import { sql } from 'kysely';
import { grantApplicationRole } from './application-role.ts';
import type { Database } from './database.ts';
import { migrations } from './migrations/index.ts';

export interface MigrationResult {
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[];
  /** Whether the process works without rights to change the audit. Where not, the triggers on it still refuse. */
  readonly roleSeparated: boolean;
}

/**
 * Brings the database to this version: forward only, each migration in its own transaction. Any number of processes may call it at once;
 * one works, the others wait and find nothing left. A database that a newer version migrated is left alone: migrations only ever add,
 * so that the version before still works on it.
 */
export async function migrate(database: Database): Promise<MigrationResult> {
  return database.asOwner('migrating the database', async (owner) => {
    // Held by the session: it ends with the connection, also when the process dies.
    await sql`select pg_advisory_lock(hashtextextended('fairlead.migrate', 0))`.execute(owner);
    const { rows } = await sql<{ begun: boolean }>`select to_regclass('fairlead_migrations') is not null as begun`.execute(owner);
    // Asked first, because a login without rights on the schema is not even allowed to create what exists.
    if (rows[0]?.begun !== true) {
      await owner.schema
        .createTable('fairlead_migrations')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('applied_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
        .execute();
    }
    const done = new Set((await owner.selectFrom('fairlead_migrations').select('name').execute()).map((row) => row.name));
    const applied: string[] = [];
    for (const migration of migrations.filter(({ name }) => !done.has(name))) {
      await owner.transaction().execute(async (transaction) => {
        await migration.up(transaction);
        await transaction.insertInto('fairlead_migrations').values({ name: migration.name }).execute();
      });
      applied.push(migration.name);
    }
    return { applied, roleSeparated: await grantApplicationRole(owner) };
  });
}
