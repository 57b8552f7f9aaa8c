import type { InstanceName, ProductName, RunId } from '../domain/ids.ts';

/** What an activity needs of the host beside its stores: configuration files, free ports, free space. */
export interface HostFiles {
  /** The assignments of an instance's conf file; null where there is none. */
  readInstanceConfig(product: ProductName, instance: InstanceName): Promise<Record<string, string> | null>;
  /** Durable, 0600. */
  writeInstanceConfig(product: ProductName, instance: InstanceName, values: Readonly<Record<string, string>>): Promise<void>;
  /** The assignments of `.env.production`, and a durable copy of the file for `restoreEnvironment`, made once for a run. Empty where there is none. */
  keepEnvironment(product: ProductName, runId: RunId): Promise<Record<string, string>>;
  /** Durable, 0600. */
  writeEnvironment(product: ProductName, values: Readonly<Record<string, string>>): Promise<void>;
  /** Puts `.env.production` back as `keepEnvironment` found it for this run; nothing where it was not asked. Idempotent. */
  restoreEnvironment(product: ProductName, runId: RunId): Promise<void>;
  /** Removes the copy that `keepEnvironment` made. Idempotent. */
  forgetEnvironment(product: ProductName, runId: RunId): Promise<void>;
  removeInstanceConfig(product: ProductName, instance: InstanceName): Promise<void>;
  /** Renames an instance's conf file to `<instance>.conf.removed`, over one that lies there: what people wrote into it is not lost. Durable, idempotent. */
  setAsideInstanceConfig(product: ProductName, instance: InstanceName): Promise<void>;
  /** Whether something could listen on the loopback TCP port now. */
  isFreePort(port: number): Promise<boolean>;
  /** A loopback TCP port that nothing listens on now, and that this call has not given away before. */
  freePort(): Promise<number>;
  /** Puts a challenge up below `root` (`.well-known/acme-challenge/<token>`) while `work` runs, readable for everybody; `path` is where it is asked for. */
  withChallenge(root: string, work: (challenge: { readonly path: string; readonly text: string }) => Promise<void>): Promise<void>;
  freeBytes(product: ProductName): Promise<number>;
  /** Downloads that are not `keep`; removes them. */
  pruneDownloads(product: ProductName, keep: readonly string[]): Promise<void>;
  /** Makes the folders that the product's state and logs need. */
  prepareFolders(product: ProductName): Promise<void>;
}
