import { sql } from 'kysely';
import type { ControlStatistics } from '../../ports/control-statistics.ts';
import type { Database } from './database.ts';

export function createStatistics(database: Database): ControlStatistics {
  return {
    runsByOutcome: async () => {
      const rows = await database.query('counting runs', (db) =>
        db
          .selectFrom('runs')
          .select([sql<string>`coalesce(outcome, 'running')`.as('outcome'), sql<string>`count(*)`.as('count')])
          .groupBy('outcome')
          .execute(),
      );
      return Object.fromEntries(rows.map((row) => [row.outcome, Number(row.count)]));
    },
  };
}
