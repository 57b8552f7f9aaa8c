import type { InstanceName, ProductName } from '../domain/ids.ts';

/** What an activity needs of the host beside its stores: configuration files, free ports, free space. */
export interface HostFiles {
  /** The assignments of an instance's conf file; null where there is none. */
  readInstanceConfig(product: ProductName, instance: InstanceName): Promise<Record<string, string> | null>;
  /** Durable, 0600. */
  writeInstanceConfig(product: ProductName, instance: InstanceName, values: Readonly<Record<string, string>>): Promise<void>;
  removeInstanceConfig(product: ProductName, instance: InstanceName): Promise<void>;
  /** A loopback TCP port that nothing listens on now, and that this call has not given away before. */
  freePort(): Promise<number>;
  freeBytes(product: ProductName): Promise<number>;
  /** Downloads that are not `keep`; removes them. */
  pruneDownloads(product: ProductName, keep: readonly string[]): Promise<void>;
  /** Makes the folders that the product's state and logs need. */
  prepareFolders(product: ProductName): Promise<void>;
}
