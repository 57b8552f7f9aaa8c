import type { SealingKey } from '../certificate/seal.ts';
import type { RunKind } from '../run/kind.ts';
import type { CertificateName, InstanceName, ProductName, ReleaseId, RunId, ServiceName } from '../ids.ts';
import type { Phase } from '../product/manifest.ts';
import type { Reason } from '../failure.ts';
import type { Finding } from './drift.ts';
import type { HealingPolicy } from './healing.ts';

/** What runs the instances: the machine's own service manager, or `embedded`, plain processes that the agent starts. */
export type ServiceManagerKind = 'embedded' | 'systemd' | 'openrc' | 'compose';

/** `state.json`: what the host is meant to run. Written by runs only; the agent starts instances from it after a boot. */
export interface HostState {
  readonly schema: 1;
  readonly product: ProductName;
  readonly phase: Phase;
  readonly activeReleaseId: ReleaseId | null;
  readonly lastGoodReleaseId: ReleaseId | null;
  /** The good release before the last one: what a rollback asked for by a person goes to. */
  readonly previousGoodReleaseId: ReleaseId | null;
  /** Releases that a run condemned: never a rollback target, never retried unless a person says so. */
  readonly failedReleaseIds: readonly ReleaseId[];
  readonly instances: Readonly<Record<InstanceName, InstanceState>>;
  /** Instances that people added to what the manifest declares: they outlive updates. Left out where there are none. */
  readonly extras?: readonly ExtraInstance[];
  /** Where clients reach the product on this host. */
  readonly router: { readonly address: string; readonly port: number } | null;
  /** The certificate that the router ends TLS with; left out or null: plain HTTP only. Written when the first one is switched to. */
  readonly tls?: HostTls | null;
  /** While a release is tried on a part of the traffic: which instances get how much of it. */
  readonly split?: { readonly to: readonly InstanceName[]; readonly percent: number } | null;
  /** What runs the instances here, for whoever brings the host back without its agent; left out by agents before it was kept. */
  readonly manager?: ServiceManagerKind;
  readonly lastRunId: RunId | null;
  readonly updatedAt: string;
}

/** What clients reach over TLS on this host. */
export interface HostTls {
  readonly certificate: CertificateName;
  /** The host names that it is served for. */
  readonly names: readonly string[];
  readonly ports: readonly number[];
  /** False until it was seen to be served: plain HTTP is not redirected to it before. */
  readonly proven: boolean;
}

export interface InstanceState {
  readonly service: ServiceName;
  readonly port: number;
  /** The release that the instance was last told to run. */
  readonly releaseId: ReleaseId;
  /** Whether the router sends requests to it. */
  readonly admitted: boolean;
  /** The run and direction that started it last: a repeated command must not start it a second time. */
  readonly startedBy: string | null;
  /**
   * Written before a process is replaced by one on the same release: by which run and direction, and which process. Whoever repeats the command after
   * a crash finds another process, or none, and does not replace it a second time.
   */
  readonly replaces?: { readonly by: string; readonly pid: number } | null;
}

/** An instance beside those that the manifest declares. It belongs to one phase, and has its twin of the other colour like every other. */
export interface ExtraInstance {
  readonly service: ServiceName;
  /** Without the service's name: `c` of `api-c`. */
  readonly short: string;
  readonly port: number;
  readonly phase: Phase;
  readonly addedBy: RunId;
  /** False until it was proven: no update keeps an instance whose run died or failed half-way. */
  readonly settled: boolean;
}

/** The state of a product of which the host knows nothing yet. @param at an instant, ISO 8601 */
export function emptyState(product: ProductName, at: string): HostState {
  return {
    schema: 1,
    product,
    phase: 'setup',
    activeReleaseId: null,
    lastGoodReleaseId: null,
    previousGoodReleaseId: null,
    failedReleaseIds: [],
    instances: {},
    router: null,
    lastRunId: null,
    updatedAt: at,
  };
}

/** `intent.json`: written before a run's first change and removed after its last. Whoever finds one knows what was under way. */
export interface Intent {
  readonly schema: 1;
  readonly runId: RunId;
  readonly fence: number;
  readonly kind: RunKind;
  readonly product: ProductName;
  /** The phase that the run leads to. */
  readonly phase: Phase;
  /** What the host had before, and what it has after; left out by agents before it was kept. */
  readonly phaseBefore?: Phase;
  readonly instancesBefore?: readonly InstanceName[];
  readonly instancesAfter?: readonly InstanceName[];
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  readonly openedAt: string;
  readonly backupPath: string | null;
  /** Set when the undo failed as well: the host waits for a person, and refuses other runs until `fairlead recover`. */
  readonly stranded: Reason | null;
}

/** What an agent tells of one product on its host. The API plans from it; a run asks again before it acts. */
export interface HostInspection {
  readonly product: ProductName;
  readonly state: HostState | null;
  /** The generation of the data that the active release keeps; left out where none is active, or where it cannot be read. */
  readonly schemaGeneration?: number;
  /** What `current` resolves to, or null. */
  readonly currentReleaseId: ReleaseId | null;
  readonly completeReleaseIds: readonly ReleaseId[];
  readonly intent: Intent | null;
  readonly freeBytes: number;
  readonly router: 'nginx' | 'embedded';
  /** Key ids of the publishers that this host trusts; empty means that signatures are not demanded. */
  readonly trustedKeyIds: readonly string[];
  /** The public half of the host's sealing key; left out by agents that have none. */
  readonly sealingKey?: SealingKey;
  /** How the host differs from what it is meant to be, by the supervisor's last look; left out by agents without one. */
  readonly drift?: readonly Finding[];
  /** What may be put right without a person; left out means `report`. */
  readonly healing?: HealingPolicy;
  /** What the agent did by itself and control has not acknowledged. */
  readonly acts?: readonly HostAct[];
}

/** Something that an agent did to its host without a run: told to control afterwards, for the audit. */
export interface HostAct {
  /** Unique on the host. Telling one again does no harm. */
  readonly id: string;
  readonly at: string;
  /** `healed`: put a finding right. `put_back`, `admitted`: kept the product serving while its run was away. */
  readonly act: 'healed' | 'put_back' | 'admitted';
  /** The finding's kind, where one was healed. */
  readonly kind: string | null;
  readonly subject: string;
  readonly note: string;
}
