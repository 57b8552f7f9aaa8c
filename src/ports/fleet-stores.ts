import type { FleetEvent, FleetState } from '../domain/fleet/host-state.ts';
import type { BeginFacts, IdentityConflict, Session, SessionEnd } from '../domain/fleet/session.ts';
import type { HostId, ProductName, ReleaseId } from '../domain/ids.ts';
import type { Role } from '../domain/product/manifest.ts';
import type { RunReport } from '../domain/run/report.ts';

export type NewSession = Pick<Session, 'host' | 'bootId' | 'transport' | 'role' | 'releases' | 'agentVersion' | 'copy' | 'remoteAddress'> & {
  /** Tells the requests of one session over HTTP from those of the next; empty for a connection. */
  readonly clientRef: string;
};

export type BeginResult =
  | { readonly result: 'begun'; readonly session: Session; readonly ended: Session | null }
  | { readonly result: 'continued'; readonly session: Session }
  /** Ask this session whether it still is there, and begin again with the answer. */
  | { readonly result: 'ask'; readonly session: Session }
  | { readonly result: 'conflict'; readonly conflict: IdentityConflict; readonly ended: Session | null }
  | { readonly result: 'refused'; readonly code: 'identity_conflict' | 'identity_refused' | 'session_superseded'; readonly conflict: IdentityConflict | null };

/** What came of looking for a release in the sessions of a host. */
export interface Observation {
  /** The first session after the time that told the release; null where none did. */
  readonly session: Session | null;
  /** The latest session after the time that told the product on another release, or on none; null where none did. */
  readonly other: Session | null;
}

/** Sessions of the fleet connection. Times are the database's; whoever changes anything of a host's sessions does so one at a time. */
export interface SessionStore {
  /** Begins a session, or says why not (`decideBegin`). At most one is open per host. */
  begin(newcomer: NewSession, asked: BeginFacts['asked']): Promise<BeginResult>;
  /** Whether the session is open still. Notes that it was heard. */
  heard(id: string): Promise<boolean>;
  /** Idempotent: null where it had ended before. */
  end(id: string, why: SessionEnd): Promise<Session | null>;
  /** Ends every session that was silent for too long, of whatever copy. */
  endSilent(): Promise<Session[]>;
  open(host: HostId): Promise<Session | null>;
  /** Those of all hosts, for lists. */
  allOpen(): Promise<Session[]>;
  /** Newest first. `before` is the id of the last one of the page before. */
  list(filter: { host: HostId; limit: number; before?: string }): Promise<Session[]>;
  /** @param after begun later than this, by the database's clock (`clock`); ISO 8601 */
  observed(question: { host: HostId; product: ProductName; releaseId: ReleaseId; after: string }): Promise<Observation>;
  /** The database's time; ISO 8601. */
  clock(): Promise<string>;
  /** The undecided one, else the latest. */
  conflict(host: HostId): Promise<IdentityConflict | null>;
  /** A person says which of the agents is the host. `unknown_boot`: none of those that were seen. */
  accept(host: HostId, bootId: string, by: string): Promise<'accepted' | 'no_conflict' | 'unknown_boot'>;
}

export interface FleetHost {
  readonly host: HostId;
  readonly role: Role;
  readonly state: FleetState;
}

/** Host states (src/domain/fleet/host-state.ts). A maintenance whose end has passed is given as ended. */
export interface FleetStateStore {
  find(host: HostId): Promise<FleetHost | null>;
  list(): Promise<FleetHost[]>;
  /** Takes the event at the database's time. A host that is not there yet is made, as `pending`, with this role. @throws IllegalFleetTransition */
  apply(host: HostId, event: WithoutTime<FleetEvent>, role?: Role): Promise<FleetState>;
  /** What the end of a run says of its host. Idempotent by run. */
  noteRun(report: RunReport): Promise<void>;
  /** Ends every maintenance whose end has passed. Gives the hosts. */
  endPastMaintenance(): Promise<HostId[]>;
}

type WithoutTime<Event> = Event extends { readonly at: string } ? Omit<Event, 'at'> : never;

export interface Enrolment {
  readonly id: string;
  /** Null: for any host that has no identity yet. */
  readonly host: HostId | null;
  readonly role: Role;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly usedAt: string | null;
  readonly usedBy: HostId | null;
}

export type ExchangeResult =
  | { readonly result: 'enrolled'; readonly host: HostId; readonly role: Role; readonly keyId: string; readonly key: string; readonly revokedKeys: readonly string[]; readonly ended: Session | null; readonly enrolment: string }
  | { readonly result: 'refused'; readonly code: 'enrolment_unknown' | 'enrolment_used' | 'enrolment_expired' | 'enrolment_other_host' | 'enrolment_host_taken' };

/** One-time tokens, of which only the SHA-256 is kept. */
export interface EnrolmentStore {
  /** The text is given once and never stored. The host, where one is named, is `pending` from now on. */
  create(enrolment: { host: HostId | null; role: Role; expiresSeconds: number; createdBy: string }): Promise<{ readonly enrolment: Enrolment; readonly text: string }>;
  /** Gives the host its own key, once. Keys that the host had before are revoked, its session ends, an identity conflict is decided by it. */
  exchange(text: string, host: HostId | null): Promise<ExchangeResult>;
  list(): Promise<Enrolment[]>;
}

/** Words between the copies of the API. At most once, and not kept: who relies on them looks into the stores as well. */
export type FleetWord =
  /** Whoever holds the session: does it still answer? */
  | { readonly kind: 'ask'; readonly session: string; readonly question: string }
  | { readonly kind: 'answer'; readonly question: string; readonly answers: boolean }
  /** Whoever holds the session: it has ended; close the connection. */
  | { readonly kind: 'ended'; readonly session: string; readonly why: SessionEnd };

export interface FleetBus {
  publish(word: FleetWord): Promise<void>;
  /** Also one's own words come. @returns how to stop listening */
  subscribe(listener: (word: FleetWord) => void): () => void;
  /** Whether words of others arrive at this time. */
  isListening(): boolean;
}
