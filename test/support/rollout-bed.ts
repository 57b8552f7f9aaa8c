import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { RolloutHostActivities } from '../../activities/control/rollout-hosts.ts';
import type { RolloutActivities } from '../../activities/control/rollouts.ts';
import { controlTaskQueue, rolloutWorkflowId, type HostId, type ReleaseId, type RolloutId } from '../../src/domain/ids.ts';
import { fleetRolloutWorkflow, rolloutCommandUpdate, type RolloutEnd, type RolloutInput } from '../../src/domain/rollout/names.ts';
import { outlineOf } from '../../src/domain/rollout/outline.ts';
import { planRollout } from '../../src/domain/rollout/plan.ts';
import type { RolloutStrategy } from '../../src/domain/rollout/request.ts';
import type { ShardRow } from '../../src/domain/rollout/shard.ts';
import type { RolloutStanding } from '../../src/domain/rollout/standing.ts';
import { progressQuery } from '../../src/domain/run/names.ts';
import { eventually } from './eventually.ts';
import { fleetHost, request } from './rollout-samples.ts';
import { startTemporal, type TestTemporal } from './temporal.ts';

type Control = RolloutActivities & RolloutHostActivities;
export type ControlFaults = { readonly [Name in keyof Control]?: (input: Parameters<Control[Name]>[0]) => boolean };

/** The rollouts' own workflows on a real server, with a control that answers from memory, and hosts whose runs go well at once. */
export interface RolloutBed {
  readonly temporal: TestTemporal;
  /** Activities that fail, so that no further attempt is made, as long as what stands here says so of their input. */
  faults: ControlFaults;
  start(hosts: readonly string[], strategy?: Partial<RolloutStrategy>): Promise<StartedRollout>;
  end(): Promise<void>;
}

export interface StartedRollout {
  readonly handle: WorkflowHandle;
  /** Ids of its shards' workflows begin with it. */
  readonly workflowId: string;
  standing(): Promise<RolloutStanding>;
  until(what: string, holds: (standing: RolloutStanding) => boolean): Promise<RolloutStanding>;
  command(command: Readonly<Record<string, unknown>>): Promise<RolloutStanding>;
  result(): Promise<RolloutEnd>;
}

export const refusal = 'invalid byte sequence for encoding "UTF8": 0x00';
const limitMs = 60_000;

export async function startRolloutBed(): Promise<RolloutBed> {
  const rows = new Map<string, readonly ShardRow[]>();
  const bed = { faults: {} as ControlFaults };
  const guarded = <Name extends keyof Control>(name: Name, answer: (input: Parameters<Control[Name]>[0]) => Awaited<ReturnType<Control[Name]>>) => async (input: Parameters<Control[Name]>[0]) => {
    if (bed.faults[name]?.(input)) {
      const reason = { class: 'orchestrator', code: 'database_failed', message: refusal };
      throw ApplicationFailure.create({ message: 'a step of control failed', type: reason.code, nonRetryable: true, details: [{ reason, evidence: [], attempt: 1 }] });
    }
    return answer(input);
  };
  const control: { readonly [Name in keyof Control]: (input: Parameters<Control[Name]>[0]) => Promise<unknown> } = {
    planRollout: guarded('planRollout', ({ rolloutId, request: asked, requestedAt }) => {
      const hosts = asked.target.kind === 'hosts' ? asked.target.hosts : [];
      const decision = planRollout(hosts.map((host) => fleetHost(host)), asked, requestedAt);
      if (decision.kind === 'refuse') return { kind: 'refused', reason: decision.reason };
      for (const { number, hosts: planned } of decision.plan.waves) rows.set(`${rolloutId} ${number}`, planned.map((row) => ({ ...row, toReleaseId: asked.releaseId, outcome: null, reasonClass: null }) as unknown as ShardRow));
      return { kind: 'planned', outline: outlineOf(decision.plan, asked) };
    }),
    readShard: guarded('readShard', ({ rolloutId, wave, from, count }) => (rows.get(`${rolloutId} ${wave}`) ?? []).slice(from, from + count)),
    concludeHost: guarded('concludeHost', ({ rolloutId, host, direction }) => {
      const outcome = direction === 'back' ? ('returned' as const) : ('updated' as const);
      for (const [key, list] of rows) if (key.startsWith(rolloutId)) rows.set(key, list.map((row) => (row.host === host ? { ...row, outcome } : row)));
      return { outcome, reasonClass: null };
    }),
    settleHosts: guarded('settleHosts', () => undefined),
    hostsThere: guarded('hostsThere', ({ hosts }) => hosts),
    freezeNow: guarded('freezeNow', () => null),
    askGate: guarded('askGate', () => ({ verdict: 'pass', note: 'fine' })),
    askWindow: guarded('askWindow', () => ({ open: true, until: null })),
    noteRollout: guarded('noteRollout', () => undefined),
    recordCommand: guarded('recordCommand', () => undefined),
    closeRollout: guarded('closeRollout', () => ({ queued: [] })),
  };
  const temporal = await startTemporal(controlTaskQueue, { workflows: 'rollouts.ts', activities: control });
  return Object.assign(bed, {
    temporal,
    async start(hosts: readonly string[], strategy: Partial<RolloutStrategy> = {}): Promise<StartedRollout> {
      const rolloutId = randomUUID() as string as RolloutId;
      const asked = request({ waves: { by: 'count', hosts: 10 }, bakeSeconds: 0, decisionSeconds: null, ...strategy }, { target: { kind: 'hosts', hosts: hosts as HostId[] }, releaseId: 'r2' as ReleaseId });
      const input: RolloutInput = { rolloutId, request: asked, requestedAt: new Date().toISOString() };
      const workflowId = rolloutWorkflowId(rolloutId);
      const handle = await temporal.client.workflow.start(fleetRolloutWorkflow, { workflowId, taskQueue: controlTaskQueue, args: [input] });
      const standing = () => handle.query<RolloutStanding>(progressQuery);
      let commands = 0;
      return {
        handle,
        workflowId,
        standing,
        until: (what, holds) =>
          eventually(what, async () => {
            const now = await standing();
            return holds(now) ? now : null;
          }, limitMs) as Promise<RolloutStanding>,
        command: (command) => handle.executeUpdate<RolloutStanding, [object]>(rolloutCommandUpdate, { args: [{ commandId: `c${(commands += 1)}`, by: 'bob', comment: null, ...command }] }),
        result: () => handle.result() as Promise<RolloutEnd>,
      };
    },
    end: () => temporal.end(),
  });
}
