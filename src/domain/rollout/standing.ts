import type { Waiting } from '../run/report.ts';
import { timeoutAt } from './gate.ts';
import type { HostCounts } from './outcome.ts';
import type { RolloutState } from './state.ts';
import { statusOf, waitingOf, type RolloutStatus } from './waiting.ts';

/** Where a rollout stands, as its workflow told it last. Counts are per wave, in the order of the outline. */
export interface RolloutStanding {
  readonly phase: RolloutState['phase'];
  readonly status: RolloutStatus;
  /** The number of the wave that it is at; null before the first and after the last. */
  readonly wave: number | null;
  /** The rollout that it waits for the end of; null where it waits for none. */
  readonly behind: string | null;
  readonly waiting: Waiting | null;
  readonly counts: readonly HostCounts[];
  /** The gates before the wave that wait for people, also while something else holds the rollout. Left out by executions of before there was this. */
  readonly approvals?: readonly WantedApproval[];
}

/** An approval gate that is shut. */
export interface WantedApproval {
  readonly gate: string;
  readonly role: string;
  readonly approvals: number;
  readonly quorum: number;
  /** When the wave came to its gates. */
  readonly since: string;
  /** When it opens or ends the rollout by itself; null: never. */
  readonly until: string | null;
}

/** @param now ISO 8601 */
export function standingNow(state: RolloutState, now: string): RolloutStanding {
  const planned = state.phase === 'Requested' || state.phase === 'Queued' ? null : state;
  const wave = planned !== null && 'wave' in planned ? (planned.outline.waves[planned.wave]?.number ?? null) : null;
  return { phase: state.phase, status: statusOf(state, now), wave, behind: state.phase === 'Queued' ? state.behind : null, waiting: state.phase === 'Ended' ? null : waitingOf(state, now), counts: planned?.counts ?? [], approvals: wantedApprovals(state) };
}

const wantedApprovals = (state: RolloutState): WantedApproval[] =>
  state.phase !== 'Gated' ? [] : state.gates.flatMap((standing) => (standing.gate.kind !== 'approval' || standing.open ? [] : [{ gate: standing.gate.name, role: standing.gate.role, approvals: standing.approvals.length, quorum: standing.gate.quorum, since: standing.since, until: timeoutAt(standing) }]));

const longHistory = 2_000;

/**
 * For how long the lines of a rollout's story are gathered before they are written. Each report of a failure takes four events of the history, and five more where it is written by itself:
 * with that alone some five thousand failures in one wave would fill the 51,200 that a history can hold. A rollout that has come far is written less often.
 * @param historyLength how many events the history has
 * @returns milliseconds
 */
export const gatherStoryMs = (historyLength: number): number => (historyLength < longHistory ? 1_000 : 10_000);
