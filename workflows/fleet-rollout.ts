import { ApplicationFailure, CancellationScope, allHandlersFinished, condition, continueAsNew, defineQuery, defineSignal, defineUpdate, getExternalWorkflowHandle, setCurrentDetails, setHandler, sleep, workflowInfo, type ChildWorkflowHandle } from '@temporalio/workflow';
import type { PlanAnswer } from '../activities/control/rollouts.ts';
import { rolloutWorkflowId, type RolloutId } from '../src/domain/ids.ts';
import { refuseCommand, type RolloutCommand } from '../src/domain/rollout/command.ts';
import { nextActions, type RolloutAction } from '../src/domain/rollout/decide.ts';
import type { RolloutEvent } from '../src/domain/rollout/event.ts';
import { freezeChangedSignal, newerRolloutSignal, rolloutCommandUpdate, shardOrderSignal, shardReportSignal, turnCameSignal, type RolloutEnd, type RolloutInput, type ShardReport } from '../src/domain/rollout/names.ts';
import { IllegalRolloutTransition, nextRolloutState, requestedRollout, type RolloutState } from '../src/domain/rollout/state.ts';
import { progressQuery } from '../src/domain/run/names.ts';
import type { RolloutStanding } from '../src/domain/rollout/standing.ts';
import { rolloutCalls } from './support/rollout-calls.ts';
import { createRolloutStory, type CarriedStory } from './support/rollout-story.ts';
import { commandDetail, eventOfCommand } from './support/rollout-commands.ts';
import { shardLost, startShard } from './support/rollout-shards.ts';
import { controlFailure } from './support/failures.ts';

const commandUpdate = defineUpdate<RolloutStanding, [RolloutCommand & { readonly commandId: string }]>(rolloutCommandUpdate);
const shardReported = defineSignal<[ShardReport]>(shardReportSignal);
const turnCame = defineSignal(turnCameSignal);
const newerRollout = defineSignal<[{ readonly rollout: RolloutId }]>(newerRolloutSignal);
const freezeChanged = defineSignal(freezeChangedSignal);
const standingQuery = defineQuery<RolloutStanding>(progressQuery);

/** A rollout that waits for another looks by itself now and then: the one before it may have been terminated by hand, and tells nobody. */
const turnLookMs = 30_000;
const longestWaitMs = 24 * 3_600_000;

/** Doubled from one attempt to keep the end to the next. */
const firstClosePauseMs = 10_000;
const longestClosePauseMs = 3_600_000;
/** A window that could not be asked for is closed, and asked for again. */
const windowLookMs = 60_000;

/** What goes over from one execution to the next where the history has grown long; hosts are never in it. */
interface Carried {
  readonly state: RolloutState;
  readonly story: CarriedStory;
}

/**
 * Takes a release across many hosts: decides through `nextActions`, acts through shards, activities and gates. Its state holds counts and never hosts, so that it is the same
 * for ten hosts and for ten thousand. People command it by the update `command`; it ends with a report in every case.
 */
export async function fleetRollout(input: RolloutInput, carried: Carried | null = null): Promise<RolloutEnd> {
  const { rolloutId, request } = input;
  let state = carried?.state ?? requestedRollout(input.requestedAt);
  let changes = 0;
  const under = new Set<string>();
  const shards = new Map<string, { readonly handle: ChildWorkflowHandle<never> | null; sent: string }>();
  const story = createRolloutStory(input, () => state, carried?.story ?? null);

  /** What comes too late for the state it was meant for (a report of a shard that has ended, an answer after an abort) is let go; people are refused beforehand. */
  function take(event: RolloutEvent): void {
    try {
      const before = state;
      state = nextRolloutState(state, event);
      story.tell(before, event);
    } catch (error) {
      if (!(error instanceof IllegalRolloutTransition)) throw error;
    }
    changes += 1;
  }

  setHandler(standingQuery, story.standing);
  setHandler(shardReported, ({ shard, attempt, retries, counts, direction, wave }) => {
    if (isOfNow(state, direction, wave)) take({ type: 'ShardReported', at: now(), shard, attempt, retries, counts });
  });
  setHandler(turnCame, () => take({ type: 'TurnCame', at: now() }));
  setHandler(newerRollout, ({ rollout }) => take({ type: 'NewerRolloutCame', at: now(), rollout }));
  setHandler(freezeChanged, () => void CancellationScope.nonCancellable(() => askOnce('freeze', lookForFreeze)));
  setHandler(
    commandUpdate,
    async (command) => {
      const { commandId } = command;
      await rolloutCalls.recordCommand({ rolloutId, command: command.command, by: 'by' in command ? command.by : command.approval.by, commandId, detail: commandDetail(command) });
      // The audit row stood first; meanwhile the rollout may have moved on.
      const refusal = refuseCommand(state, command);
      if (refusal) throw ApplicationFailure.nonRetryable(refusal.message, refusal.code, { reason: refusal });
      take(eventOfCommand(command, now()));
      return story.standing();
    },
    {
      description: 'pause, resume, abort, retry, promote, approve or reject',
      validator: (command) => {
        const refusal = refuseCommand(state, command);
        if (refusal) throw ApplicationFailure.nonRetryable(refusal.message, refusal.code, { reason: refusal });
      },
    },
  );
  CancellationScope.current()
    .cancelRequested.catch(() => take({ type: 'AbortRequested', at: now(), by: 'a cancel of the workflow', comment: null, updated: 'keep' }));

  /** Asks something whose answer is an event, once at a time. */
  async function askOnce(name: string, ask: () => Promise<void>): Promise<void> {
    if (under.has(name)) return;
    under.add(name);
    try {
      await ask();
    } finally {
      under.delete(name);
      changes += 1;
    }
  }
  /** What control cannot answer, and no further attempt would: the rollout is held with the reason, and somebody resumes or aborts it. */
  function hold(error: unknown, what: string): void {
    take({ type: 'PauseRequested', at: now(), by: 'fairlead', comment: controlFailure(error, what).message });
  }
  async function lookForFreeze(): Promise<void> {
    try {
      const freeze = await rolloutCalls.freezeNow({ product: request.product });
      take(freeze === null ? { type: 'FreezeLifted', at: now() } : { type: 'FreezeSet', at: now(), freeze });
    } catch (error) {
      hold(error, 'see whether a freeze holds');
    }
  }
  async function plan(): Promise<void> {
    let answer: PlanAnswer;
    try {
      answer = await rolloutCalls.planRollout(input);
    } catch (error) {
      answer = { kind: 'refused', reason: controlFailure(error, 'plan the rollout') };
    }
    if (answer.kind === 'refused') take({ type: 'PlanRefused', at: now(), reason: answer.reason });
    if (answer.kind === 'queued') {
      take({ type: 'RolloutQueued', at: now(), behind: answer.behind });
      for (const rollout of answer.supersedes) await tellOther(rollout, newerRolloutSignal, { rollout: rolloutId });
    }
    if (answer.kind === 'planned') {
      take({ type: 'PlanAccepted', at: now(), outline: answer.outline });
      await lookForFreeze();
    }
  }

  /** The end is kept, however long that takes: as long as it is not, the rollout is open for everybody who asks, and others wait behind it. */
  async function close(end: Parameters<typeof rolloutCalls.closeRollout>[0]['end']): Promise<{ queued: readonly RolloutId[] }> {
    const events = await story.settle();
    for (let pauseMs = firstClosePauseMs; ; pauseMs = Math.min(2 * pauseMs, longestClosePauseMs)) {
      try {
        return await rolloutCalls.closeRollout({ rolloutId, end, standing: story.standing(), events });
      } catch (error) {
        setCurrentDetails(`**ended** (${end.outcome}), and not kept yet. ${controlFailure(error, 'keep the end of the rollout').message}`);
        await sleep(pauseMs);
      }
    }
  }

  /** @returns whether the state was told something, so that it has to be asked again */
  async function act(action: RolloutAction): Promise<boolean> {
    switch (action.do) {
      case 'plan':
        await plan();
        return true;
      case 'tell':
        take(action.event);
        return true;
      case 'ask-gate':
        void askOnce(`gate ${action.gate.name}`, async () => {
          try {
            const { verdict, note } = await rolloutCalls.askGate({ gate: action.gate });
            take({ type: 'GateAnswered', at: now(), gate: action.gate.name, verdict, note });
          } catch (error) {
            take({ type: 'GateAnswered', at: now(), gate: action.gate.name, verdict: 'no_data', note: controlFailure(error, 'ask it').message });
          }
        });
        return false;
      case 'ask-window':
        void askOnce('window', async () => {
          try {
            const { open, until } = await rolloutCalls.askWindow({ gate: action.gate });
            take({ type: 'WindowAnswered', at: now(), open, until });
          } catch (error) {
            hold(error, `ask the calendar about the window of gate ${action.gate.name}`);
            take({ type: 'WindowAnswered', at: now(), open: false, until: new Date(Date.now() + windowLookMs).toISOString() });
          }
        });
        return false;
      case 'start-shard': {
        take(action.event);
        const key = `${action.shard.number}/${action.shard.attempt}`;
        const entry = { handle: null as ChildWorkflowHandle<never> | null, sent: JSON.stringify(action.order) };
        shards.set(key, entry);
        const place = { shard: action.shard.number, attempt: action.shard.attempt };
        startShard(input, action, (handle) => (entry.handle = handle as never))
          .then(
            ({ retries, counts }) => take({ type: 'ShardEnded', at: now(), ...place, retries, counts }),
            (error: unknown) => take({ type: 'ShardLost', at: now(), ...place, reason: shardLost(action, error) }),
          )
          .finally(() => shards.delete(key));
        return true;
      }
      case 'order-shard': {
        const entry = shards.get(`${action.shard}/${action.attempt}`);
        const text = JSON.stringify(action.order);
        if (!entry?.handle || entry.sent === text) return false;
        entry.sent = text;
        await entry.handle.signal(shardOrderSignal, action.order).catch(() => undefined); // It has just ended, and tells so itself.
        return false;
      }
      case 'wait':
      case 'end':
        return false;
    }
  }

  return CancellationScope.nonCancellable(async () => {
    for (;;) {
      const seen = changes;
      const actions = nextActions(state, now());
      let told = false;
      for (const action of actions) told = (await act(action)) || told;
      const end = actions.find((action) => action.do === 'end');
      if (end) {
        await condition(() => allHandlersFinished() && under.size === 0);
        const at = state.phase === 'Ended' ? state.at : now();
        const { queued } = await close({ outcome: end.outcome, ok: end.ok, reason: end.reason, at });
        for (const rollout of queued) await tellOther(rollout, turnCameSignal);
        return { rolloutId, outcome: end.outcome, ok: end.ok, reason: end.reason };
      }
      if (told || changes !== seen) continue;
      if (shards.size === 0 && under.size === 0 && workflowInfo().continueAsNewSuggested) {
        await condition(allHandlersFinished);
        if (changes === seen) await continueAsNew<typeof fleetRollout>(input, { state, story: await story.carry() });
        continue;
      }
      const wait = actions.find((action) => action.do === 'wait');
      story.show(wait?.waiting ?? null);
      const wakeAt = wait?.wakeAt ? Date.parse(wait.wakeAt) - Date.now() : longestWaitMs;
      const limit = state.phase === 'Queued' ? turnLookMs : Math.min(Math.max(wakeAt, 1), longestWaitMs);
      const woken = await condition(() => changes !== seen, limit);
      if (!woken && state.phase === 'Queued') take({ type: 'TurnCame', at: now() });
    }
  });

}

/** One that was terminated hears nothing. */
async function tellOther(rollout: RolloutId, signal: string, ...args: unknown[]): Promise<void> {
  await getExternalWorkflowHandle(rolloutWorkflowId(rollout)).signal(signal, ...args).catch(() => undefined);
}

/** Whether a report is of the wave that is under way, in the direction in which it is. */
const isOfNow = (state: RolloutState, direction: 'forward' | 'back', wave: number): boolean =>
  (state.phase === 'Rolling' || state.phase === 'RollingBack') && direction === (state.phase === 'Rolling' ? 'forward' : 'back') && state.outline.waves[state.wave]?.number === wave;

const now = (): string => new Date().toISOString();
