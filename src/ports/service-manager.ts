import type { InstanceName, ProductName, ReleaseId } from '../domain/ids.ts';
import type { Evidence } from '../domain/failure.ts';

/** Everything that a manager needs to run one instance on one release. */
export interface InstanceSpec {
  readonly product: ProductName;
  readonly instance: InstanceName;
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
  readonly stopSignal: 'SIGTERM' | 'SIGINT' | 'SIGQUIT';
  readonly stopSeconds: number;
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
  readonly kind: 'embedded' | 'systemd' | 'openrc' | 'compose';
  /** Idempotent: an instance that already runs `spec.releaseId` is left alone. Resolves when the process was started; health is the probe's question. */
  start(spec: InstanceSpec): Promise<'started' | 'already_running'>;
  /** Idempotent. Sends the stop signal, waits `stopSeconds`, then kills. Resolves when no process of the instance is left. */
  stop(spec: Pick<InstanceSpec, 'product' | 'instance' | 'stopSignal' | 'stopSeconds'>, cancel?: AbortSignal): Promise<'stopped' | 'killed' | 'not_running'>;
  status(product: ProductName, instance: InstanceName): Promise<InstanceStatus>;
  /** The last `lines` lines of the instance's log and its unit's state, as evidence. Never throws: what cannot be had is said in the evidence. */
  evidence(product: ProductName, instance: InstanceName, lines: number): Promise<Evidence[]>;
  /** POSIX `sh` lines that stop and start the instance with nothing but a shell, for the recovery script. */
  recoveryCommands(spec: InstanceSpec): string[];
  /** POSIX `sh` lines that stop the instance, however it was started. */
  stopCommands(spec: InstanceSpec): string[];
}
