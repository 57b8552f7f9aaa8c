import type { InstanceName, ReleaseId, RunId } from '../domain/ids.ts';
import type { DeadManOrder } from '../domain/recovery/dead-man.ts';

export interface SuccessorOrder {
  readonly runId: RunId;
  readonly direction: 'do' | 'undo' | 'recover';
  readonly instance: InstanceName;
  readonly releaseId: ReleaseId;
  /** POSIX `sh` lines that end the instance and start it on `releaseId`. */
  readonly lines: readonly string[];
}

/**
 * What an agent needs to replace itself: somebody who lives on when it ends. Both helpers are processes outside of the agent's session and control group, with
 * nothing of its environment. Everything here is about Fairlead as a product.
 */
export interface Handover {
  /** Whether this process is the one that runs here. */
  isSelf(pid: number | null): boolean;
  /** Idempotent: has the instance, which is this process, replaced in a moment, by a helper. One that is at work for the same order is left alone. */
  begin(order: SuccessorOrder): Promise<void>;
  /**
   * Idempotent. Durable when it resolves, with somebody who watches. A dead-man of the run that is there gets the new order and deadline.
   * @param seconds until the run's next command may be due; the host's slack for a run that was away comes on top
   */
  arm(order: DeadManOrder, seconds: number): Promise<void>;
  /** Puts off the deadline of a run's dead-man, where one is armed: it has as many seconds as it was armed with anew. */
  putOff(runId: RunId): Promise<void>;
  /** Whether a dead-man is armed: then he decides what becomes of the host while no run is heard of. */
  isArmed(): Promise<boolean>;
  /** Whether the run's dead-man has taken the host back, or is about to. */
  hasActed(runId: RunId): Promise<boolean>;
  /** Whether it is just taking the host back: then its instances are its own. One that was killed at it does nothing more. */
  isActing(runId: RunId): Promise<boolean>;
  /** Idempotent. @returns `acted` where it was too late: the host is being taken back */
  disarm(runId: RunId): Promise<'disarmed' | 'acted'>;
  /** Idempotent. Disarms every dead-man, and takes away what runs have left. */
  forget(): Promise<void>;
  /** The last lines of what a dead-man said when it acted. */
  said(runId: RunId): Promise<readonly string[]>;
  /** After a start of the agent: whoever is armed is watched again, and after a reboot its seconds count anew. */
  resume(): Promise<void>;
}
