import type { KeyScope, Labels } from '../../domain/access/scope.ts';
import type { RunKind } from '../../domain/run/kind.ts';
import type { ColumnType, Generated } from 'kysely';
import type { PairFacts } from '../../domain/certificate/pair.ts';
import type { RenewalPlan } from '../../domain/certificate/renewal.ts';
import type { LastTry } from '../../domain/certificate/status.ts';
import type { CertificateWish } from '../../domain/certificate/wish.ts';
import type { ArtifactSignature, BundleFormat } from '../../domain/bundle/artifact.ts';
import type { FleetState } from '../../domain/fleet/host-state.ts';
import type { ConflictingAgent, SessionEnd, ToldRelease, Transport } from '../../domain/fleet/session.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { Reason } from '../../domain/failure.ts';
import type { HostId, ProductName, ReleaseId, RolloutId, RunId, Sha256 } from '../../domain/ids.ts';
import type { ProductManifest, Role } from '../../domain/product/manifest.ts';
import type { RunEvent } from '../../domain/run/event.ts';
import type { HostOutcome, RolloutOutcome } from '../../domain/rollout/outcome.ts';
import type { RolloutOutline } from '../../domain/rollout/outline.ts';
import type { HostAction, SkipCode } from '../../domain/rollout/plan.ts';
import type { RolloutRequest } from '../../domain/rollout/request.ts';
import type { Channel } from '../../domain/release-check/channel.ts';
import type { CheckAction } from '../../domain/release-check/policy.ts';
import type { Window } from '../../domain/rollout/window.ts';
import type { RolloutState } from '../../domain/rollout/state.ts';
import type { Outcome, RecoveryRecord, RunReport } from '../../domain/run/report.ts';
import type { RolloutStanding } from '../../domain/rollout/standing.ts';
import type { SettingName } from '../../domain/setting/name.ts';
import type { Observation } from '../../ports/rollout-store.ts';
import type { KeyRole } from '../../ports/control-stores.ts';

/** Written as text (see `toJson`), read as a value. */
type Json<Value> = ColumnType<Value, string, string>;
type NullableJson<Value> = ColumnType<Value | null, string | null, string | null>;
/** `bigint` arrives as text. */
type BigInteger = ColumnType<string, number | string, number | string>;
type Instant = ColumnType<Date, string | Date, string | Date>;
type NullableInstant = ColumnType<Date | null, string | Date | null, string | Date | null>;
type Defaulted<Column> = Column extends ColumnType<infer S, infer I, infer U> ? ColumnType<S, I | undefined, U> : never;

export interface Tables {
  releases: {
    position: Generated<string>;
    product: ProductName;
    release_id: ReleaseId;
    role: Role;
    profile: string;
    format: BundleFormat;
    size_bytes: BigInteger;
    sha256: Sha256;
    file_list_sha256: Sha256;
    platform_version: string;
    signature: NullableJson<ArtifactSignature>;
    manifest: Json<ProductManifest>;
    published_at: Defaulted<Instant>;
    published_by: string;
    channel: Defaulted<ColumnType<Channel, Channel, Channel>>;
  };
  hosts: {
    host: HostId;
    role: Role;
    agent_version: string;
    boot_id: string;
    first_seen_at: Defaulted<Instant>;
    last_seen_at: Defaulted<Instant>;
    products: Json<readonly HostInspection[]>;
    labels: Defaulted<Json<Labels>>;
  };
  runs: {
    run_id: RunId;
    fence: Generated<string>;
    workflow_id: string;
    kind: RunKind;
    host: HostId;
    product: ProductName;
    from_release_id: ReleaseId | null;
    to_release_id: ReleaseId;
    requested_by: string;
    requested_at: Instant;
    ended_at: NullableInstant;
    outcome: Outcome | null;
    report: NullableJson<RunReport>;
    recovered_at: NullableInstant;
    recovery_detail: NullableJson<Readonly<Record<string, unknown>>>;
  };
  run_events: {
    run_id: RunId;
    sequence: number;
    at: Instant;
    kind: RunEvent['kind'];
    step: string | null;
    message: string;
    data: Json<Readonly<Record<string, unknown>>>;
  };
  audit: {
    sequence: BigInteger;
    at: Instant;
    event: string;
    actor: string;
    subject: string;
    run_id: string | null;
    detail: Json<Readonly<Record<string, unknown>>>;
    previous_hash: string;
    hash: string;
    append_key: string | null;
  };
  audit_head: {
    singleton: boolean;
    sequence: BigInteger;
    hash: string;
  };
  audit_checkpoints: {
    number: BigInteger;
    sequence: BigInteger;
    hash: string;
    at: Instant;
    previous_hash: string;
    key_id: string;
    signature: string;
  };
  api_keys: {
    id: string;
    name: string;
    role: KeyRole;
    sha256: string;
    masked: string;
    created_at: Defaulted<Instant>;
    revoked_at: NullableInstant;
    host: Generated<HostId | null>;
    scope: Defaulted<NullableJson<KeyScope>>;
    expires_at: Defaulted<NullableInstant>;
    last_used_at: Defaulted<NullableInstant>;
    previous_sha256: Generated<string | null>;
    previous_masked: Generated<string | null>;
    previous_ends_at: Defaulted<NullableInstant>;
  };
  idempotency: {
    caller: string;
    key: string;
    fingerprint: string;
    status: number | null;
    body: NullableJson<unknown>;
    claimed_at: Defaulted<Instant>;
  };
  healings: {
    id: string;
    claim: string;
    host: HostId;
    product: ProductName;
    kind: string;
    subject: string;
    by: 'host' | 'run';
    tried_at: Defaulted<Instant>;
    run_id: RunId | null;
    note: Generated<string>;
  };
  fleet_hosts: {
    host: HostId;
    role: Role;
    state: Json<FleetState>;
    updated_at: Defaulted<Instant>;
  };
  fleet_sessions: {
    position: Generated<string>;
    id: string;
    host: HostId;
    boot_id: string;
    transport: Transport;
    client_ref: Generated<string>;
    role: Role;
    releases: Json<readonly ToldRelease[]>;
    agent_version: string;
    copy: string;
    remote_address: string;
    connected_at: Defaulted<Instant>;
    last_heard_at: Defaulted<Instant>;
    ended_at: Defaulted<NullableInstant>;
    why: Generated<SessionEnd | null>;
    superseded_by: Generated<string | null>;
  };
  fleet_conflicts: {
    position: Generated<string>;
    id: string;
    host: HostId;
    agents: Json<readonly ConflictingAgent[]>;
    found_at: Defaulted<Instant>;
    decided_at: Defaulted<NullableInstant>;
    decided_by: Generated<string | null>;
    accepted_boot_id: Generated<string | null>;
  };
  enrolments: {
    id: string;
    sha256: string;
    host: HostId | null;
    role: Role;
    created_by: string;
    created_at: Defaulted<Instant>;
    expires_at: Instant;
    used_at: Defaulted<NullableInstant>;
    used_by: Generated<HostId | null>;
  };
  rollouts: {
    position: Generated<string>;
    rollout_id: RolloutId;
    product: ProductName;
    release_id: ReleaseId;
    request: Json<RolloutRequest>;
    requested_by: string;
    requested_at: Instant;
    outline: NullableJson<RolloutOutline>;
    warnings: Defaulted<Json<readonly string[]>>;
    phase: Generated<RolloutState['phase']>;
    behind: string | null;
    standing: Json<RolloutStanding>;
    ended_at: NullableInstant;
    outcome: RolloutOutcome | null;
    ok: boolean | null;
    reason: NullableJson<Reason>;
  };
  rollout_hosts: {
    rollout_id: RolloutId;
    host: HostId;
    role: Role;
    artifact_role: Role;
    artifact_profile: string | null;
    from_release_id: ReleaseId | null;
    to_release_id: ReleaseId;
    action: HostAction;
    wave: number | null;
    position: number | null;
    why: SkipCode | null;
    outcome: HostOutcome | null;
    reason: NullableJson<Reason>;
    run_id: RunId | null;
    back_run_id: RunId | null;
    observed: NullableJson<Observation>;
    recovery: NullableJson<RecoveryRecord>;
    ended_at: NullableInstant;
  };
  freezes: {
    id: string;
    product: ProductName | null;
    reason: string;
    set_by: string;
    since: Instant;
    until: Instant;
  };
  certificates: {
    host: HostId;
    product: ProductName;
    wish: Json<CertificateWish>;
    facts: NullableJson<PairFacts>;
    plan: NullableJson<RenewalPlan>;
    looked_at: NullableInstant;
    last_try: NullableJson<LastTry>;
    failures: Defaulted<ColumnType<number, number, number>>;
    next_try_at: NullableInstant;
  };
  settings: {
    name: SettingName;
    sealed: ColumnType<Buffer, Buffer, Buffer>;
    key_id: string;
    set_at: Defaulted<Instant>;
    set_by: string;
  };
  update_policies: {
    product: ProductName;
    host: string;
    channel: Channel;
    action: CheckAction;
    windows: Json<readonly Window[]>;
    set_by: string;
    set_at: Instant;
  };
  fairlead_migrations: {
    name: string;
    applied_at: Defaulted<Instant>;
  };
}
