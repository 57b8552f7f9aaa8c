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
  /** Null: the admitted members of a service share its requests evenly. */
  readonly split: TrafficSplit | null;
}

/**
 * While a release is tried on a part of the traffic: `percent` of the requests of each service go to its members in `to`, the rest to its other
 * admitted members. A service without members on both sides is not split.
 */
export interface TrafficSplit {
  readonly to: readonly InstanceName[];
  /** 0 to 100. */
  readonly percent: number;
}

/** What the router saw of the requests of one instance. */
export interface TrafficFigures {
  readonly service: ServiceName;
  readonly instance: InstanceName;
  readonly requests: number;
  /** Answers with status 500 to 599, and requests that got none. */
  readonly errors: number;
  /** Time until the answer was complete, in milliseconds; null without requests. WebSockets and other upgraded connections do not count. */
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
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
  /**
   * What went through since `since`, for each instance that is known; null where it cannot be told (the router was away, its log is gone): that is
   * no data, which is neither good nor bad.
   */
  traffic(product: ProductName, since: Date): Promise<readonly TrafficFigures[] | null>;
  /** Idempotent. Ends the router and what it started; in-flight requests get `graceSeconds`. */
  stop(product: ProductName, graceSeconds: number): Promise<void>;
  /** POSIX `sh` lines that put `state` in force with nothing but a shell, for the recovery script. */
  recoveryCommands(state: RouterState): string[];
}
