import type { Waiting } from '../run/report.ts';
import { timeoutAt, type GateStanding } from './gate.ts';
import { reached } from './instant.ts';
import { windowGateOf } from './settle.ts';
import { settledOf } from './shards.ts';
import { onRelease, sumOfCounts } from './outcome.ts';
import type { RolloutState } from './state.ts';
import { windowOpen } from './window.ts';

/** What to show for a state: its phase, unless something holds it. */
export type RolloutStatus = 'requested' | 'queued' | 'planned' | 'gated' | 'rolling' | 'baking' | 'paused' | 'frozen' | 'parked' | 'stopping' | 'halted' | 'rolling_back' | 'ended';

/** One word for where a rollout stands: a stop before a pause, a pause before a freeze, a freeze before a closed window (`parked`). */
export function statusOf(state: RolloutState, now: string): RolloutStatus {
  if (state.phase === 'Ended') return 'ended';
  if (state.phase === 'Requested') return 'requested';
  if (state.phase === 'Queued') return 'queued';
  if (state.phase === 'Halted') return 'halted';
  if (state.phase === 'Rolling' && state.stopping) return 'stopping';
  if (state.pause) return 'paused';
  if (state.phase === 'RollingBack') return 'rolling_back';
  if (state.freeze && !reached(now, state.freeze.until)) return 'frozen';
  if (state.phase === 'Planned') return 'planned';
  if (state.phase === 'Gated') return 'gated';
  if (state.phase === 'Baking') return 'baking';
  return windowGateOf(state.outline, state.wave) && !windowOpen(state.window, now) ? 'parked' : 'rolling';
}

export interface RolloutTotals {
  readonly scope: number;
  /** Observed on the release, those that were there before among them. */
  readonly onRelease: number;
  readonly failed: number;
  readonly stranded: number;
  /** Left alone: skipped, refused by request, cancelled. */
  readonly left: number;
  readonly returned: number;
  readonly notReturned: number;
  /** Not begun, or in flight. */
  readonly open: number;
}

/** The hosts of a rollout in numbers; null before it has a plan. */
export function totalsOf(state: RolloutState): RolloutTotals | null {
  if (state.phase === 'Requested' || state.phase === 'Queued' || state.outline === null) return null;
  const { scope, unchanged, skipped, changing } = state.outline;
  const sum = sumOfCounts(state.counts);
  const { failed, stranded, returned, notReturned } = sum;
  return { scope, onRelease: onRelease(sum) + unchanged, failed, stranded, left: sum.left + skipped, returned, notReturned, open: changing - settledOf(sum) };
}

/** For what a rollout waits, since when, until when, and who can end it: the answer to `rollout why`. */
export function waitingOf(state: RolloutState, now: string): Waiting {
  if (state.phase === 'Requested') return { for: 'its plan', since: state.since, until: null, release: 'control, when the plan is made' };
  if (state.phase === 'Queued') return { for: `rollout ${state.behind}, which is before it`, since: state.since, until: null, release: 'the end of that rollout, or fairlead rollout abort' };
  if (state.phase === 'Ended') return { for: 'nothing: it has ended', since: state.at, until: null, release: 'nobody' };
  if (state.phase === 'Halted') {
    const until = state.until === null ? '' : `; then: ${state.stop.policy}`;
    return { for: `a decision, because: ${state.stop.reason.message}${until}`, since: state.since, until: state.until, release: 'fairlead rollout retry, or abort' };
  }
  const wave = state.phase === 'Planned' ? state.outline.waves[0] : state.outline.waves[state.wave];
  const inFlight = (state.phase === 'Rolling' || state.phase === 'RollingBack') && state.shards.some(({ standing }) => standing === 'running');
  const draining = inFlight ? '; hosts in flight finish' : '';
  if (state.phase === 'Rolling' && state.stopping) return { for: `hosts in flight of wave ${wave?.number}, because: ${state.stopping.reason.message}`, since: state.since, until: null, release: 'the end of their runs' };
  if (state.pause) {
    return { for: `a person: paused by ${state.pause.by}${state.pause.comment === null ? '' : ` (${state.pause.comment})`}${draining}`, since: state.pause.since, until: null, release: 'fairlead rollout resume --reason TEXT, or abort' };
  }
  if (state.phase === 'RollingBack') return { for: `hosts of wave ${wave?.number} on their way back${state.lost ? `; ${state.lost.message}` : ''}`, since: state.since, until: null, release: 'the end of their runs' };
  if (state.freeze && !reached(now, state.freeze.until)) {
    return { for: `the end of a freeze: ${state.freeze.reason}${draining}`, since: state.freeze.since, until: state.freeze.until, release: `${state.freeze.setBy}, who set it, or its end` };
  }
  if (state.phase === 'Planned') return { for: 'its first wave', since: state.since, until: null, release: 'control, at once' };
  if (state.phase === 'Baking') return { for: `the bake time of wave ${wave?.number}`, since: state.since, until: state.until, release: 'its end, or fairlead rollout promote --reason TEXT' };
  const parked = windowGateOf(state.outline, state.wave) !== null && !windowOpen(state.window, now);
  if (state.phase === 'Gated') {
    const shut = state.gates.filter(({ open }) => !open);
    const [first] = shut;
    if (first) return { for: `${shut.map(gateText).join('; ')} before wave ${wave?.number}`, since: first.since, until: timeoutAt(first), release: releaseOf(first) };
  }
  if (parked) return { for: `the window of wave ${wave?.number} to open${draining}`, since: state.window?.since ?? state.since, until: state.window?.until ?? null, release: 'the window' + (state.phase === 'Gated' ? ', or fairlead rollout promote --reason TEXT' : '') };
  if (state.phase === 'Gated') return { for: `wave ${wave?.number}`, since: state.since, until: null, release: 'control, at once' };
  const done = settledOf(sumOfCounts(state.shards.map(({ counts }) => counts)));
  return { for: `hosts of wave ${wave?.number}: ${done} of ${wave?.hosts} done`, since: state.since, until: null, release: 'the end of their runs' };
}

function gateText({ gate, approvals, note }: GateStanding): string {
  const seen = note === null ? '' : ` (${note})`;
  if (gate.kind === 'approval') return `gate ${gate.name}: ${approvals.length} of ${gate.quorum} approvals${seen}`;
  return `gate ${gate.name}: ${gate.kind === 'metric' ? `query ${gate.query}` : `answer of ${gate.url}`}${seen}`;
}

const releaseOf = ({ gate }: GateStanding): string =>
  gate.kind === 'approval' ? `somebody with the role ${gate.role}${gate.requesterMayApprove ? '' : ', not who asked for the rollout'}: fairlead rollout approve` : `the ${gate.kind === 'metric' ? 'metric' : 'service'}, or fairlead rollout promote --reason TEXT`;
