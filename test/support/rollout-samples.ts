import type { Reason } from '../../src/domain/failure.ts';
import type { HostId, ProductName, ReleaseId } from '../../src/domain/ids.ts';
import type { RolloutEvent } from '../../src/domain/rollout/event.ts';
import type { Freeze } from '../../src/domain/rollout/freeze.ts';
import type { FleetHost } from '../../src/domain/rollout/fleet.ts';
import { standingOf, type ApprovalGate, type MetricGate, type WindowGate } from '../../src/domain/rollout/gate.ts';
import { noHosts } from '../../src/domain/rollout/outcome.ts';
import type { RolloutOutline } from '../../src/domain/rollout/outline.ts';
import { defaultStrategy, rolloutRequest, type RolloutRequest, type RolloutStrategy } from '../../src/domain/rollout/request.ts';
import { shardsOfWave } from '../../src/domain/rollout/shards.ts';
import type { RolloutState, Stop } from '../../src/domain/rollout/state.ts';

/** One state and one event of each kind, for walking every pair: by the tests, and by the page that shows the machine. */
export const at = '2026-11-21T12:00:00.000Z';
export const later = (seconds: number): string => new Date(Date.parse(at) + seconds * 1000).toISOString();
export const reason: Reason = { class: 'release', code: 'budget_exceeded', message: '2 of 10 hosts failed; 1 may.' };

export const approvalGate: ApprovalGate = { kind: 'approval', name: 'go', before: 'between', role: 'approver', quorum: 2, requesterMayApprove: false, commentRequired: true, timeoutSeconds: 3600, onTimeout: 'abort' };
export const metricGate: MetricGate = { kind: 'metric', name: 'errors', before: 'between', url: 'http://127.0.0.1:9090', query: 'errors', min: null, max: 5, everySeconds: 30, timeoutSeconds: null, onTimeout: 'keep-waiting' };
export const windowGate: WindowGate = { kind: 'window', name: 'night', before: 'all', window: { cron: '0 2 * * *', zone: 'Europe/Berlin', durationSeconds: 7200 } };

export const request = (strategy: Partial<RolloutStrategy> = {}, more: Partial<RolloutRequest> = {}): RolloutRequest =>
  rolloutRequest({ product: 'lab' as ProductName, releaseId: 'r2' as ReleaseId, requestedBy: 'ada', requestId: 'q1', ...more, strategy });

export const fleetHost = (host: string, more: Partial<FleetHost> = {}): FleetHost => ({ host: host as HostId, role: 'node', status: 'connected', releaseId: 'r1' as ReleaseId, failedReleaseIds: [], stranded: false, ...more });

/** One controller, then two waves of nodes. */
export const sampleOutline = (strategy: Partial<RolloutStrategy> = {}): RolloutOutline => ({
  product: 'lab' as ProductName,
  toReleaseId: 'r2' as ReleaseId,
  requestedBy: 'ada',
  strategy: { ...defaultStrategy, budget: { count: 1, percent: null }, ...strategy },
  waves: [
    { number: 0, role: 'controller', hosts: 1 },
    { number: 1, role: 'node', hosts: 4 },
    { number: 2, role: 'node', hosts: 6 },
  ],
  scope: 11,
  changing: 11,
  unchanged: 0,
  skipped: 0,
  shardHosts: 500,
});

const outline = sampleOutline({ gates: [approvalGate, metricGate] });
const stop: Stop = { cause: 'budget', policy: 'roll-back-all', reason };
const base = { outline, counts: [{ ...noHosts, updated: 1 }, noHosts, noHosts], pause: null, freeze: null, window: null };
const running = shardsOfWave(outline, 1).map((shard) => ({ ...shard, standing: 'running' as const, parallel: 10, failuresAllowed: 1 }));

export const sampleStates: { readonly [Phase in RolloutState['phase']]: Extract<RolloutState, { phase: Phase }> } = {
  Requested: { phase: 'Requested', since: at },
  Queued: { phase: 'Queued', behind: 'rollout-0', since: at },
  Planned: { ...base, phase: 'Planned', since: at },
  Gated: { ...base, phase: 'Gated', wave: 1, since: at, gates: [standingOf(approvalGate, at), standingOf(metricGate, at)] },
  Rolling: { ...base, phase: 'Rolling', wave: 1, since: at, shards: running, stopping: null },
  Baking: { ...base, phase: 'Baking', wave: 0, since: at, until: later(60) },
  Halted: { ...base, phase: 'Halted', wave: 1, since: at, until: later(600), stop, shards: running.map((shard) => ({ ...shard, standing: 'ended', counts: { ...noHosts, updated: 2, failed: 2 } })) },
  RollingBack: { ...base, phase: 'RollingBack', wave: 1, remaining: [0], since: at, shards: running, stop, stopping: null },
  Ended: { phase: 'Ended', outcome: 'failed', ok: false, reason, at, outline, counts: base.counts },
};

export const freeze: Freeze = { id: 'f1', product: null, reason: 'quarter end', setBy: 'bob', since: at, until: later(3600) };
const approval = { by: 'bob', role: 'approver', comment: 'looks good', at };

export const sampleEvents: { readonly [Type in RolloutEvent['type']]: Extract<RolloutEvent, { type: Type }> } = {
  RolloutQueued: { type: 'RolloutQueued', behind: 'rollout-0', at },
  TurnCame: { type: 'TurnCame', at },
  PlanAccepted: { type: 'PlanAccepted', outline, at },
  PlanRefused: { type: 'PlanRefused', reason, at },
  RolloutBegun: { type: 'RolloutBegun', at },
  GateAnswered: { type: 'GateAnswered', gate: 'errors', verdict: 'pass', note: 'errors is 1', at },
  GateApproved: { type: 'GateApproved', gate: 'go', approval, at },
  GateRejected: { type: 'GateRejected', gate: 'go', approval, at },
  GateTimedOut: { type: 'GateTimedOut', gate: 'go', at },
  WindowAnswered: { type: 'WindowAnswered', open: true, until: later(3600), at },
  GatesOpened: { type: 'GatesOpened', at },
  ShardStarted: { type: 'ShardStarted', shard: 0, attempt: 1, parallel: 10, failuresAllowed: 1, at },
  ShardReported: { type: 'ShardReported', shard: 0, attempt: 1, retries: 0, counts: { ...noHosts, updated: 1 }, at },
  ShardEnded: { type: 'ShardEnded', shard: 0, attempt: 1, retries: 0, counts: { ...noHosts, updated: 4 }, at },
  ShardLost: { type: 'ShardLost', shard: 0, attempt: 1, reason: { class: 'orchestrator', code: 'shard_lost', message: 'its workflow failed' }, at },
  BakeEnded: { type: 'BakeEnded', at },
  DecisionDue: { type: 'DecisionDue', at },
  FreezeSet: { type: 'FreezeSet', freeze, at },
  FreezeLifted: { type: 'FreezeLifted', at },
  PauseRequested: { type: 'PauseRequested', by: 'bob', comment: 'looking', at },
  ResumeRequested: { type: 'ResumeRequested', by: 'bob', at },
  AbortRequested: { type: 'AbortRequested', by: 'bob', comment: null, updated: 'keep', at },
  RetryRequested: { type: 'RetryRequested', by: 'bob', at },
  PromoteRequested: { type: 'PromoteRequested', by: 'bob', at },
  NewerRolloutCame: { type: 'NewerRolloutCame', rollout: 'rollout-2', at },
};
