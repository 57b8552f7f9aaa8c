import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  defineQuery,
  defineUpdate,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Reason } from '../src/domain/failure.ts';
import { hostWorkflowId, type RunId } from '../src/domain/ids.ts';
import { joinRestartUpdate, progressQuery, restartBegan } from '../src/domain/run/names.ts';
import type { RunProgress, RunReport, Waiting } from '../src/domain/run/report.ts';
import { decideGathering, defaultGathering, mergeRestarts, type GatheringPolicy } from '../src/domain/service/coalesce.ts';
import type { RestartRequest } from '../src/domain/service/request.ts';
import { nextServiceState, serviceOutcomeOf, type ServiceEvent, type ServiceState } from '../src/domain/service/state.ts';
import { controlCalls } from './support/control-calls.ts';
import { isCancel } from './support/failures.ts';
import type { RunTiming } from './support/host-calls.ts';
import { takeTurn } from './support/host-turn.ts';
import { createJournal } from './support/journal.ts';
import { serviceChange, type GatheredRun } from './service-change.ts';
import { attributesOf, showOutcome } from './support/search-attributes.ts';

/** What somebody who joined gets: the run that does the restart, and whether it was there before. */
export interface JoinedRestart {
  readonly runId: RunId;
  readonly joined: boolean;
}

/** The restart has begun: it goes on under the host's own workflow id, as the same run. */
export interface RestartHandedOver {
  readonly handedTo: { readonly workflowId: string; readonly temporalRunId: string };
}

export interface RestartTiming extends GatheringPolicy {
  /** How long the run may wait for its turn on the host. Milliseconds. */
  readonly turnWaitMs: number;
  readonly change: Partial<RunTiming>;
}

const defaultRestartTiming: RestartTiming = { ...defaultGathering, turnWaitMs: 1_800_000, change: {} };

const progress = defineQuery<RunProgress>(progressQuery);
const join = defineUpdate<JoinedRestart, [RestartRequest]>(joinRestartUpdate);

/**
 * Gathers the requests to restart a service, waits for its turn on the host, and hands all of them over as one restart, which goes on under the host's
 * workflow id. Until then everybody who asks joins; who comes later is turned away by a failure of type `RestartBegan`, asks again, and gets the next
 * run, which gathers while this restart goes on. The run is one, with one id, story and report, though two workflows carry it.
 */
export async function serviceRestart(first: RestartRequest, timing: Partial<RestartTiming> = {}): Promise<RestartHandedOver | RunReport> {
  const { quietMs, longestMs, turnWaitMs, change } = { ...defaultRestartTiming, ...timing };
  const { workflowId, runId: temporalRunId, startTime, taskTimeoutMs } = workflowInfo();
  const runId = temporalRunId as RunId;
  const startedAt = startTime.toISOString();
  const hostId = hostWorkflowId(first.host, first.product);
  const asked: { request: RestartRequest; at: number }[] = [{ request: first, at: startTime.getTime() }];
  const write = (events: Parameters<typeof controlCalls.recordEvents>[0]['events']) => controlCalls.recordEvents({ events });

  let journal = createJournal(runId, write);
  let state: ServiceState = { phase: 'Gathering', service: first.service, requests: 1 };
  let waiting: Waiting | null = null;
  /** While the host is being taken nobody can say which restart a request belongs to: it waits for the answer. */
  let taking = false;
  let over = false;

  // All handlers before the first await: a request may have come together with the start.
  setHandler(progress, () => ({ phase: state.phase, step: null, stepsDone: 0, stepsPlanned: 0, direction: 'do' as const, waiting, steps: [] }));
  setHandler(join, async (request) => {
    await condition(() => !taking);
    if (over) throw ApplicationFailure.nonRetryable(`the restart of ${first.service} has begun; this request belongs to the next one`, restartBegan);
    if (asked.some((other) => other.request.requestId === request.requestId)) return { runId, joined: request.requestId !== first.requestId };
    asked.push({ request, at: Date.now() });
    advance({ type: 'RequestJoined' });
    journal.tell('waiting', null, `${request.requestedBy} asks for the same: ${asked.length} requests`, { requestId: request.requestId });
    return { runId, joined: true };
  });

  function advance(event: ServiceEvent): void {
    state = nextServiceState(state, event);
    showDetails();
  }

  function wait(next: Waiting | null): void {
    if (next && waiting?.for !== next.for) journal.tell('waiting', null, `Waiting for ${next.for}`, { ...next });
    waiting = next;
    showDetails();
  }

  function showDetails(): void {
    const lines = [
      `**${state.phase}**: restart ${first.service} of ${first.product} on ${first.host}, asked for ${asked.length} ${asked.length === 1 ? 'time' : 'times'}`,
      waiting ? `Waiting for ${waiting.for}, since ${waiting.since}, until ${waiting.until ?? 'it comes'}. Released by ${waiting.release}.` : '',
    ];
    setCurrentDetails(lines.filter(Boolean).join('\n\n'));
  }

  async function gather(): Promise<void> {
    for (;;) {
      const decision = decideGathering(asked.map(({ at }) => at), Date.now(), { quietMs, longestMs });
      if (decision.begin) return;
      wait({
        for: `further requests to restart ${first.service}, which are done in one restart`,
        since: startedAt,
        until: new Date(decision.dueAt).toISOString(),
        release: 'nobody has to: it begins by itself',
      });
      const count = asked.length;
      await condition(() => asked.length !== count, decision.dueAt - Date.now());
    }
  }

  /** One try to get the host's lock. @returns null while another run has it */
  async function takeHost(): Promise<RestartHandedOver | null> {
    const request = mergeRestarts(asked.map((each) => each.request));
    taking = true;
    // Nothing more is told by this workflow once the other one goes on with the story.
    const unsent = await journal.settle();
    const story = { sequence: journal.length(), unsent };
    const gathered: GatheredRun = { runId, workflowId, startedAt, requestIds: asked.map((each) => each.request.requestId), story };
    try {
      const child = await startChild(serviceChange, {
        workflowId: hostId,
        args: [request, gathered, change],
        // It outlives this workflow, which ends here so that the next restart can gather.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        workflowTaskTimeout: taskTimeoutMs ?? 10_000,
        memo: { runId, requestId: first.requestId, requestedBy: request.requestedBy },
        staticSummary: `restart ${request.service} of ${request.product} on ${request.host}`,
        staticDetails: `Asked for by ${request.requestedBy}. Carries out run ${runId}, which gathered ${asked.length} requests.`,
        typedSearchAttributes: attributesOf({ host: request.host, product: request.product, release: request.releaseId }),
      });
      over = true;
      return { handedTo: { workflowId: hostId, temporalRunId: child.firstExecutionRunId } };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      journal = createJournal(runId, write, story);
      return null;
    } finally {
      taking = false;
    }
  }

  async function waitForTurn(): Promise<RestartHandedOver> {
    const taken = await takeTurn({
      ...{ host: first.host, product: first.product, runId, limitMs: turnWaitMs, wait, waiter: 'a restart', hint: 'Nothing was touched. Ask again when that run has ended.' },
      take: () => CancellationScope.nonCancellable(takeHost),
      notCome: (reason) => new TurnNotCome(reason),
    });
    if (CancellationScope.current().consideredCancelled) await CancellationScope.nonCancellable(() => getExternalWorkflowHandle(hostId, taken.handedTo.temporalRunId).cancel());
    return taken;
  }

  async function end(): Promise<RunReport> {
    over = true;
    wait(null);
    const outcome = serviceOutcomeOf(state);
    if (!outcome) throw new Error(`the restart ended in state ${state.phase}`);
    const report: RunReport = {
      schema: 1,
      runId,
      workflowId,
      kind: 'restart',
      host: first.host,
      product: first.product,
      fromReleaseId: null,
      toReleaseId: first.releaseId,
      artifactRole: 'node',
      artifactProfile: '',
      requestedBy: mergeRestarts(asked.map(({ request }) => request)).requestedBy,
      startedAt,
      endedAt: new Date().toISOString(),
      outcome,
      reason: 'reason' in state ? state.reason : null,
      steps: [],
      evidence: [],
      backupPath: null,
      recovery: null,
    };
    showOutcome(outcome);
    journal.tell('run_ended', null, outcome, { outcome, reason: report.reason });
    await controlCalls.closeRun({ report, events: await journal.settle() });
    await condition(allHandlersFinished);
    return report;
  }

  journal.tell('run_started', null, `restart ${first.service} of ${first.product} on ${first.host}, asked for by ${first.requestedBy}`);
  try {
    await controlCalls.openServiceRun({ runId, workflowId, kind: 'restart', request: first, requestedAt: startedAt });
    await gather();
    advance({ type: 'GatheringEnded' });
    const handedOver = await waitForTurn();
    wait(null);
    await condition(allHandlersFinished);
    return handedOver;
  } catch (error) {
    if (isCancel(error, CancellationScope.current().consideredCancelled)) {
      advance({ type: 'CancelRequested', step: 'gather', reason: { class: 'request', code: 'cancelled', message: 'The run was cancelled before its restart began.', hint: 'Ask again when it is wanted.' } });
    } else if (error instanceof TurnNotCome) {
      advance({ type: 'PreconditionFailed', reason: error.reason });
    } else {
      throw error;
    }
    return CancellationScope.nonCancellable(end);
  }
}

/** The host was held by others for as long as the run may wait. */
class TurnNotCome extends Error {
  readonly reason: Reason;
  constructor(reason: Reason) {
    super(reason.message);
    this.reason = reason;
  }
}
