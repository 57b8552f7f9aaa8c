import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { ApplicationFailure, CancellationScope, ParentClosePolicy, condition, defineSignal, getExternalWorkflowHandle, setCurrentDetails, setHandler, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import type { HostRunEnd } from '../activities/control/rollout-hosts.ts';
import type { Reason } from '../src/domain/failure.ts';
import { hostWorkflowId, rolloutWorkflowId, type HostId, type RunId } from '../src/domain/ids.ts';
import { shardOrderSignal, shardReportSignal, type ShardInput, type ShardReport } from '../src/domain/rollout/names.ts';
import { noHosts, type HostCounts } from '../src/domain/rollout/outcome.ts';
import { countsOf, nextHosts, nextShardState, openShard, pauseBetween, releaseFor, reportNow, shardOver, waitOver, type ShardEvent, type ShardHost, type ShardOrder } from '../src/domain/rollout/shard.ts';
import type { RunReport } from '../src/domain/run/report.ts';
import type { UpdateRequest } from '../src/domain/update/request.ts';
import { concludeHost, rolloutCalls } from './support/rollout-calls.ts';
import { updateApply } from './update-apply.ts';
import { controlFailure, saidBy } from './support/failures.ts';
import { attributesOf } from './support/search-attributes.ts';

const orderSignal = defineSignal<[ShardOrder]>(shardOrderSignal);
const reportSignal = defineSignal<[ShardReport]>(shardReportSignal);

/** A host that another run holds is tried again, up to this long. */
const busyLimitMs = 1_800_000;
const firstBusyPauseMs = 1_000;
const longestBusyPauseMs = 15_000;

/**
 * Takes at most 500 hosts of one wave to the release, or back, in a window of parallel ones: a child for each, which is the host's own run, and one activity that
 * verifies and keeps its end. Tells the rollout at once of every failure. Ends when each host has, or when it was told to stop and nothing is in flight.
 */
export async function rolloutShard(input: ShardInput): Promise<ShardReport> {
  const { rolloutId, product, wave, shard, attempt, direction, offline } = input;
  const rows = await rolloutCalls.readShard({ rolloutId, wave, from: input.from, count: input.count });
  let state = openShard(rows, input.order, direction, offline, now());
  let changes = 0;
  const parent = getExternalWorkflowHandle(rolloutWorkflowId(rolloutId));
  let told: HostCounts = noHosts;
  const began = Date.now();
  let toldAt = began;
  /** Milliseconds until what is no news for the budget is told as well. */
  const untilReport = (): number => pauseBetween('reports', toldAt - began) - (Date.now() - toldAt);
  const nextLook = (): number => Date.now() + pauseBetween('looks', Date.now() - began);

  function take(event: ShardEvent): void {
    state = nextShardState(state, event);
    changes += 1;
    const counts = countsOf(state);
    const done = state.hosts.filter(({ standing }) => standing === 'settled').length;
    const inFlight = state.hosts.filter(({ standing }) => standing === 'running').map(({ host }) => host);
    setCurrentDetails([`**${state.order.mode}**: ${done} of ${state.hosts.length} hosts of wave ${wave} done, ${counts.failed} failed`, inFlight.length > 0 ? `In flight: ${inFlight.slice(0, 20).join(', ')}` : ''].filter(Boolean).join('\n\n'));
  }
  /** Set once control cannot keep what becomes of hosts: no further one is begun, those in flight end, and the shard fails with it, of which the rollout makes a halt. */
  let broken: Reason | null = null;
  function breakOff(error: unknown, what: string): void {
    const reason = controlFailure(error, what);
    broken ??= reason;
    take({ type: 'OrderCame', order: { ...state.order, mode: 'stop' } });
  }
  const report = (): ShardReport => ({ shard, attempt, direction, wave, retries: state.order.retries, counts: countsOf(state) });

  setHandler(orderSignal, (order) => {
    if (broken === null) take({ type: 'OrderCame', order });
  });
  CancellationScope.current()
    .cancelRequested.catch(() => take({ type: 'OrderCame', order: { ...state.order, mode: 'stop' } }));

  async function runHost(row: ShardHost): Promise<void> {
    const releaseId = releaseFor(state, row);
    const conclude = concludeHost(`verify ${row.host} on ${releaseId}`, input.verifySeconds);
    const run = await runOn(row.host, requestFor(input, row, releaseId));
    const { outcome, reasonClass } = await conclude({ rolloutId, host: row.host, product, direction, releaseId, run, verifySeconds: input.verifySeconds });
    take({ type: 'HostSettled', host: row.host, outcome, reasonClass });
  }

  return CancellationScope.nonCancellable(async () => {
    await keepSettled(rolloutId, rows, state.hosts);
    let lookAt = nextLook();
    while (!shardOver(state)) {
      if (waitOver(state, now())) {
        const missing = state.hosts.filter(({ standing }) => standing === 'away').map(({ host }) => ({ host, outcome: state.awayThen }));
        take({ type: 'WaitEnded' });
        try {
          await rolloutCalls.settleHosts({ rolloutId, hosts: missing });
        } catch (error) {
          breakOff(error, `keep that ${missing.length} hosts did not come`);
        }
        continue;
      }
      for (const row of nextHosts(state)) {
        take({ type: 'HostBegun', host: row.host });
        runHost(row).catch((error) => {
          breakOff(error, `keep what became of ${row.host}`);
          take({ type: 'HostDropped', host: row.host });
        });
      }
      const counts = countsOf(state);
      if (!same(counts, told) && (reportNow(told, counts, state.order) || untilReport() <= 0)) {
        told = counts;
        toldAt = Date.now();
        await parent.signal(reportSignal, report()).catch(() => undefined); // A rollout that was terminated hears nothing; the hosts in flight still end well.
        continue;
      }
      const away = state.hosts.filter(({ standing }) => standing === 'away').map(({ host }) => host);
      if (away.length > 0 && Date.now() >= lookAt) {
        try {
          for (const host of await rolloutCalls.hostsThere({ hosts: away })) take({ type: 'HostCame', host });
        } catch (error) {
          breakOff(error, 'see which hosts can be reached');
        }
        lookAt = nextLook();
        continue;
      }
      const seen = changes;
      const wakes = [...(same(counts, told) ? [] : [untilReport()]), ...(away.length > 0 ? [lookAt - Date.now(), untilOf(state.awayUntil)] : [])];
      if (wakes.length === 0) await condition(() => changes !== seen);
      else await condition(() => changes !== seen, Math.max(1, Math.min(...wakes)));
    }
    if (broken !== null) {
      const reason: Reason = broken;
      await parent.signal(reportSignal, report()).catch(() => undefined);
      throw ApplicationFailure.create({ message: reason.message, type: reason.code, nonRetryable: true, details: [{ reason }] });
    }
    return report();
  });
}

/** The host's run: its own workflow, under the id that is the host's lock. A host that another run holds is waited for, with a limit. */
async function runOn(host: HostId, request: UpdateRequest): Promise<HostRunEnd> {
  const startedAt = now();
  const began = Date.now();
  for (let pauseMs = firstBusyPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestBusyPauseMs)) {
    try {
      const child = await startChild(updateApply, {
        workflowId: hostWorkflowId(host, request.product),
        args: [request, {}, 'brief'],
        // A host's run comes to its own end whatever becomes of the rollout: half an update is worse than one too many.
        parentClosePolicy: ParentClosePolicy.ABANDON,
        workflowTaskTimeout: workflowInfo().taskTimeoutMs,
        memo: { requestId: request.requestId, requestedBy: request.requestedBy },
        staticSummary: `${request.product} ${request.releaseId} on ${host}`,
        staticDetails: `A part of ${workflowInfo().workflowId}. Asked for by ${request.requestedBy}.`,
        typedSearchAttributes: attributesOf({ host, product: request.product, release: request.releaseId }),
      });
      const runId = child.firstExecutionRunId as RunId;
      try {
        const { outcome, reason, recovery }: RunReport = await child.result();
        return { runId, startedAt, outcome, reason, recovery };
      } catch (error) {
        // Terminated by hand, or broken: what became of the host is not known.
        return { runId, startedAt, outcome: 'stranded', reason: { class: 'orchestrator', code: 'run_lost', message: `The run on ${host} did not come to its end: ${saidBy(error)}`, hint: `Look at the host: fairlead nodes show ${host}` }, recovery: null };
      }
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      if (Date.now() - began >= busyLimitMs) {
        return { runId: null, startedAt, outcome: 'refused', reason: { class: 'host', code: 'host_busy', message: `Host ${host} was held by other runs for ${busyLimitMs / 1000} s.`, hint: `See which: fairlead runs list --host ${host}` }, recovery: null };
      }
      await sleep(pauseMs);
    }
  }
}

function requestFor({ rolloutId, product, onHost, allowFailed, requestedBy, attempt, direction, order }: ShardInput, { host, artifactRole }: ShardHost, releaseId: UpdateRequest['releaseId']): UpdateRequest {
  return {
    ...onHost,
    // The way back is in place and quick: what was there before needs no trial.
    ...(direction === 'back' ? { strategy: 'rolling' as const } : {}),
    host,
    product,
    releaseId,
    role: artifactRole,
    ...(allowFailed || order.retries > 0 || attempt > 1 ? { allowFailed: true } : {}),
    requestedBy,
    requestId: `${rolloutId}/${direction}/${host}/${attempt}-${order.retries}`,
  };
}

/** What was at its end when the shard began and stands in no row yet: hosts that could not be reached. */
async function keepSettled(rolloutId: ShardInput['rolloutId'], rows: readonly { readonly host: HostId; readonly outcome: string | null }[], hosts: readonly ShardHost[]): Promise<void> {
  const before = new Map(rows.map(({ host, outcome }) => [host, outcome]));
  const news = hosts.flatMap(({ host, standing, outcome }) => (standing === 'settled' && outcome !== null && before.get(host) !== outcome ? [{ host, outcome }] : []));
  if (news.length > 0) await rolloutCalls.settleHosts({ rolloutId, hosts: news });
}

const now = (): string => new Date().toISOString();
const untilOf = (at: string | null): number => (at === null ? Infinity : Date.parse(at) - Date.now());
const same = (a: HostCounts, b: HostCounts): boolean => (Object.keys(a) as (keyof HostCounts)[]).every((key) => a[key] === b[key]);
