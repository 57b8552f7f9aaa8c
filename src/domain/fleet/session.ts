import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { Role } from '../product/manifest.ts';

/** What a host said that it runs of one product, when the session began. */
export interface ToldRelease {
  readonly product: ProductName;
  /** The one release that every instance that should run does run, by what the service manager says; null where they differ or one does not run. */
  readonly releaseId: ReleaseId | null;
  /** Of the artifact that the release came in; null where nothing is installed. */
  readonly artifactRole: Role | null;
  readonly artifactProfile: string | null;
}

export type Transport = 'websocket' | 'http';

/**
 * Why a session ended. `renewed`: the same agent began another one. `superseded`: another agent process of the host took its place. `goodbye`: the agent
 * said that it stops. `lost`: the connection broke. `silent`: nothing was heard for 45 s. `protocol`: what was sent was no message of ours.
 * `api_closing`: the API copy stopped; the agent goes to another one. `re_enrolled`: the host got a new identity. `key_revoked`: the key of its connection was
 * taken away.
 */
export type SessionEnd = 'renewed' | 'superseded' | 'goodbye' | 'lost' | 'silent' | 'protocol' | 'identity_conflict' | 'api_closing' | 're_enrolled' | 'key_revoked';

/** One time that a host was connected, from hello to end. Never changed afterwards but for when it was last heard and how it ended. */
export interface Session {
  readonly id: string;
  readonly host: HostId;
  /** New at every start of the agent's process. */
  readonly bootId: string;
  readonly transport: Transport;
  readonly role: Role;
  readonly releases: readonly ToldRelease[];
  readonly agentVersion: string;
  /** The copy of the API that it was begun on. */
  readonly copy: string;
  readonly remoteAddress: string;
  /** By the database's clock, as the other two; ISO 8601. */
  readonly connectedAt: string;
  readonly lastHeardAt: string;
  readonly endedAt: string | null;
  readonly why: SessionEnd | null;
}

/** An agent process that was seen in an identity conflict. */
export interface ConflictingAgent {
  readonly bootId: string;
  readonly remoteAddress: string;
  readonly agentVersion: string;
  readonly seenAt: string;
}

/** Two agents with one identity: all are refused until a person decides. */
export interface IdentityConflict {
  readonly id: string;
  readonly host: HostId;
  readonly agents: readonly ConflictingAgent[];
  readonly foundAt: string;
  readonly decidedAt: string | null;
  readonly decidedBy: string | null;
  /** Null: the host was enrolled anew. */
  readonly acceptedBootId: string | null;
}

/** A word that was on its way when its sender was replaced may arrive for so long: agents give a request up after 5 s. Milliseconds. */
export const lateWordMs = 10_000;

/** A session that broke before it was so old counts as an attempt that failed; one that was heard for so long, as one that succeeded. Milliseconds. */
export const steadyMs = 60_000;

/** After so long without a word a session is over: three beats of 15 s. Milliseconds. */
export const silenceMs = 45_000;

/** What is known when an agent wants to begin a session. */
export interface BeginFacts {
  readonly newcomer: { readonly bootId: string; readonly transport: Transport; readonly clientRef: string };
  readonly open: { readonly id: string; readonly bootId: string; readonly transport: Transport; readonly clientRef: string } | null;
  /** What came of asking an open session of another agent process whether it still is there. */
  readonly asked: { readonly session: string; readonly answers: boolean } | null;
  /** How long ago another process took the newcomer's place; null where that never happened, or a person has decided since. */
  readonly supersededMsAgo: number | null;
  /** The latest conflict that is undecided or that the newcomer took part in. */
  readonly conflict: Pick<IdentityConflict, 'decidedAt' | 'acceptedBootId'> | null;
}

export type BeginDecision =
  /** It is the session that is open: one of several requests of it. */
  | { readonly do: 'continue' }
  /** `ends`: what becomes of the open one. */
  | { readonly do: 'begin'; readonly ends: 'renewed' | 'superseded' | null }
  /** Ping the open session first, and decide again with the answer. */
  | { readonly do: 'ask' }
  | { readonly do: 'conflict' }
  | { readonly do: 'refuse'; readonly code: 'identity_conflict' | 'identity_refused' | 'session_superseded' };

/**
 * The rule of one identity per host. A process that starts has a boot id that never was before; so two live agents share an identity where an open
 * connection still answers while another process asks for its place, and where a process comes back whose place another one has taken. A connection
 * that does not answer stands in nobody's way: an agent that was restarted gets in at once.
 */
export function decideBegin({ newcomer, open, asked, supersededMsAgo, conflict }: BeginFacts): BeginDecision {
  if (conflict !== null && conflict.decidedAt === null) return { do: 'refuse', code: 'identity_conflict' };
  // Where the host was enrolled anew, the other one's key is gone: whoever has the new one is the host.
  if (conflict !== null && conflict.acceptedBootId !== null && conflict.acceptedBootId !== newcomer.bootId) return { do: 'refuse', code: 'identity_refused' };
  if (supersededMsAgo !== null) return supersededMsAgo < lateWordMs ? { do: 'refuse', code: 'session_superseded' } : { do: 'conflict' };
  if (open === null) return { do: 'begin', ends: null };
  if (open.bootId === newcomer.bootId) {
    const same = open.transport === 'http' && newcomer.transport === 'http' && open.clientRef === newcomer.clientRef;
    return same ? { do: 'continue' } : { do: 'begin', ends: 'renewed' };
  }
  // Requests cannot be asked back. Should the other one live, its next request finds its place taken.
  if (open.transport === 'http') return { do: 'begin', ends: 'superseded' };
  if (asked === null || asked.session !== open.id) return { do: 'ask' };
  return asked.answers ? { do: 'conflict' } : { do: 'begin', ends: 'superseded' };
}

/** Whether the host is gone with the session. Where it is about to come back by itself, it is not: a reconnect is no outage. */
export const isLost = (why: SessionEnd): boolean => why !== 'renewed' && why !== 'superseded' && why !== 'api_closing';

/** Whether a session that ended so young counts as an attempt of the host that failed. */
export const isFailedAttempt = (why: SessionEnd, ageMs: number): boolean => why === 'protocol' || ((why === 'lost' || why === 'silent') && ageMs < steadyMs);
