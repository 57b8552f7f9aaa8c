import type { HostState } from '../domain/host/state.ts';
import type { ProductName, RunId } from '../domain/ids.ts';

/** Backups of one host, one directory per run. */
export interface BackupStore {
  /** Where the backup of a run lies, whether it exists or not. */
  path(product: ProductName, runId: RunId): string;
  isComplete(product: ProductName, runId: RunId): Promise<boolean>;
  /**
   * Copies configuration, router files, host state and `paths` (absolute), durably; `extra` may add files of its own to the directory that
   * it is given (a database dump). The mark of completeness is written last. Idempotent: a complete backup of the same run is left alone.
   */
  take(product: ProductName, runId: RunId, paths: readonly string[], extra: (directory: string) => Promise<void>): Promise<{ readonly path: string; readonly bytes: number }>;
  /** The host's state as it was when the backup was taken; null where there was none. */
  readState(product: ProductName, runId: RunId): Promise<HostState | null>;
  /** Puts the copied `paths` back where they were. Idempotent. */
  restorePaths(product: ProductName, runId: RunId): Promise<void>;
  /** Puts configuration files back. Idempotent. */
  restoreConfiguration(product: ProductName, runId: RunId): Promise<void>;
  list(product: ProductName): Promise<{ readonly runId: RunId; readonly takenAt: string }[]>;
  remove(product: ProductName, runId: RunId): Promise<void>;
}
