import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import { createControlActivities } from '../activities/control/runs.ts';
import type { HostDependencies } from '../activities/host/dependencies.ts';
import { createDatabase, createStores } from '../src/adapters/postgres/index.ts';
import { createTemporalRunStarter } from '../src/adapters/temporal/run-starter.ts';
import type { Artifact } from '../src/domain/bundle/artifact.ts';
import { agentLayout } from '../src/domain/host/layout.ts';
import { hostWorkflowId, type HostId, type RunId } from '../src/domain/ids.ts';
import type { RunReport } from '../src/domain/run/report.ts';
import type { UpdateRequest } from '../src/domain/update/request.ts';
import { composeHost } from '../src/runtime/agent/host.ts';
import { buildAgent } from '../src/runtime/build-agent.ts';
import { startDev, type RunningDev } from '../src/runtime/dev/index.ts';
import { planWalk } from '../test/support/walk-plan.ts';
import { startBareChain } from './support/bare-chain.ts';
import { databaseUrlOf } from './support/dev-database.ts';
import { gapsOf, type Gaps } from './support/gaps.ts';
import { machine, median, shown } from './support/figures.ts';
import { bundleInstantProduct } from './support/instant-product.ts';
import { instantHost } from './support/instant.ts';

/**
 * What a run costs beyond its parts: a whole update through Temporal, control worker and agent, beside the same activities called one after the
 * other in this process, on the same disk, database and artifact endpoint. Both take turns, each update to a release that is new to the host. What
 * programs of a product take is left out on both sides (bench/support/instant.ts). Run: `node bench/orchestration.ts [REPETITIONS]`.
 */
/** What a step may cost. */
const limitMs = { file: 20, memory: 10 } as const;
type Keeping = keyof typeof limitMs;
/** What it may cost where an empty activity of a workflow that does nothing else takes nearly as long, on the same server in the same minute: then the machine is slow. */
const ratioLimit = 1.5;

interface Turn {
  readonly wholeMs: number;
  readonly partsMs: number;
  readonly calls: number;
  /** Processor time of each process of the instance while the whole update ran. */
  readonly processorMs: Readonly<Record<string, number>>;
  readonly gaps: Gaps;
  /** The same number of empty activities through the same server. */
  readonly bareMs: number;
}

const repetitions = Number(process.argv[2] ?? 9);
const warmUps = 2;
const host = 'h1' as HostId;
const launcher = join(import.meta.dirname, '../bin/fairlead');

async function measure(keeping: Keeping): Promise<Turn[]> {
  const dir = await fs.mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fairlead-bench-orchestration-'));
  await fs.chmod(dir, 0o755);
  const { file: agentFile } = await buildAgent({ entry: 'bench/support/agent.ts', outfile: 'dist/bench-agent.mjs' });
  const dev = await startDev({ dir, hosts: 1, env: process.env, say: () => undefined, temporalInMemory: keeping === 'memory', replace: { agentFile } });
  const database = createDatabase(databaseUrlOf(dev), { poolSize: 2 });
  const connection = Connection.lazy({ address: dev.summary.temporal });
  try {
    const artifacts = await publish(dir, 1 + warmUps + repetitions);
    const control = createControlActivities({ ...createStores(database), now: () => new Date() });
    const direct = await directHost(dev);
    const starter = createTemporalRunStarter({
      connection,
      address: dev.summary.temporal,
      namespace: 'default',
      workflowIdOf: async () => hostWorkflowId(host, artifacts[0]?.product as never),
      hasReported: async () => true,
      workflowTaskTimeoutMs: 5_000,
    });

    const throughTemporal = async (artifact: Artifact): Promise<Pick<Turn, 'wholeMs' | 'processorMs' | 'gaps'>> => {
      const before = processorMsOf(dev);
      const began = performance.now();
      const { runId } = await starter.startUpdate(requestFor(artifact));
      const report = (await starter.result(runId, AbortSignal.timeout(60_000))) as RunReport;
      if (report.outcome !== 'succeeded') throw new Error(`the run ended ${report.outcome}: ${report.reason?.message}`);
      const wholeMs = performance.now() - began;
      const after = processorMsOf(dev);
      const gaps = await gapsOf(connection, report.workflowId, report.runId);
      return { wholeMs, gaps, processorMs: Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? 0)])) };
    };
    const partByPart = async (artifact: Artifact, turn: number): Promise<{ ms: number; calls: number }> => {
      const began = performance.now();
      const runId = `00000000-0000-4000-8000-${String(turn).padStart(12, '0')}` as RunId;
      const request: UpdateRequest = { ...requestFor(artifact), host: direct.host };
      const { artifact: published } = await control.openRun({ runId, request, requestedAt: new Date().toISOString() });
      const walk = await planWalk(direct, published, turn);
      await control.recordIntent({ runId, request, plan: walk.plan });
      for (const step of walk.plan.steps) await walk.take(direct, step);
      const at = new Date().toISOString();
      const report = { ...walk.report(), schema: 1, workflowId: hostWorkflowId(direct.host, artifact.product), kind: 'update-apply', host: direct.host, artifactRole: 'node', artifactProfile: 'bench', requestedBy: 'bench', startedAt: at, endedAt: at, reason: null, steps: [], evidence: [], backupPath: null, recovery: null } as RunReport;
      await control.closeRun({ report, events: [] });
      // openRun, inspectHost, recordIntent, the steps, closeRun.
      return { ms: performance.now() - began, calls: walk.plan.steps.length + 4 };
    };

    const bare = await startBareChain(connection, dev.summary.temporal);
    try {
      const turns: Turn[] = [];
      for (const [at, artifact] of artifacts.entries()) {
        const order = at % 2 === 0;
        const before = order ? await throughTemporal(artifact) : null;
        const parts = await partByPart(artifact, at + 1);
        const whole = before ?? (await throughTemporal(artifact));
        const bareMs = await bare.take(parts.calls);
        // The first is an install, which has other steps.
        if (at > warmUps) turns.push({ ...whole, partsMs: parts.ms, calls: parts.calls, bareMs });
      }
      return turns;
    } finally {
      // Before the connection it polls by: an open poll would end this process where an error is on its way to be told.
      await bare.end();
    }
  } finally {
    await connection.close();
    await database.close();
    await dev.stop();
    await fs.rm(dir, { recursive: true, force: true });
  }
}

const requestFor = ({ product, releaseId }: Artifact): UpdateRequest => ({ host, product, releaseId, phase: 'installed', strategy: 'rolling', bakeSeconds: 0, requestedBy: 'bench', requestId: releaseId });

async function publish(dir: string, count: number): Promise<Artifact[]> {
  const bundles = [];
  for (let at = 1; at <= count; at += 1) bundles.push(await bundleInstantProduct(join(dir, 'bundles'), `r${at}`));
  await promisify(execFile)(launcher, ['release', 'publish', ...bundles.map(({ file }) => file), '--dir', dir]);
  return bundles.map(({ artifact }) => artifact);
}

/** A second host with the first one's settings and publishers, on which this process calls the activities itself. */
async function directHost(dev: RunningDev): Promise<HostDependencies> {
  const root = join(dev.summary.dir, 'direct');
  const theirs = agentLayout(dev.summary.hosts[0]?.root as string);
  const ours = agentLayout(root);
  await fs.mkdir(ours.stateDir, { recursive: true });
  await fs.cp(theirs.configDir, ours.configDir, { recursive: true });
  // The other host's key speaks for that host alone; this one has none of its own.
  const readKey = async (): Promise<string> => (await fs.readFile(dev.summary.adminKeyFile, 'utf8')).trim();
  const settings = { hostId: 'direct' as HostId, root, ports: 'free', router: 'embedded', services: 'embedded', routerAddress: '127.0.0.1', apiUrl: dev.summary.api, readKey, routerEntry: [] } as const;
  return instantHost(await composeHost(settings));
}

/** Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms. */
function processorMsOf(dev: RunningDev): Record<string, number> {
  return Object.fromEntries(
    Object.entries(dev.pids()).map(([name, pid]) => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
      return [name, (Number(stat[11]) + Number(stat[12])) * 10];
    }),
  );
}

console.log(`${machine()}; min / median / max of ${repetitions} updates after ${warmUps}`);
let held = true;
for (const keeping of ['file', 'memory'] as const) {
  const turns = await measure(keeping);
  const perCall = turns.map(({ wholeMs, partsMs, calls }) => (wholeMs - partsMs) / calls);
  const ratios = turns.map(({ wholeMs, partsMs, bareMs }) => (wholeMs - partsMs) / bareMs);
  const isWithin = median(perCall) <= limitMs[keeping];
  const isHeld = isWithin || median(ratios) <= ratioLimit;
  held &&= isHeld;
  console.log(`Temporal's database ${keeping === 'file' ? 'in a file' : 'in memory'}, ${turns[0]?.calls} activities in turn`);
  console.log(`  the whole update       ${shown(turns.map(({ wholeMs }) => wholeMs))} ms`);
  console.log(`  its parts alone        ${shown(turns.map(({ partsMs }) => partsMs))} ms`);
  const busy = ['temporal', 'control', 'agent-h1'].map((name) => `${name} ${median(turns.map(({ processorMs, calls }) => (processorMs[name] ?? 0) / calls)).toFixed(1)}`);
  console.log(`  processor for each     ${busy.join(', ')} ms (median; the parts' own work included)`);
  for (const name of Object.keys(turns[0]?.gaps ?? {}) as (keyof Gaps)[]) console.log(`    ${name.padEnd(38)} ${median(turns.map(({ gaps }) => gaps[name])).toFixed(0)}`);
  console.log(`  added for each         ${shown(perCall, 1)} ms   limit ${limitMs[keeping]}: ${isWithin ? 'held' : 'NOT HELD'}`);
  console.log(`  an empty activity      ${shown(turns.map(({ bareMs, calls }) => bareMs / calls), 1)} ms`);
  console.log(`  ratio                  ${shown(ratios, 2)}   limit ${ratioLimit}${isWithin ? ', not asked' : ` on a slow machine: ${isHeld ? 'held' : 'NOT HELD'}`}`);
}
process.exitCode = held ? 0 : 1;
