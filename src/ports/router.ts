import type { RouterWorker } from '../domain/certificate/served.ts';
import type { InstanceName, ProductName, ServiceName } from '../domain/ids.ts';
import type { CertificateDeclaration, RouterDeclaration } from '../domain/product/manifest.ts';

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
  /** Left out or null: plain HTTP only. */
  readonly tls?: RouterTls | null;
  /** Whether challenges of certificate authorities are answered on the plain port, from `challengeRoot`. Left out: they are requests like any other. */
  readonly challenges?: boolean;
}

/** How the router ends TLS. The pair is read at a start and at a reload. */
export interface RouterTls extends Pick<CertificateDeclaration, 'names' | 'ports' | 'redirect' | 'hsts'> {
  /** Holds `fullchain.pem` and `key.pem`; a symlink that a renewal switches, so that the configuration stays the same. */
  readonly directory: string;
}

/** What a reload has changed. */
export interface RouterReload {
  /** The workers that accepted before it; empty where the router has none of its own. */
  readonly workersBefore: readonly RouterWorker[];
}

/**
 * While a release is tried on a part of the traffic: `percent` of the requests of each service go to its members in `to`, the rest to its other
 * admitted members; inside of a side they go evenly. A service without admitted members on both sides is not split. A side answers for itself: what
 * its members cannot answer does not go to the other one. Of the requests of a service in a row, a side gets its share within one request in a
 * hundred. A change of the percentage touches no connection of a client.
 */
export interface TrafficSplit {
  readonly to: readonly InstanceName[];
  /** 0 to 100. Rounded to a whole number, but what lies between 0 and 100 stays between them. */
  readonly percent: number;
}

/**
 * What the router saw of the requests of one instance. A request counts when it has ended. One that was passed on to a second instance, because the
 * first one could not be reached or gave no answer, counts at both: the first one has failed. WebSockets and other upgraded connections do not count.
 */
export interface TrafficFigures {
  readonly service: ServiceName;
  readonly instance: InstanceName;
  readonly requests: number;
  /** Answers with status 500 to 599, and requests that got none. A client that left before its answer is no error. */
  readonly errors: number;
  /**
   * Time from when the instance could have the whole request (an upload's own time is its client's) until the answer was complete, or its client left,
   * in milliseconds, within 2 %. Errors do not count. What takes longer than 10 seconds (long polls, event streams, large downloads) does not count either,
   * unless more than half of an instance's requests do. Null where nothing counts.
   */
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
  /** Idempotent, and touches nothing that serves. Whether the configuration of the state, with the pair that it leads to now, could be loaded. @throws why not */
  test(state: RouterState): Promise<void>;
  /**
   * Has the router read its certificates anew, and resolves once new workers have taken over: the old ones accept no connection any more and end what is under way.
   * @throws `reload_did_nothing` with the router's own words; then what served before still does
   */
  reload(product: ProductName): Promise<RouterReload>;
  /** The processes that accept connections or end what is under way; null where the router has no workers that could be told apart. */
  workers(product: ProductName): Promise<readonly RouterWorker[] | null>;
  /** Makes the folder below which `.well-known/acme-challenge/<token>` is answered, and tells where it is. The files have to be readable for everybody. */
  challengeRoot(product: ProductName): Promise<string>;
  /** Requests of clients that `instance` still works on, or null where it cannot be told. Connections that idle do not count. */
  inFlight(product: ProductName, instance: InstanceName): Promise<number | null>;
  /**
   * What went through since `since`, for each instance that is known; null where it cannot be told (the router was away or started later, its log is
   * gone): that is no data, which is neither good nor bad. An nginx keeps its log while somebody looks: from an `apply` or a look on for a quarter of an
   * hour, so that after a longer pause the answer is null. Where very much went through, a window of long ago begins up to 100 seconds earlier.
   */
  traffic(product: ProductName, since: Date): Promise<readonly TrafficFigures[] | null>;
  /** Idempotent. Ends the router and what it started; in-flight requests get `graceSeconds`. */
  stop(product: ProductName, graceSeconds: number): Promise<void>;
  /** POSIX `sh` lines that put `state` in force with nothing but a shell, for the recovery script. */
  recoveryCommands(state: RouterState): string[];
}
