import type { RunId } from '../domain/ids.ts';
import type { RunProgress, RunReport } from '../domain/run/report.ts';
import type { HostId, ProductName } from '../domain/ids.ts';
import type { CertificateRunRequest } from '../domain/certificate/wish.ts';
import type { PromotionRequest } from '../domain/promotion/request.ts';
import type { ServiceInspection } from '../domain/service/inspection.ts';
import type { RestartRequest, ServiceRequest } from '../domain/service/request.ts';
import type { UpdateRequest } from '../domain/update/request.ts';

/** An activity of a run that is not done: what `why does it not move` is answered from. */
export interface PendingActivity {
  readonly activity: string;
  /** Counts from 1. */
  readonly attempt: number;
  readonly lastError: string | null;
  readonly nextAttemptAt: string | null;
}

export interface OrchestratorHealth {
  readonly healthy: boolean;
  /** Where it was asked, without credentials. */
  readonly address: string;
  /** What it answered, or why it did not. */
  readonly detail: string;
  /** Workers that poll the control queue; null where that cannot be told. None means that runs are accepted and wait. */
  readonly controlWorkers: number | null;
}

/** What starts and watches runs. All methods fail with class `dependency`, code `orchestrator_unavailable`, where it cannot be reached. */
export interface RunStarter {
  /**
   * Starts a run, or gives the one that the same `requestId` started. Where the host's workflow id is held by another run:
   * FairleadError of class `request`, code `run_in_progress`, whose message names the run that holds it (`runHeldBy` reads it).
   */
  startUpdate(input: UpdateRequest): Promise<{ readonly runId: RunId; readonly workflowId: string }>;
  /** The same for a promotion, which takes the same place: one run at a time changes a product on a host. */
  startPromotion(input: PromotionRequest): Promise<{ readonly runId: RunId; readonly workflowId: string }>;
  /** The same for what changes a service at once: a reload, an instance added or removed. */
  startServiceChange(input: Exclude<ServiceRequest, RestartRequest>): Promise<{ readonly runId: RunId; readonly workflowId: string }>;
  /**
   * Adds the request to the restart of the service that gathers or waits for its turn, or starts one. It waits for no lock: the run does. `joined`: the
   * run was there before. Needs a control worker that answers; without one it fails as where the orchestrator is away, and asking again is safe.
   */
  joinRestart(input: RestartRequest): Promise<{ readonly runId: RunId; readonly workflowId: string; readonly joined: boolean }>;
  /**
   * Starts a run that gets a certificate; it waits for the host by itself. Where one is under way, a renewal joins it, and has it ask the issuer now where it waits
   * to try again; an issue is refused with `run_in_progress`, because it may ask for something else.
   */
  startCertificate(input: CertificateRunRequest): Promise<{ readonly runId: RunId; readonly workflowId: string; readonly joined: boolean }>;
  /** What the host's services are now, asked of its agent; null where nobody answered within seconds. */
  askServices(host: HostId, product: ProductName): Promise<ServiceInspection | null>;
  /** Null where the run is unknown or cannot answer a query any more. */
  progress(runId: RunId): Promise<RunProgress | null>;
  /** Waits for the end. `cancel` stops the waiting, not the run. */
  result(runId: RunId, cancel: AbortSignal): Promise<RunReport>;
  /** Idempotent. Asks the run to roll back and end as `cancelled`; returns once the request is kept, not once it is obeyed. */
  cancel(runId: RunId, reason: string): Promise<void>;
  /** Empty where nothing is pending, or where the run has ended. */
  pending(runId: RunId): Promise<PendingActivity[]>;
  /** Never throws. */
  health(): Promise<OrchestratorHealth>;
}

const holder = /\bheld by run ([A-Za-z0-9._-]+)/;

/** The sentence that `run_in_progress` errors carry, so that the holding run survives every border as text. */
export const heldBy = (runId: RunId): string => `held by run ${runId}`;

/** The run that a `run_in_progress` message names, or null. */
export const runHeldBy = (message: string): RunId | null => (holder.exec(message)?.[1] as RunId | undefined) ?? null;
