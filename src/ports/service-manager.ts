import type { ServiceManagerKind } from '../domain/host/state.ts';
import type { InstanceName, ProductName, ReleaseId, ServiceName } from '../domain/ids.ts';
import type { Evidence } from '../domain/failure.ts';

/** Which instance is meant. Its name is `<service>-<short>`: a manager with templated units calls it `<product>-<service>@<short>`. */
export interface InstanceRef {
  readonly product: ProductName;
  readonly service: ServiceName;
  readonly instance: InstanceName;
}

/** The instance's short name: `a` of `api-a`. */
export const shortNameOf = ({ service, instance }: Pick<InstanceRef, 'service' | 'instance'>): string => instance.slice(service.length + 1);

/** How an instance is told to end, and how long it may take. */
export interface StopSpec extends InstanceRef {
  readonly stopSignal: 'SIGTERM' | 'SIGINT' | 'SIGQUIT';
  readonly stopSeconds: number;
}

export type ReloadSignal = 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2';

/** Everything that a manager needs to run one instance on one release. */
export interface InstanceSpec extends StopSpec {
  readonly releaseId: ReleaseId;
  /** The release's directory; the working directory of the instance. */
  readonly releaseDir: string;
  /** argv, with placeholders already replaced. */
  readonly command: readonly string[];
  /** `/etc/<product>/<service>-<instance>.conf`; read when the instance starts. */
  readonly configFile: string;
  /** Environment beside the conf file; the conf file wins. */
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** The signal that has the running process read its configuration and code again without dropping a request; null where it has none. */
  readonly reloadSignal: ReloadSignal | null;
}

/** `unknown` means that the manager could not be asked. It is never folded into `inactive`. */
export type UnitStatus = 'active' | 'inactive' | 'failed' | 'starting' | 'draining' | 'unknown';

export interface InstanceStatus {
  readonly status: UnitStatus;
  /** The release that the running process was started from; null where none runs or it cannot be told. */
  readonly releaseId: ReleaseId | null;
  readonly pid: number | null;
  /** How the last process ended: `exit 1`, `SIGSEGV`; null where unknown or still running. */
  readonly lastExit: string | null;
}

/** The manager of a product's instances on a host. Instances outlive the agent. */
export interface ServiceManager {
  readonly kind: ServiceManagerKind;
  /** Idempotent: an instance that already runs `spec.releaseId` is left alone. Resolves when the process was started; health is the probe's question. */
  start(spec: InstanceSpec): Promise<'started' | 'already_running'>;
  /**
   * Idempotent. Sends the stop signal, waits `stopSeconds`, then kills. Resolves when no process of the instance is left.
   * @param cancel ends the wait, not the stopping: the instance goes on to end, and the next call finishes the work.
   */
  stop(spec: StopSpec, cancel?: AbortSignal): Promise<'stopped' | 'killed' | 'not_running'>;
  /** Sends `signal` to the instance's main process. The process stays the same, and no request is dropped; what it then serves is the probe's question. */
  reload(ref: InstanceRef, signal: ReloadSignal): Promise<'reloaded' | 'not_running'>;
  status(ref: InstanceRef): Promise<InstanceStatus>;
  /** The last `lines` lines of the instance's log and its unit's state, as evidence. Never throws: what cannot be had is said in the evidence. */
  evidence(ref: InstanceRef, lines: number): Promise<Evidence[]>;
  /** Idempotent. Takes away what the manager keeps of a stopped instance (its unit, its enablement); the conf file and the log stay. */
  forget(ref: InstanceRef): Promise<void>;
  /** POSIX `sh` lines that stop and start the instance with nothing but a shell, for the recovery script. */
  recoveryCommands(spec: InstanceSpec): string[];
  /** POSIX `sh` lines that stop the instance, however it was started. */
  stopCommands(spec: StopSpec): string[];
}
