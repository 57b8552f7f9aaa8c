import type { Finding } from '../domain/host/drift.ts';
import type { HealingTry } from '../domain/host/healing.ts';
import type { HostAct } from '../domain/host/state.ts';
import type { HostId, ProductName, RunId } from '../domain/ids.ts';

/** What was tried to put findings right, and what came of it. Times are the database's. */
export interface HealingStore {
  /**
   * Writes down a try for each finding, unless one of them was tried within `withinMs`: then null, and nothing is written. Of several API
   * processes that ask at once one gets it.
   */
  claim(host: HostId, product: ProductName, findings: readonly Pick<Finding, 'kind' | 'subject'>[], withinMs: number): Promise<string | null>;
  /** The run that a claim has led to. */
  started(claim: string, runId: RunId): Promise<void>;
  /** Nothing came of the claim, and it does not count: the orchestrator was away, or another run was at work. */
  withdraw(claim: string): Promise<void>;
  /** Nothing came of the claim, and it counts. */
  failed(claim: string, note: string): Promise<void>;
  /** What the agent did itself. Idempotent by the act's id. */
  noteAct(host: HostId, product: ProductName, act: HostAct): Promise<void>;
  /** Tries of the last `withinMs`, newest first, with the outcomes of their runs. */
  list(host: HostId, withinMs: number): Promise<readonly (HealingTry & { readonly product: ProductName })[]>;
}
