import { patched, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { RunId } from '../../src/domain/ids.ts';
import type { RolloutEvent } from '../../src/domain/rollout/event.ts';
import type { RolloutInput } from '../../src/domain/rollout/names.ts';
import { sumOfCounts } from '../../src/domain/rollout/outcome.ts';
import { gatherStoryMs, standingNow, type RolloutStanding } from '../../src/domain/rollout/standing.ts';
import type { RolloutState } from '../../src/domain/rollout/state.ts';
import type { RunEvent } from '../../src/domain/run/event.ts';
import type { Waiting } from '../../src/domain/run/report.ts';
import { createJournal } from './journal.ts';
import { rolloutCalls } from './rollout-calls.ts';
import { showOutcome } from './search-attributes.ts';

export interface CarriedStory {
  readonly sequence: number;
  readonly unsent: readonly RunEvent[];
}

/** What is told of a rollout while it is under way: its lines and its standing in PostgreSQL, the query, and the Web UI. */
export function createRolloutStory({ rolloutId, request }: RolloutInput, stateNow: () => RolloutState, carried: CarriedStory | null) {
  const journal = createJournal(rolloutId as string as RunId, (events) => rolloutCalls.noteRollout({ rolloutId, standing: standing(), events }), carried ?? undefined, gatherMs);
  let shown = '';

  const standing = (): RolloutStanding => standingNow(stateNow(), new Date().toISOString());

  if (carried === null) journal.tell('run_started', null, `${request.product} ${request.releaseId} across the fleet, asked for by ${request.requestedBy}`);

  return {
    standing,
    /** A line for what changed, where something did. */
    tell(before: RolloutState, event: RolloutEvent): void {
      const state = stateNow();
      const { status, wave, counts } = standing();
      const sum = sumOfCounts(counts);
      const data = { type: event.type, phase: state.phase, status, wave, counts: sum };
      if (event.type === 'ShardReported') return journal.tell('rollout_progress', null, `${sum.updated} updated, ${sum.failed} failed`, data);
      journal.tell(state.phase === 'Ended' ? 'run_ended' : 'rollout_changed', wave === null ? null : `wave ${wave}`, sentenceOf(before, state, event), data);
      if (state.phase === 'Ended') showOutcome(state.outcome);
    },
    /** In the Web UI: where it stands, what it waits for, who can release it. */
    show(waiting: Waiting | null): void {
      const { status, wave, counts } = standing();
      const sum = sumOfCounts(counts);
      const lines = [
        `**${status}**${wave === null ? '' : `, wave ${wave}`}: ${request.product} → ${request.releaseId}, asked for by ${request.requestedBy}`,
        `${sum.updated} updated, ${sum.failed} failed, ${sum.left} left, ${sum.returned} taken back`,
        waiting ? `Waiting for ${waiting.for}, since ${waiting.since}, until ${waiting.until ?? 'it comes'}. Released by ${waiting.release}.` : '',
      ];
      const text = lines.filter(Boolean).join('\n\n');
      if (text !== shown) setCurrentDetails((shown = text));
    },
    /** Waits for what is being written, and gives the lines that are not. */
    settle: () => journal.settle(),
    async carry(): Promise<CarriedStory> {
      const unsent = await journal.settle();
      return { sequence: journal.length(), unsent };
    },
  };
}

/** Runs that began before stories were gathered for longer go on as they did. */
function gatherMs(): number {
  const ms = gatherStoryMs(workflowInfo().historyLength);
  return ms > gatherStoryMs(0) && patched('long-stories-gather-longer') ? ms : gatherStoryMs(0);
}

function sentenceOf(before: RolloutState, state: RolloutState, event: RolloutEvent): string {
  if (state.phase === 'Ended') return `${state.outcome}${state.reason === null ? '' : `: ${state.reason.message}`}`;
  const by = 'by' in event ? ` by ${event.by}` : 'approval' in event ? ` by ${event.approval.by}` : 'gate' in event ? ` (${event.gate})` : 'shard' in event ? ` (shard ${event.shard})` : '';
  return before.phase === state.phase ? `${event.type}${by}` : `${event.type}${by}: ${state.phase}`;
}
