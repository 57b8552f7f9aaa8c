import type { HostState, Intent } from '../domain/host/state.ts';
import type { ProductName, RunId } from '../domain/ids.ts';
import type { RecoveryRecord } from '../domain/run/report.ts';

/** `host` where nothing is said. */
export type FenceLine = 'host' | 'issuing';

/** What a host remembers about one product. Every write is durable before it resolves. */
export interface HostStore {
  readState(product: ProductName): Promise<HostState | null>;
  writeState(state: HostState): Promise<void>;
  /** The way back of a first install: the product leaves no state. Idempotent. */
  removeState(product: ProductName): Promise<void>;
  readIntent(product: ProductName): Promise<Intent | null>;
  writeIntent(intent: Intent): Promise<void>;
  removeIntent(product: ProductName): Promise<void>;
  /**
   * The highest fencing token that a command of this product carried, and its run. @param line commands that get a certificate have a line of their own: they go on
   * beside runs that change the host, and neither makes the other's old
   */
  readFence(product: ProductName, line?: FenceLine): Promise<{ readonly fence: number; readonly runId: RunId } | null>;
  writeFence(product: ProductName, fence: number, runId: RunId, line?: FenceLine): Promise<void>;
  /** Writes both files of a recovery: the record as JSON and the POSIX `sh` script (0700). */
  writeRecovery(record: RecoveryRecord, script: string): Promise<{ readonly record: string; readonly script: string }>;
  readRecovery(product: ProductName, runId: RunId): Promise<RecoveryRecord | null>;
  removeRecovery(product: ProductName, runId: RunId): Promise<void>;
  /** Runs that `fairlead recover` or the script ended here, and that control has not heard of yet. */
  readRecovered(product: ProductName): Promise<{ readonly runId: RunId; readonly at: string; readonly detail: Readonly<Record<string, unknown>> }[]>;
  writeRecovered(product: ProductName, runId: RunId, at: string, detail: Readonly<Record<string, unknown>>): Promise<void>;
  forgetRecovered(product: ProductName, runId: RunId): Promise<void>;
  /** Products that have a state, an intent or a recovery on this host. */
  products(): Promise<ProductName[]>;
}
