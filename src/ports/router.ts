import type { InstanceName, ProductName, ServiceName } from '../domain/ids.ts';
import type { RouterDeclaration } from '../domain/product/manifest.ts';

/** The router's whole configuration; applying the same one twice changes nothing. */
export interface RouterState {
  readonly product: ProductName;
  readonly declaration: RouterDeclaration;
  /** The port that clients use on this host. */
  readonly port: number;
  /** The release's directory, where the declared nginx include is read from. */
  readonly releaseDir: string;
  readonly members: readonly RouterMember[];
}

export interface RouterMember {
  readonly service: ServiceName;
  readonly instance: InstanceName;
  readonly port: number;
  /** Whether it gets requests. One that does not stays listed, so that the file says so. */
  readonly admitted: boolean;
}

/** What stands in front of the instances. Runs on its own: it outlives the agent. */
export interface Router {
  readonly kind: 'nginx' | 'embedded';
  /**
   * Idempotent. Writes, tests and loads the configuration, starts the router where it does not run, and resolves only once the new
   * configuration is proven to be the one that serves. On failure the old configuration is still served, and the error says what was wrong.
   */
  apply(state: RouterState): Promise<'applied' | 'unchanged'>;
  /** Requests of clients that `instance` still works on, or null where it cannot be told. Connections that idle do not count. */
  inFlight(product: ProductName, instance: InstanceName): Promise<number | null>;
  /** Idempotent. Ends the router and what it started; in-flight requests get `graceSeconds`. */
  stop(product: ProductName, graceSeconds: number): Promise<void>;
  /** POSIX `sh` lines that put `state` in force with nothing but a shell, for the recovery script. */
  recoveryCommands(state: RouterState): string[];
}
