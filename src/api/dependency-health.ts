import { messagesOf } from '../domain/failure.ts';
import type { ApiDependencies } from './dependencies.ts';

export interface DependencyHealth {
  readonly name: 'postgres' | 'temporal';
  readonly healthy: boolean;
  /** What it answered, or why it did not, and where it was asked. */
  readonly detail: string;
  readonly latencyMs: number;
}

export interface ControlHealth {
  readonly dependencies: readonly DependencyHealth[];
  readonly controlWorkers: number | null;
}

const limitMs = 3_000;
/** Health is public: a crowd that asks must not become load on the database. */
const keptMs = 1_000;

/** Asks PostgreSQL and Temporal, at most once a second. Never throws. */
export function createHealthCheck({ database, runs }: Pick<ApiDependencies, 'database' | 'runs'>): () => Promise<ControlHealth> {
  let kept: { readonly at: number; readonly health: Promise<ControlHealth> } | undefined;
  return () => {
    if (kept === undefined || performance.now() - kept.at > keptMs) kept = { at: performance.now(), health: ask() };
    return kept.health;
  };

  async function ask(): Promise<ControlHealth> {
    let controlWorkers: number | null = null;
    const dependencies = await Promise.all([
      measured('postgres', async () => {
        await database.ping();
        return { healthy: true, detail: database.address };
      }),
      measured('temporal', async () => {
        const health = await runs.health();
        controlWorkers = health.controlWorkers;
        return { healthy: health.healthy, detail: `${health.address}: ${health.detail}` };
      }),
    ]);
    return { dependencies, controlWorkers };
  }
}

async function measured(name: DependencyHealth['name'], ask: () => Promise<{ healthy: boolean; detail: string }>): Promise<DependencyHealth> {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<{ healthy: boolean; detail: string }>((resolve) => {
    timer = setTimeout(() => resolve({ healthy: false, detail: `no answer within ${limitMs} ms` }), limitMs);
  });
  try {
    const answer = await Promise.race([ask().catch((error: unknown) => ({ healthy: false, detail: messagesOf(error).join(': ') })), limit]);
    return { name, ...answer, latencyMs: Math.round(performance.now() - startedAt) };
  } finally {
    clearTimeout(timer);
  }
}
