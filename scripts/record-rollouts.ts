import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { rolloutWorkflowId, type RolloutId } from '../src/domain/ids.ts';
import type { RolloutOutcome } from '../src/domain/rollout/outcome.ts';
import { startFleet, type Fleet } from '../test/support/fleet.ts';
import { startRolloutBed, type RolloutBed } from '../test/support/rollout-bed.ts';
import { approvalGate } from '../test/support/rollout-samples.ts';
import { renderHistory } from './history-text.ts';

interface Recording {
  readonly outcome: RolloutOutcome;
  run(fleet: Fleet): Promise<string>;
  /** Below the rollout's id; the rollout's own history where it is left out. */
  readonly shards: readonly (readonly [name: string, path: string])[];
}

/** Each brings about one path through the workflows of rollouts; in this order, because they build on each other. */
const recordings: Readonly<Record<string, Recording>> = {
  rollout: {
    outcome: 'succeeded',
    async run(fleet) {
      await fleet.release('r2');
      const gates = [{ kind: 'approval' as const, name: 'go', before: 'between' as const, requesterMayApprove: true, role: 'admin' }];
      const id = await fleet.rollOut('r2', { strategy: { waves: { by: 'count', hosts: 1 }, gates } });
      for (const wave of [1, 2]) {
        await fleet.until(id, `stands at the gate of wave ${wave}`, ({ standing }) => standing.status === 'gated' && standing.wave === wave);
        if (wave === 1) {
          await fleet.command(id, 'pause');
          await fleet.command(id, 'resume', { comment: 'a recording' });
        }
        await fleet.command(id, 'approve', { gate: 'go' });
      }
      return id;
    },
    shards: [['rollout-shard', 'wave-1/shard-0-1']],
  },
  'rollout-undone': {
    outcome: 'rolled_back',
    async run(fleet) {
      await fleet.release('r3');
      const file = join(fleet.layout('h3').stateRoot, 'data', 'faults.json');
      await fs.writeFile(file, JSON.stringify({ crashAtStart: true, releases: ['r3'] }));
      return fleet.rollOut('r3', { strategy: { waves: { by: 'count', hosts: 2 }, maxParallel: 1, budget: { count: 0, percent: null }, onFailure: 'roll-back-all' } });
    },
    shards: [
      ['rollout-shard-failed', 'wave-1/shard-0-1'],
      ['rollout-shard-back', 'wave-1-back/shard-0-1'],
    ],
  },
};

/** @param directory where the stack lies; made, and removed afterwards @param target where the recordings go */
export async function recordRollouts(directory: string, target: string): Promise<void> {
  await fs.mkdir(directory);
  const fleet = await startFleet({ dir: directory, nodes: 2, replace: { env: { FAIRLEAD_HEAL: 'report', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_SUPERVISE_SECONDS: '1' } } });
  const connection = await Connection.connect({ address: fleet.dev.summary.temporal });
  try {
    await fleet.release('r1');
    for (const host of fleet.hosts) await fleet.apply(host, 'r1');
    const { workflow } = new Client({ connection });
    for (const [name, { outcome, run, shards }] of Object.entries(recordings)) {
      const id = await run(fleet);
      const rollout = await fleet.ended(id);
      if (rollout.outcome !== outcome) throw new Error(`${name}: ${rollout.outcome} instead of ${outcome}: ${JSON.stringify(rollout.reason)}`);
      const own = rolloutWorkflowId(id as RolloutId);
      for (const [file, workflowId] of [[name, own], ...shards.map(([shard, path]) => [shard, `${own}/${path}`] as const)] as const) {
        const handle = workflow.getHandle(workflowId);
        await handle.result(); // What is told to control is there a moment before the last event.
        const text = renderHistory(await handle.fetchHistory());
        await fs.writeFile(join(target, `${file}.json`), text);
        process.stdout.write(`${file}: ${outcome}, ${text.split('\n').length - 3} events, ${Math.ceil(text.length / 1024)} KiB\n`);
      }
    }
  } finally {
    await connection.close();
    await fleet.end();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

/** Where a rollout from memory is to be recorded: its own history and those of its shards, by file. */
type Course = (bed: RolloutBed) => Promise<readonly (readonly [file: string, workflowId: string])[]>;

/** What it is that control fails at cannot be brought about from outside: a control that answers from memory stands in, on a real server. By the name of the first file. */
export const fromMemory: Readonly<Record<string, { readonly files: readonly string[]; readonly run: Course }>> = {
  'rollout-halted': {
    files: ['rollout-halted', 'rollout-shard-broken'],
    async run(bed) {
      bed.faults = { concludeHost: ({ host }) => host === 'h2' };
      const rollout = await bed.start(['h1', 'h2', 'h3', 'h4'], { maxParallel: 2 });
      await rollout.until('it is halted', ({ status }) => status === 'halted');
      await rollout.command({ command: 'abort', updated: 'keep' });
      await rollout.result();
      return [['rollout-halted', rollout.workflowId], ['rollout-shard-broken', `${rollout.workflowId}/wave-1/shard-0-1`]];
    },
  },
  'rollout-not-returned': {
    files: ['rollout-not-returned'],
    async run(bed) {
      const rollout = await bed.start(['h1', 'h2', 'h3'], { waves: { by: 'count', hosts: 1 }, gates: [{ ...approvalGate, before: [3], timeoutSeconds: null }] });
      await rollout.until('it stands at the gate', ({ status }) => status === 'gated');
      bed.faults = { readShard: ({ wave }) => wave === 2 };
      await rollout.command({ command: 'abort', updated: 'roll-back-all' });
      await rollout.result();
      return [['rollout-not-returned', rollout.workflowId]];
    },
  },
};

/** @param name of {@link fromMemory} @param target where the recordings go */
export async function recordFromMemory(name: string, target: string): Promise<void> {
  const bed = await startRolloutBed();
  try {
    for (const [file, workflowId] of (await fromMemory[name]?.run(bed)) ?? []) {
      await fs.writeFile(join(target, `${file}.json`), renderHistory(await bed.temporal.client.workflow.getHandle(workflowId).fetchHistory()));
      process.stdout.write(`${file}\n`);
    }
  } finally {
    await bed.end();
  }
}
