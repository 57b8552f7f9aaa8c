import { execFile, fork, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { Client, Connection, type WorkflowExecutionInfo } from '@temporalio/client';
import { createDatabase, createStores } from '../src/adapters/postgres/index.ts';
import type { RolloutId } from '../src/domain/ids.ts';
import type { FailurePolicy } from '../src/domain/rollout/request.ts';
import { startDev, type RunningDev } from '../src/runtime/dev/index.ts';
import { databaseUrlOf } from './support/dev-database.ts';
import { machine, shown } from './support/figures.ts';
import { mostAtOnce, problemsOf } from './support/fleet-check.ts';
import { minimumOf } from './support/fleet-minimum.ts';
import type { FleetOrder, FleetTally } from './support/fleet-process.ts';
import { bundleInstantProduct } from './support/instant-product.ts';
import { peakMiB, processorMsOfTrees } from './support/proc.ts';
import { createSimulatedHost, isFated, simulatedHostId } from './support/simulated-host.ts';

/**
 * One rollout over a simulated fleet: PostgreSQL, Temporal, API and control as `fairlead dev` starts them; of the hosts only the agents' pollers are real, each on
 * its own queue, many in one process. Their activities wait a moment, answer as hosts would, and fail on a share of the hosts.
 * Run: `node bench/fleet.ts [--hosts 1000] [--fail 0.02] [--parallel 50] [--budget 5] [--policy keep] [--wait-ms 10] [--file] [--minutes 20]`. Exit code 1: something did not hold.
 */
const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '1000' },
    fail: { type: 'string', default: '0.02' },
    parallel: { type: 'string', default: '50' },
    budget: { type: 'string', default: '5' },
    policy: { type: 'string', default: 'keep' },
    'wait-ms': { type: 'string', default: '10' },
    /** Temporal's runs in a file, as in production; else in memory. */
    file: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '20' },
  },
});
const hosts = Number(values.hosts);
const failShare = Number(values.fail);
const maxParallel = Number(values.parallel);
const budget = { count: null, percent: Number(values.budget) };
const policy = values.policy as FailurePolicy;
const waitMs = Number(values['wait-ms']);
const hostsPerProcess = 5_000;
const sampledRuns = 50;
const launcher = join(import.meta.dirname, '../bin/fairlead');
const asked = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => asked.abort(new Error(`ended by ${signal}`)));

const dir = await fs.mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fairlead-bench-fleet-'));
await fs.chmod(dir, 0o755);
const fleets: ChildProcess[] = [];
let dev: RunningDev | null = null;
console.log(`${machine()}; ${hosts} hosts, ${maxParallel} at a time, the release fails on ${100 * failShare} % of them, ${budget.percent} % may, Temporal's runs in ${values.file ? 'a file' : 'memory'}`);
try {
  // No host of its own is started, so that no agent has to be built.
  dev = await startDev({ dir, hosts: 0, env: process.env, say: (line) => console.log(`  ${line}`), cancel: asked.signal, temporalInMemory: !values.file, replace: { anyPorts: true, agentFile: launcher } });
  process.exitCode = (await measure(dev)) ? 0 : 1;
} catch (error) {
  if (!asked.signal.aborted) throw error;
  console.log(String(asked.signal.reason));
  process.exitCode = 130;
} finally {
  for (const fleet of fleets) if (fleet.connected) fleet.disconnect();
  await dev?.stop();
  await fs.rm(dir, { recursive: true, force: true });
}

async function measure({ summary, pids }: RunningDev): Promise<boolean> {
  const databaseUrl = databaseUrlOf(dev as RunningDev);
  const database = createDatabase(databaseUrl, { poolSize: 2 });
  const connection = Connection.lazy({ address: summary.temporal });
  try {
    const [old, next] = await Promise.all(['r1', 'r2'].map((releaseId) => bundleInstantProduct(join(dir, 'bundles'), releaseId)));
    if (!old || !next) throw new Error('there is nothing to roll out');
    await promisify(execFile)(launcher, ['release', 'publish', old.file, next.file, '--dir', dir]);
    const { product, releaseId: to } = next.artifact;
    const from = old.artifact.releaseId;

    const began = performance.now();
    const parts = Math.ceil(hosts / hostsPerProcess);
    await Promise.all(
      Array.from({ length: parts }, (_, part) => {
        const [first, last] = [Math.floor((hosts * part) / parts), Math.floor((hosts * (part + 1)) / parts)];
        return startFleet({ temporal: summary.temporal, databaseUrl, product, from, to, first, last, failShare, waitMs });
      }),
    );
    console.log(`  ${hosts} agents in ${parts} processes ask for work after ${((performance.now() - began) / 1000).toFixed(1)} s`);

    const processes: Record<string, number[]> = { ...Object.fromEntries(['temporal', 'control', 'api', 'postgres'].flatMap((name) => (pids()[name] ? [[name, [pids()[name] as number]]] : []))), agents: fleets.flatMap(({ pid }) => pid ?? []) };
    const spent = (): Record<string, number> => Object.fromEntries(Object.entries(processes).map(([name, roots]) => [name, processorMsOfTrees(roots)]));
    const stores = createStores(database);
    const before = spent();
    const startedAt = performance.now();
    const rolloutId = await rollOut(product, to);
    let said = startedAt;
    for (;;) {
      await sleep(250, undefined, { signal: asked.signal });
      const row = await stores.rollouts.find(rolloutId);
      if (row?.endedAt) break;
      if (performance.now() - said > 30_000) {
        said = performance.now();
        const { settled } = await database.query('counting hosts that have ended', (db) => db.selectFrom('rollout_hosts').select((e) => e.fn.count<string>('outcome').as('settled')).where('rollout_id', '=', rolloutId).executeTakeFirstOrThrow());
        console.log(`  after ${((said - startedAt) / 1000).toFixed(0)} s: ${settled} hosts have ended, ${row?.standing.status} in wave ${row?.standing.wave}`);
      }
      if (performance.now() - startedAt < Number(values.minutes) * 60_000) continue;
      console.log(`  NOT ENDED after ${values.minutes} minutes; the figures are of what was done by then: ${JSON.stringify(row?.standing)}`);
      break;
    }
    const seconds = (performance.now() - startedAt) / 1000;
    const after = spent();
    const peaks = Object.entries(processes).filter(([name]) => name !== 'postgres').map(([name, roots]) => `${name} ${roots.map((pid) => peakMiB(pid).toFixed(0)).join(' + ')}`);

    const row = await stores.rollouts.find(rolloutId);
    const rows = await database.query('reading how the hosts ended', (db) => db.selectFrom('rollout_hosts').select(['host', 'outcome']).where('rollout_id', '=', rolloutId).execute());
    const runs = await database.query('reading the runs', (db) => db.selectFrom('runs').select(['requested_at', 'ended_at']).where('to_release_id', '=', to).execute());
    const tallies = await Promise.all(fleets.map(tallyOf));
    const seen = new Map(tallies.flatMap((tally) => tally.hosts.map((host) => [host.host, host] as const)));
    const fated = new Set(Array.from({ length: hosts }, (_, at) => at).filter((at) => isFated(at, failShare)).map(simulatedHostId));
    const intervals = runs.map(({ requested_at, ended_at }) => ({ from: requested_at.getTime(), to: ended_at?.getTime() ?? Infinity }));
    const most = mostAtOnce(intervals);
    const problems = row?.endedAt == null ? ['the rollout has not ended'] : problemsOf({ budget, policy, maxParallel, outcome: row?.outcome ?? null, ok: row?.ok ?? null, rows, hosts: seen, fated, from, to, mostAtOnce: most });

    const done = rows.filter(({ outcome }) => outcome !== null).length;
    const outcomes = Object.entries(Object.groupBy(rows, ({ outcome }) => outcome ?? 'not begun')).map(([outcome, all]) => `${all?.length} ${outcome}`);
    console.log(`the rollout                ${row?.outcome ?? row?.standing.status} in ${seconds.toFixed(1)} s: ${outcomes.join(', ')}; at most ${most} at once`);
    console.log(`  hosts per second         ${(done / seconds).toFixed(1)}`);
    console.log(`  processor for each host  ${Object.entries(after).map(([name, ms]) => `${name} ${((ms - (before[name] ?? 0)) / done).toFixed(0)}`).join(', ')} ms`);
    console.log(`  peak memory              ${peaks.join(', ')} MiB`);
    await tellHistories(new Client({ connection }));
    tellActivities(tallies, done, rows, fated);
    for (const problem of problems) console.log(`  DOES NOT HOLD: ${problem}`);
    for (const complaint of tallies.flatMap(({ complaints }) => complaints).slice(0, 10)) console.log(`  an agent complained: ${complaint}`);
    console.log(problems.length === 0 ? `  held                     each host changed at most once, ${maxParallel} at a time, failures and policy as planned` : '  NOT HELD');
    return problems.length === 0;

    function tellActivities(all: readonly FleetTally[], ended: number, ends: typeof rows, bad: ReadonlySet<string>): void {
      const simulated = (fails: boolean): number => {
        const host = simulatedHostId(0);
        const sample = createSimulatedHost({ host, product, releaseId: from, failsOn: null, waitMs, changed: async () => undefined });
        return minimumOf(sample.inspection(), next!.artifact, host, fails).host;
      };
      const calls = all.reduce((sum, tally) => sum + Object.values(tally.calls).reduce((a, b) => a + b, 0), 0);
      const again = all.reduce((sum, tally) => sum + tally.again, 0);
      const begun = ends.filter(({ outcome }) => outcome !== null);
      const returned = begun.filter(({ outcome }) => outcome === 'returned').length;
      const least = begun.reduce((sum, { host }) => sum + simulated(bad.has(host)), 0) + returned * simulated(false);
      console.log(`  activities on hosts      ${calls} (${(calls / ended).toFixed(1)} for each), ${least} is the least that the plans need; ${again} were second attempts`);
    }
  } finally {
    await connection.close();
    await database.close();
  }

  async function rollOut(product: string, releaseId: string): Promise<RolloutId> {
    const key = (await fs.readFile(summary.adminKeyFile, 'utf8')).trim();
    const strategy = { waves: { by: 'tiers', percents: [1, 10, 100] }, maxParallel, bakeSeconds: 0, budget, onFailure: policy, decisionSeconds: 0, verifySeconds: 60 };
    const began = performance.now();
    // A server to which thousands of agents have just come makes their queues first, and may not answer in time: the same request once more, as its answer says.
    for (;;) {
      const answer = await fetch(new URL('/api/rollouts', summary.api), {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': `bench-${releaseId}` },
        body: JSON.stringify({ product, releaseId, strategy, onHost: { bakeSeconds: 0 } }),
      });
      const body = (await answer.json()) as { rolloutId: RolloutId; retryable?: boolean; code?: string };
      if (answer.status === 202) return body.rolloutId;
      if (body.retryable !== true || performance.now() - began > 300_000) throw new Error(`the rollout was not accepted: ${answer.status} ${JSON.stringify(body)}`);
      console.log(`  the rollout is asked for again: ${answer.status} ${body.code}, ${((performance.now() - began) / 1000).toFixed(0)} s after the first time`);
      await sleep(2_000);
    }
  }
}

/** The longest of each kind, and what the runs of some hosts are made of. */
async function tellHistories(client: Client): Promise<void> {
  for (const type of ['fleetRollout', 'rolloutShard', 'updateApply']) {
    const all: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'historyLength' | 'historySize'>[] = [];
    for await (const info of client.workflow.list({ query: `WorkflowType = "${type}"`, pageSize: 1000 })) {
      // The list knows no length of those that are open.
      const open = info.closeTime === undefined || info.closeTime === null;
      if (!open || type !== 'updateApply') all.push(open ? await client.workflow.getHandle(info.workflowId, info.runId).describe() : info);
    }
    const longest = Math.max(...all.map(({ historyLength }) => historyLength));
    const largest = Math.max(...all.map(({ historySize }) => historySize ?? Number.NaN));
    console.log(`  ${`histories of ${type}`.padEnd(25)}${all.length}, the longest ${longest} events, ${(largest / 1024).toFixed(0)} KiB`);
    if (type !== 'updateApply') continue;
    const step = Math.max(1, Math.floor(all.length / sampledRuns));
    const counts = { host: [] as number[], control: [] as number[], decisions: [] as number[] };
    for (const { workflowId, runId } of all.filter((_, at) => at % step === 0)) {
      const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
      const queues = (events ?? []).flatMap((event) => event.activityTaskScheduledEventAttributes?.taskQueue?.name ?? []);
      counts.control.push(queues.filter((queue) => queue === 'control').length);
      counts.host.push(queues.filter((queue) => queue !== 'control').length);
      counts.decisions.push((events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes).length);
    }
    console.log(`  of ${counts.host.length} such runs          ${shown(counts.host)} activities on the host, ${shown(counts.control)} on control (3 at least, and 1 of the shard), ${shown(counts.decisions)} workflow tasks`);
  }
}

async function startFleet(order: FleetOrder): Promise<void> {
  const fleet = fork(join(import.meta.dirname, 'support/fleet-process.ts'), { execArgv: ['--disable-warning=ExperimentalWarning'] });
  fleets.push(fleet);
  fleet.send({ order });
  const told = (await wordOf(fleet, 'ready')) as { ready?: true; failed?: string };
  if (!told.ready) throw new Error(`the simulated agents did not start: ${told.failed}`);
}

async function tallyOf(fleet: ChildProcess): Promise<FleetTally> {
  fleet.send({ tally: true });
  return ((await wordOf(fleet, 'tally')) as { tally: FleetTally }).tally;
}

function wordOf(fleet: ChildProcess, about: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    fleet.once('message', resolve);
    fleet.once('exit', (code) => reject(new Error(`the process of the simulated agents ended with ${code} before it told of ${about}`)));
    asked.signal.addEventListener('abort', () => reject(asked.signal.reason as Error), { once: true });
  });
}
