import type { KeyRole } from '../domain/access/role.ts';
import type { KeyScope, Labels } from '../domain/access/scope.ts';
import type { RunKind } from '../domain/run/kind.ts';
import type { Artifact, ArtifactRef } from '../domain/bundle/artifact.ts';
import type { AuditEntry, AuditRow, ChainHead } from '../domain/audit/chain.ts';
import type { AuditCheckpoint, CheckSignature } from '../domain/audit/checkpoint.ts';
import type { AuditVerdict } from '../domain/audit/verification.ts';
import type { HostId, ProductName, ReleaseId, RunId, Sha256 } from '../domain/ids.ts';
import type { FleetPhase, FleetState } from '../domain/fleet/host-state.ts';
import type { HostInspection } from '../domain/host/state.ts';
import type { Role } from '../domain/product/manifest.ts';
import type { Channel } from '../domain/release-check/channel.ts';
import type { Outcome, RunReport } from '../domain/run/report.ts';
import type { RunEvent } from '../domain/run/event.ts';

/** What a list is limited to, for keys with a scope; null is no limit. */
export interface Within {
  readonly products: readonly ProductName[] | null;
  readonly hosts: readonly HostId[] | null;
}

/** Releases that control knows, one row per artifact (product, release, role, profile). */
export interface ReleaseCatalog {
  /** Idempotent for the same digest; `channel` counts for a release's first artifact only. Refuses another digest for a published (product, release, role, profile): `release_exists`. */
  publish(artifact: Artifact, publishedBy: string, channel?: Channel): Promise<'published' | 'already_published'>;
  /** Moves every artifact of a release to a channel. @returns the one that it was in, or null for a release that was never published */
  moveTo(product: ProductName, releaseId: ReleaseId, channel: Channel): Promise<Channel | null>;
  /** Newest first. `before` is the digest of the last row of the page before. */
  list(filter: { product?: ProductName; releaseId?: ReleaseId; limit: number; before?: string; within?: Within }): Promise<PublishedRelease[]>;
  /** The artifact for a role, or null. With `profile` undefined, the only one there is for the role. */
  find(product: ProductName, releaseId: ReleaseId, role: Role, profile?: string): Promise<Artifact | null>;
  findByDigest(sha256: Sha256): Promise<Artifact | null>;
}

export interface PublishedRelease extends ArtifactRef {
  readonly publishedAt: string;
  readonly publishedBy: string;
  readonly channel: Channel;
}

/** The bundles themselves, addressed by digest. */
export interface ArtifactStore {
  /** Writes durably under a temporary name, checks size and digest, renames. Idempotent. */
  put(sha256: Sha256, sizeBytes: number, body: AsyncIterable<Uint8Array>): Promise<'stored' | 'already_stored'>;
  /** Absolute path of a stored bundle, or null. */
  path(sha256: Sha256): Promise<string | null>;
}

export type HostStatus = FleetPhase;

export interface HostRow {
  readonly host: HostId;
  readonly role: Role;
  /** The phase of `state`; `disconnected` also where nothing was heard for 45 s and nobody wrote that down yet. */
  readonly status: HostStatus;
  /** What the fleet knows of it; null for a host that was last heard before there was a fleet connection. */
  readonly state: FleetState | null;
  /** What people say of it; keys are limited by them. */
  readonly labels: Labels;
  readonly agentVersion: string;
  /** New at every start of the agent's process. */
  readonly bootId: string;
  readonly firstSeenAt: string;
  readonly lastSeenAt: string;
  readonly products: readonly HostInspection[];
}

export interface HostRegistry {
  /** What an agent says at its start and every 15 s after. */
  hello(beat: { host: HostId; role: Role; agentVersion: string; bootId: string; products: readonly HostInspection[] }): Promise<void>;
  /** `disconnected` is computed: no beat for 45 s. */
  list(): Promise<HostRow[]>;
  find(host: HostId): Promise<HostRow | null>;
  /** Of these hosts, those that are connected now, by their names. Reads nothing of the others, and no inventory. */
  connected(hosts: readonly HostId[]): Promise<readonly HostId[]>;
  /** Sets labels, and takes away those that are null. @returns all of them, or null for a host that was never heard */
  label(host: HostId, changes: Readonly<Record<string, string | null>>): Promise<Labels | null>;
}

export interface RunRow {
  readonly runId: RunId;
  readonly workflowId: string;
  readonly kind: RunKind;
  readonly host: HostId;
  readonly product: ProductName;
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  readonly requestedBy: string;
  readonly requestedAt: string;
  readonly endedAt: string | null;
  readonly outcome: Outcome | null;
  readonly report: RunReport | null;
  /** Set when a host told that `fairlead recover` brought it back. */
  readonly recoveredAt: string | null;
}

export interface RunStore {
  /** Idempotent by run id. Gives the run's fencing token: higher than every one given before. A second call gives the same token. */
  open(run: Pick<RunRow, 'runId' | 'workflowId' | 'kind' | 'host' | 'product' | 'toReleaseId' | 'requestedBy' | 'requestedAt'>): Promise<{ readonly fence: number }>;
  /** Gives an open run a new fencing token, higher than every one given before: for a run that has waited for its turn while others had theirs. */
  renewFence(runId: RunId): Promise<{ readonly fence: number }>;
  /** Idempotent by (run id, sequence). */
  appendEvents(events: readonly RunEvent[]): Promise<void>;
  /** Idempotent: the first report stays. */
  close(report: RunReport): Promise<void>;
  /** Idempotent. */
  markRecovered(runId: RunId, at: string, detail: Readonly<Record<string, unknown>>): Promise<void>;
  find(runId: RunId): Promise<RunRow | null>;
  /** Newest first. `before` is the run id of the last row of the page before. */
  list(filter: { host?: HostId; product?: ProductName; outcome?: Outcome; kind?: RunKind; open?: boolean; limit: number; before?: string; within?: Within }): Promise<RunRow[]>;
  events(runId: RunId, afterSequence: number, limit: number): Promise<RunEvent[]>;
}

/** Which rows are wanted: those that all of it is true of. */
export interface AuditFilter {
  readonly limit: number;
  readonly afterSequence?: number;
  readonly runId?: string;
  readonly subject?: string;
  /** A key's name, with its role in brackets or without, or a part of Fairlead. */
  readonly actor?: string;
  /** An event, or what stands before its dots: `run` finds `run.ended`. */
  readonly event?: string;
  readonly host?: HostId;
  /** RFC 3339; inclusive. */
  readonly since?: string;
  /** RFC 3339; exclusive. */
  readonly until?: string;
}

/** Rows are only ever appended, each chained to the one before by its hash. */
export interface AuditLog {
  /** With a `key`, a second append of the same key is no second row (activities are retried). */
  append(entry: AuditEntry, key?: string): Promise<AuditRow>;
  /** Oldest first; without `afterSequence` the latest. */
  list(filter: AuditFilter): Promise<AuditRow[]>;
  /** Where the chain ends. */
  head(): Promise<ChainHead>;
  /** Walks the whole chain, with the checkpoints beside it. @param given what signatures are checked with, and checkpoints that were kept elsewhere; left out, only hashes and links are checked */
  verify(given?: { readonly checkSignature?: CheckSignature | null; readonly saved?: readonly AuditCheckpoint[] }): Promise<AuditVerdict>;
  /** By number, rising. @param afterNumber only those after it; left out, the latest ones */
  checkpoints(filter: { limit: number; afterNumber?: number }): Promise<AuditCheckpoint[]>;
  /** Keeps the next checkpoint; `taken` where another copy kept one under its number. */
  keepCheckpoint(checkpoint: AuditCheckpoint): Promise<'kept' | 'taken'>;
}

export type { KeyRole } from '../domain/access/role.ts';
export interface KeyIdentity {
  readonly id: string;
  readonly name: string;
  readonly role: KeyRole;
  /** The only host that an agent's key may speak for; null for keys of people, and for one that has not been used by an agent yet. */
  readonly host: HostId | null;
  /** What a key of people is limited to; null for everything. */
  readonly scope: KeyScope | null;
}

/** A key as it is shown. */
export interface ListedKey extends KeyIdentity {
  readonly masked: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  /** To the minute. */
  readonly lastUsedAt: string | null;
  /** The text before the last rotation, and when it ends; null once it has. */
  readonly previous: { readonly masked: string; readonly endsAt: string } | null;
}

/** API keys: 256 random bits, of which only the SHA-256 is stored. */
export interface KeyStore {
  /**
   * Makes a key, or registers the given text. The text is returned once and never stored.
   * @throws FairleadError `invalid_key`, `key_revoked`, `scope_not_for_role`, `invalid_scope`
   */
  create(name: string, role: KeyRole, given?: { readonly text?: string; readonly scope?: KeyScope | null; readonly expiresSeconds?: number | null }): Promise<{ readonly identity: KeyIdentity; readonly text: string }>;
  /** Who the key belongs to, or null; also by the text before a rotation, for as long as that works. Notes when it was used, once a minute. */
  identify(text: string): Promise<KeyIdentity | null>;
  list(): Promise<ListedKey[]>;
  /**
   * Gives the key another text. The old one works for `graceSeconds` more; with 0, every older text ends at once.
   * @returns `under_way` where an older text works still and would have to end now for this
   */
  rotate(id: string, graceSeconds: number): Promise<{ readonly result: 'rotated'; readonly identity: KeyIdentity; readonly text: string; readonly previousEndsAt: string } | { readonly result: 'under_way'; readonly previousEndsAt: string } | { readonly result: 'not_found' }>;
  /** Both texts, at once. */
  revoke(id: string): Promise<'revoked' | 'not_found'>;
  /** Whether the key opens anything still: for a connection that was made with it. */
  isValid(id: string): Promise<boolean>;
  /** Makes an agent's key that of one host, for good. Idempotent: `already` where it is that host's, `other_host` where it is another one's. */
  bind(id: string, host: HostId): Promise<'bound' | 'already' | 'other_host'>;
}
