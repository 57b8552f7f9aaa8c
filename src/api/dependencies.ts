import type { FastifyBaseLogger } from 'fastify';
import type { FairleadError } from '../domain/failure.ts';
import type { CheckSignature } from '../domain/audit/checkpoint.ts';
import type { Artifact } from '../domain/bundle/artifact.ts';
import type { ArtifactStore, AuditLog, HostRegistry, KeyStore, ReleaseCatalog, RunStore } from '../ports/control-stores.ts';
import type { EnrolmentStore, FleetBus, FleetStateStore, SessionStore } from '../ports/fleet-stores.ts';
import type { ControlMachine } from '../ports/control-machine.ts';
import type { ControlStatistics } from '../ports/control-statistics.ts';
import type { GatewayFigures } from '../ports/gateway-figures.ts';
import type { CertificateRegistry } from '../ports/certificate-registry.ts';
import type { HealingStore } from '../ports/healing-store.ts';
import type { IdempotencyStore } from '../ports/idempotency-store.ts';
import type { Calendar } from '../ports/calendar.ts';
import type { RolloutStarter } from '../ports/rollout-starter.ts';
import type { RolloutStore } from '../ports/rollout-store.ts';
import type { PayloadCodecService } from '../ports/payload-codec.ts';
import type { BundlePrefetcher } from '../ports/bundle-prefetcher.ts';
import type { RunStarter } from '../ports/run-starter.ts';
import type { SettingStore } from '../ports/setting-store.ts';
import type { UpdatePolicyStore } from '../ports/update-policies.ts';
import type { Tracing } from '../ports/tracing.ts';
import type { Updater } from '../ports/updater.ts';
import type { WebhookStore } from '../ports/webhook-store.ts';
import type { StreamBounds } from './event-streams.ts';
import type { RateLimitSettings } from './rate-limits.ts';
import type { RequestTimes } from './slow-requests.ts';

export interface ApiStores {
  readonly releases: ReleaseCatalog;
  readonly hosts: HostRegistry;
  readonly healings: HealingStore;
  readonly certificates: CertificateRegistry;
  readonly runs: RunStore;
  readonly rollouts: RolloutStore;
  readonly policies: UpdatePolicyStore;
  readonly audit: AuditLog;
  readonly keys: KeyStore;
  readonly idempotency: IdempotencyStore;
  readonly settings: SettingStore;
  readonly webhooks: WebhookStore;
  readonly statistics: ControlStatistics;
  readonly sessions: SessionStore;
  readonly fleet: FleetStateStore;
  readonly enrolments: EnrolmentStore;
}

export interface ApiServerSettings {
  /** Version and release of Fairlead itself. */
  readonly version: string;
  readonly releaseId: string | null;
  readonly temporalUi: { readonly url: string; readonly namespace: string } | null;
  /** Bundles lie here while they are uploaded. Made where it is not there. */
  readonly uploadDirectory: string;
  readonly maxArtifactBytes: number;
  /** How often the events of a watched run are looked up. Default 500. */
  readonly eventPollMs?: number;
  /** How often a silent event stream says that it is alive. Default 15000. */
  readonly streamHeartbeatMs?: number;
  /** This copy of the API among the others; a name that no other one has. Made up where none is given. */
  readonly copy?: string;
  readonly fleet?: FleetTimes;
  /** Addresses and networks whose word about the client (X-Forwarded-For) is taken. Default none. */
  readonly trustedProxies?: readonly string[];
  readonly requestTimes?: RequestTimes;
  readonly streams?: StreamBounds;
  /** Of this copy. Left out: `defaultRateLimits`. */
  readonly rateLimits?: RateLimitSettings;
}

/** Limits of the fleet connection, in milliseconds and bytes; for tests. */
export interface FleetTimes {
  /** How often a host is pinged, and how long its answer may take. Default 15000. */
  readonly pingMs?: number;
  /** How long a session may take to answer when another agent wants its place. Default 2000. */
  readonly answerMs?: number;
  /** How long a new connection may take to say hello. Default 10000. */
  readonly helloMs?: number;
  /** How often sessions are looked for that nobody hears any more. Default 15000. */
  readonly sweepMs?: number;
}

/** Everything that the API needs. It keeps no state of its own: any number of copies may run side by side. */
export interface ApiDependencies {
  readonly settings: ApiServerSettings;
  readonly stores: ApiStores;
  readonly artifactStore: ArtifactStore;
  readonly runs: RunStarter;
  readonly prefetcher: BundlePrefetcher;
  readonly rollouts: RolloutStarter;
  readonly calendar: Calendar;
  /** Why control would not ask an address, as far as its text tells; null where it would. Left out, none is refused here: the part that asks does so. */
  readonly refuseUrl?: (url: string) => FairleadError | null;
  /** What Temporal's payloads are encrypted with, for who looks at them there; null or left out where they are not. */
  readonly codec?: PayloadCodecService | null;
  /** Checks signatures of the audit's checkpoints by the key that this server signs with; gives null where it signs none. */
  readonly checkSignature?: () => CheckSignature | null;
  /** A service that does the updates instead; left out, Fairlead does. */
  readonly updater?: Updater | null;
  readonly fleetBus: FleetBus;
  readonly machine: ControlMachine;
  /** Where the database is, without the password, and whether it answers (`ping` fails where not). */
  readonly database: { readonly address: string; ping(): Promise<void> };
  /** What the hosts' gateway in this process has done, for the metrics; null where there is none. */
  readonly gateway?: (() => GatewayFigures) | null;
  /** What a bundle is, from its file; fails with class `request` or `release` for what is no bundle. */
  inspect(file: string): Promise<Artifact>;
  /** Left out, or null: no request makes a span. */
  readonly tracing?: Tracing | null;
  readonly logger: FastifyBaseLogger;
}
