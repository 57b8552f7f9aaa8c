import type { Reason } from '../failure.ts';
import { instantAfter, reached } from './instant.ts';
import type { Window } from './window.ts';

/** Before which waves a gate stands: `between` is before every wave but the first of the rollout, `all` before that one too. */
export type GatePlaces = 'all' | 'between' | readonly number[];
/** What a gate that nobody opened in time does: ends the rollout, opens, or goes on waiting. */
export type GateTimeout = 'abort' | 'pass' | 'keep-waiting';

interface GateBase {
  /** Unique among the gates of the rollout: a name that people and commands use. */
  readonly name: string;
  readonly before: GatePlaces;
}
interface Timed {
  /** From when the wave came to its gates. */
  readonly timeoutSeconds: number | null;
  readonly onTimeout: GateTimeout;
}

/** Opens when enough people have approved. */
export interface ApprovalGate extends GateBase, Timed {
  readonly kind: 'approval';
  /** Whose approval counts; an admin's always does. */
  readonly role: string;
  readonly quorum: number;
  readonly requesterMayApprove: boolean;
  readonly commentRequired: boolean;
}
/** Opens while a Prometheus query is within its limits. No data is neither: the wave waits. */
export interface MetricGate extends GateBase, Timed {
  readonly kind: 'metric';
  readonly url: string;
  readonly query: string;
  readonly min: number | null;
  readonly max: number | null;
  readonly everySeconds: number;
}
/** Waves behind it run only while the window is open: one that is under way when it closes parks. */
export interface WindowGate extends GateBase {
  readonly kind: 'window';
  readonly window: Window;
}
/** Opens when an HTTP service answers that it may. */
export interface ExternalGate extends GateBase, Timed {
  readonly kind: 'external';
  readonly url: string;
  readonly everySeconds: number;
}
export type Gate = ApprovalGate | MetricGate | WindowGate | ExternalGate;
/** Gates that stand on their own verdict; the window is kept apart, because it can close again. */
export type JudgedGate = Exclude<Gate, WindowGate>;

export interface Approval {
  readonly by: string;
  readonly role: string;
  readonly comment: string | null;
  readonly at: string;
}

/** `pass`: may go on now. `fail`: the rollout failed. `no_data`: neither, ask again. */
export type GateVerdict = 'pass' | 'fail' | 'no_data';

/** Where a gate before a wave stands. */
export interface GateStanding {
  readonly gate: JudgedGate;
  readonly since: string;
  readonly open: boolean;
  /** What was seen last, or who opened it. */
  readonly note: string | null;
  readonly askedAt: string | null;
  readonly approvals: readonly Approval[];
  /** Opened by a promotion or by its timeout: no later answer shuts it. */
  readonly settled: boolean;
}

/** The gates before a wave. @param first the number of the rollout's first wave */
export const gatesBefore = (gates: readonly Gate[], wave: number, first: number): readonly Gate[] =>
  gates.filter(({ before }) => (before === 'all' ? true : before === 'between' ? wave !== first : before.includes(wave)));

export const standingOf = (gate: JudgedGate, since: string): GateStanding => ({ gate, since, open: false, note: null, askedAt: null, approvals: [], settled: false });

/** Why an approval (or a rejection) does not count, or null. Pure: the API refuses by it before anything is written. */
export function refuseApproval(standing: GateStanding, approval: Pick<Approval, 'by' | 'role' | 'comment'>, requestedBy: string): Reason | null {
  const { gate } = standing;
  const refuse = (code: string, message: string, hint: string): Reason => ({ class: 'request', code, message, hint });
  if (gate.kind !== 'approval') return refuse('gate_takes_no_approval', `Gate ${gate.name} is opened by its ${gate.kind}, not by people.`, 'Promote opens it all the same.');
  if (approval.role !== gate.role && approval.role !== 'admin') return refuse('approver_role', `Gate ${gate.name} asks for the role ${gate.role}; ${approval.by} has ${approval.role}.`, `Ask somebody with the role ${gate.role}.`);
  if (!gate.requesterMayApprove && approval.by === requestedBy) return refuse('approver_is_requester', `${approval.by} asked for this rollout and may not decide gate ${gate.name}.`, 'Ask somebody else.');
  if (gate.commentRequired && (approval.comment ?? '').trim() === '') return refuse('comment_required', `Gate ${gate.name} asks for a comment.`, 'Say why: --comment TEXT.');
  return null;
}

/** Counts an approval: of one person once. An approval that {@link refuseApproval} refuses changes nothing. */
export function approve(standing: GateStanding, approval: Approval, requestedBy: string): GateStanding {
  const { gate } = standing;
  if (gate.kind !== 'approval' || refuseApproval(standing, approval, requestedBy) !== null) return standing;
  if (standing.approvals.some(({ by }) => by === approval.by)) return standing;
  const approvals = [...standing.approvals, approval];
  return { ...standing, approvals, open: standing.open || approvals.length >= gate.quorum, note: `approved by ${approvals.map(({ by }) => by).join(', ')}` };
}

/** Takes an answer up. The last one counts: a metric that passed while another gate was shut can fail before the wave begins. */
export const answered = (standing: GateStanding, verdict: GateVerdict, note: string, at: string): GateStanding =>
  standing.settled || standing.gate.kind === 'approval' ? standing : { ...standing, askedAt: at, note, open: verdict === 'pass' };

/** Opens a gate for good: a promotion, or a timeout that means so. */
export const opened = (standing: GateStanding, note: string): GateStanding => ({ ...standing, open: true, settled: true, note });

/** When a gate's time is over, or null: it has none, it is open, or it goes on waiting. */
export const timeoutAt = ({ gate, since, open }: GateStanding): string | null =>
  open || gate.timeoutSeconds === null || gate.onTimeout === 'keep-waiting' ? null : instantAfter(since, gate.timeoutSeconds);

/** When a gate has to be asked next, or null: people open it, or it is settled. */
export function askAt({ gate, since, askedAt, settled }: GateStanding): string | null {
  if (gate.kind === 'approval' || settled) return null;
  return askedAt === null ? since : instantAfter(askedAt, gate.everySeconds);
}

export const askDue = (standing: GateStanding, now: string): boolean => reached(now, askAt(standing));

/** Judges what a query gave. A limit that is null is none. @param why there is no value, where it is known */
export function judgeMetric(gate: MetricGate, value: number | null, why: string | null = null): { readonly verdict: GateVerdict; readonly note: string } {
  if (value === null) return { verdict: 'no_data', note: why ?? `no value from ${gate.query}` };
  const within = (gate.min === null || value >= gate.min) && (gate.max === null || value <= gate.max);
  const limits = [...(gate.min === null ? [] : [`at least ${gate.min}`]), ...(gate.max === null ? [] : [`at most ${gate.max}`])].join(', ');
  return { verdict: within ? 'pass' : 'fail', note: `${gate.query} is ${value}; allowed: ${limits}` };
}
