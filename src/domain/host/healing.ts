import type { ReleaseId, RunId } from '../ids.ts';
import type { Outcome } from '../run/report.ts';
import type { Finding, FindingKind } from './drift.ts';
import type { HostState, Intent } from './state.ts';

/** `report`: what differs is only told. `heal`: it is put right as well, where that is safe. */
export type HealingPolicy = 'report' | 'heal';

/** One try to put a finding right. */
export interface HealingTry {
  readonly kind: FindingKind;
  readonly subject: string;
  readonly at: string;
  /** `host`: the agent did it itself. `run`: a run was started. */
  readonly by: 'host' | 'run';
  readonly runId: RunId | null;
  /** How the run ended; null while it is under way, and for what the host did itself. */
  readonly outcome: Outcome | null;
  readonly note: string;
}

/** A finding is tried once in this long, however often it comes back. */
export const healingPauseMs = 3_600_000;

export interface HealingFacts {
  readonly findings: readonly Finding[];
  /** What the host told the time before: a finding has to be there twice, so that what mends itself is left to it. */
  readonly before: readonly Finding[];
  readonly policy: HealingPolicy;
  readonly history: readonly HealingTry[];
  readonly state: HostState | null;
  readonly intent: Intent | null;
}

/** What becomes of a finding now. `heal`: by the run that is started. `wait`: by itself, later. `person`: not without one. */
export interface Verdict {
  readonly finding: Finding;
  readonly verdict: 'heal' | 'wait' | 'person';
  readonly why: string;
}

export interface HealingDecision {
  /** A run to start, of the release that is active already; null where none is. */
  readonly start: { readonly releaseId: ReleaseId; readonly findings: readonly Finding[] } | null;
  readonly verdicts: readonly Verdict[];
}

/**
 * Decides what is put right without a person. Pure. One run mends everything of a product that is due.
 *
 * Never: on a stranded host, for a release that was condemned there, where the active release was never proven, while a run is at work, over files
 * that nothing vouches for, or a second time within the hour.
 *
 * @param now ISO 8601, by the clock that wrote `history`
 */
export function decideHealing(facts: HealingFacts, now: string): HealingDecision {
  const blocked = blockedBecause(facts);
  const verdicts = facts.findings.map((finding): Verdict => ({ finding, ...verdictOn(finding, facts, blocked, now) }));
  const due = verdicts.filter(({ verdict }) => verdict === 'heal').map(({ finding }) => finding);
  const releaseId = facts.state?.activeReleaseId ?? null;
  return { start: due.length > 0 && releaseId !== null ? { releaseId, findings: due } : null, verdicts };
}

type Judgement = Pick<Verdict, 'verdict' | 'why'>;

function verdictOn(finding: Finding, { before, policy, history }: HealingFacts, blocked: Judgement | null, now: string): Judgement {
  if (finding.heal === 'person') return { verdict: 'person', why: finding.hint };
  if (policy === 'report') return { verdict: 'person', why: 'this host only reports (host.heal is report)' };
  if (finding.heal === 'self') return { verdict: 'wait', why: 'the agent puts it right itself' };
  if (blocked !== null) return blocked;
  // A leftover is named after its run: a repair that leaves one behind as well would be another subject each time.
  const last = history.filter(({ kind, subject }) => kind === finding.kind && (subject === finding.subject || kind === 'leftover_intent')).sort((a, b) => (a.at < b.at ? 1 : -1))[0];
  if (last !== undefined) {
    const again = new Date(Date.parse(last.at) + healingPauseMs).toISOString();
    if (last.runId !== null && last.outcome === null) return { verdict: 'wait', why: `run ${last.runId} is at it since ${last.at}` };
    if (now < again) return { verdict: 'person', why: `tried at ${last.at}, ${outcomeText(last)}, and it is there again; not tried by itself before ${again}` };
  }
  const seenBefore = before.some(({ kind, subject }) => kind === finding.kind && subject === finding.subject);
  return seenBefore ? { verdict: 'heal', why: 'it was there twice' } : { verdict: 'wait', why: 'it has to be there a second time' };
}

function blockedBecause({ findings, state, intent }: HealingFacts): Judgement | null {
  if (intent?.stranded) return { verdict: 'person', why: `the host is stranded since run ${intent.runId}` };
  const leftover = findings.some(({ kind, subject }) => kind === 'leftover_intent' && subject === intent?.runId);
  if (intent !== null && !leftover) return { verdict: 'wait', why: `run ${intent.runId} is at work` };
  if (state === null || state.activeReleaseId === null) return { verdict: 'person', why: 'no release is active' };
  const active = state.activeReleaseId;
  if (active !== state.lastGoodReleaseId) return { verdict: 'person', why: `${active} is active and was never proven here; the last good release is ${state.lastGoodReleaseId ?? 'none'}` };
  if (state.failedReleaseIds.includes(active)) return { verdict: 'person', why: `${active} was condemned on this host` };
  const doubtful = findings.find(({ kind, heal }) => kind === 'current_incomplete' || kind === 'memory_unreadable' || (kind === 'current_moved' && heal === 'person'));
  return doubtful ? { verdict: 'person', why: `not while ${doubtful.kind} is there: ${doubtful.message}` } : null;
}

const outcomeText = ({ by, runId, outcome, note }: HealingTry): string => (by === 'host' ? `on the host (${note})` : runId === null ? `no run came of it (${note})` : `run ${runId}, outcome ${outcome ?? 'open'}`);
