import type { HostId, InstanceName, ProductName, ReleaseId, ServiceName } from '../ids.ts';

/** What every request about a service of a host says. The input of a run, so it must never hold a secret. */
interface ServiceTarget {
  readonly host: HostId;
  readonly product: ProductName;
  readonly service: ServiceName;
  /** The release that the host ran when it was asked: for the run's row. The run finds out itself what there is. */
  readonly releaseId: ReleaseId;
  /** Name and role of the key that asked. */
  readonly requestedBy: string;
  /** The same request asked twice (a retry after a lost answer) starts one run. */
  readonly requestId: string;
}

export interface RestartRequest extends ServiceTarget {
  readonly action: 'restart';
  /** Only these; left out, every instance of the service. */
  readonly instances?: readonly InstanceName[];
  /** Instead of the manifest's: how long an instance has to stay healthy before the next one is touched. Seconds. */
  readonly bakeSeconds?: number;
}

export interface ReloadRequest extends ServiceTarget {
  readonly action: 'reload';
  readonly instances?: readonly InstanceName[];
  readonly bakeSeconds?: number;
  /** Restarts what has no reload signal, does not run, or is not ready after its reload. Left out, such a one is refused, or fails. */
  readonly orRestart?: boolean;
}

export interface AddInstanceRequest extends ServiceTarget {
  readonly action: 'add-instance';
  /** Without the service's name: `c` for `api-c`. */
  readonly short: string;
  /** Left out, one above the highest port of the service. */
  readonly port?: number;
}

export interface RemoveInstanceRequest extends ServiceTarget {
  readonly action: 'remove-instance';
  readonly short: string;
}

export type ServiceRequest = RestartRequest | ReloadRequest | AddInstanceRequest | RemoveInstanceRequest;
export type ServiceAction = ServiceRequest['action'];

/** What a short name may look like: with its service in front it becomes a file name and the name of a unit. A trailing `-green` is the other colour's. */
export const shortNamePattern = /^[a-z0-9]([a-z0-9_-]{0,29}[a-z0-9])?$/;
