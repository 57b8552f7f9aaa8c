import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import autocannon from 'autocannon';
import { createDatabase, createStores, type Database, type Stores } from '../src/adapters/postgres/index.ts';
import type { HostId, RunId } from '../src/domain/ids.ts';
import { startDev, type RunningDev } from '../src/runtime/dev/index.ts';
import { product, sampleArtifact, sampleInspection } from '../test/support/samples.ts';
import { databaseUrlOf } from './support/dev-database.ts';
import { machine } from './support/figures.ts';

/**
 * The API at saturation: its process, PostgreSQL, Temporal and control as `fairlead dev` starts them, and more clients than it can serve. While they ask, /health is asked on a connection of its own,
 * and has to be answered every time. Afterwards every mutation that was accepted is looked for: its row, its run, and its two rows in the audit. Times are compared within the run.
 * Run: `node bench/api.ts [SECONDS] [CONNECTIONS]`. Exit code 1: something was lost, or health was silent.
 */
const seconds = Number(process.argv[2] ?? 15);
const connections = Number(process.argv[3] ?? 64);
const runHosts = 100;
const launcher = join(import.meta.dirname, '../bin/fairlead');

const dir = await fs.mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fairlead-bench-api-'));
await fs.chmod(dir, 0o755);
let dev: RunningDev | null = null;
try {
  const unlimited = { FAIRLEAD_RATE_LIMIT_PER_KEY: '0', FAIRLEAD_RATE_LIMIT_PER_ADDRESS: '0' };
  dev = await startDev({ dir, hosts: 0, env: process.env, say: (line) => console.log(`  ${line}`), temporalInMemory: true, replace: { anyPorts: true, agentFile: launcher, env: unlimited } });
  process.exitCode = (await measure(dev)) ? 0 : 1;
} finally {
  await dev?.stop();
  await fs.rm(dir, { recursive: true, force: true });
}

async function measure(running: RunningDev): Promise<boolean> {
  const { api, adminKeyFile } = running.summary;
  const authorization = `Bearer ${(await fs.readFile(adminKeyFile, 'utf8')).trim()}`;
  const database = createDatabase(databaseUrlOf(running), { poolSize: 4 });
  const stores = createStores(database);
  try {
    await stores.releases.publish(sampleArtifact('r1'), 'bench');
    for (let host = 0; host < runHosts; host += 1) await stores.hosts.hello({ host: `h${host}` as HostId, role: 'node', agentVersion: '0', bootId: 'b', products: [{ ...sampleInspection('r0') }] });

    const quiet = await askHealth(api, AbortSignal.timeout(5_000));
    const accepted = { enrolments: [] as string[], runs: [] as string[] };
    const over = new AbortController();
    const health = askHealth(api, over.signal);
    const load = { url: api, duration: seconds, timeout: 60, headers: { authorization, 'content-type': 'application/json' } };
    let host = 0;
    const [reads, writes, starts] = await Promise.all([
      autocannon({ ...load, connections, requests: [{ method: 'GET', path: '/api/runs?limit=50' }, { method: 'GET', path: '/api/audit?limit=100' }] }),
      autocannon({ ...load, connections, requests: [{ method: 'POST', path: '/api/enrolments', body: '{"expiresSeconds":600}', onResponse: (status: number, body: string) => void (status === 201 && accepted.enrolments.push((JSON.parse(body) as { id: string }).id)) }] }),
      autocannon({
        ...load,
        connections: 4,
        amount: runHosts,
        requests: [
          {
            method: 'POST',
            path: '/api/updates/apply',
            setupRequest: (request: autocannon.Request) => ({ ...request, body: JSON.stringify({ host: `h${host++ % runHosts}`, product, releaseId: 'r1' }) }),
            onResponse: (status: number, body: string) => void (status === 202 && accepted.runs.push((JSON.parse(body) as { runId: string }).runId)),
          },
        ],
      }),
    ]);
    over.abort();
    const saturated = await health;

    console.log(`${machine()}; ${connections} clients that read, ${connections} that write and 4 that start runs for ${seconds} s`);
    for (const [what, { latency, requests, non2xx, errors }] of [['reads', reads], ['enrolments', writes], ['runs', starts]] as const) {
      console.log(`  ${what.padEnd(11)} p50 ${latency.p50} ms, p99 ${latency.p99} ms; ${requests.total} answered, ${non2xx} of them refused, ${errors} broken off`);
    }
    const [before, during] = [figures(quiet.ms), figures(saturated.ms)];
    console.log(`  health      p50 ${before.p50} -> ${during.p50} ms, p99 ${before.p99} -> ${during.p99} ms (ratio of the p99 ${(during.p99 / before.p99).toFixed(1)}); asked ${saturated.ms.length + saturated.unanswered} times, ${saturated.unanswered} without an answer`);
    const lost = await lostOf(database, stores, accepted);
    console.log(`  accepted    ${accepted.enrolments.length} enrolments and ${accepted.runs.length} runs; lost: ${lost.length === 0 ? 'none' : lost.slice(0, 10).join(', ')}`);
    return lost.length === 0 && saturated.unanswered === 0 && saturated.ms.length > 0 && accepted.enrolments.length > 0 && accepted.runs.length > 0;
  } finally {
    await database.close();
  }
}

/** Asks one time after the other until it is told to stop. */
async function askHealth(api: string, until: AbortSignal): Promise<{ ms: number[]; unanswered: number }> {
  const ms: number[] = [];
  let unanswered = 0;
  while (!until.aborted) {
    const startedAt = performance.now();
    const answered = await fetch(`${api}/health`, { signal: AbortSignal.timeout(30_000) }).then(
      async (answer) => (await answer.text(), answer.ok),
      () => false,
    );
    if (answered) ms.push(performance.now() - startedAt);
    else unanswered += 1;
    await pause(20);
  }
  return { ms, unanswered };
}

function figures(values: readonly number[]): { p50: number; p99: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1));
  return { p50: at(0.5), p99: at(0.99) };
}

/** What was accepted and is not there; and what the audit lacks. */
async function lostOf(database: Database, stores: Stores, { enrolments, runs }: { readonly enrolments: readonly string[]; readonly runs: readonly string[] }): Promise<string[]> {
  const kept = new Set((await database.query('reading enrolments', (db) => db.selectFrom('enrolments').select('id').execute())).map(({ id }) => id));
  const lost = enrolments.filter((id) => !kept.has(id)).map((id) => `enrolment ${id}`);
  for (const runId of runs) if ((await stores.runs.find(runId as RunId)) === null) lost.push(`run ${runId}`);
  const ended = new Set<unknown>();
  const created = new Set<string>();
  for (let after = 0; ; ) {
    const rows = await stores.audit.list({ limit: 1_000, afterSequence: after });
    for (const { event, subject, runId } of rows) {
      if (event === 'enrolment.created') created.add(subject);
      if (event === 'request.ended' && runId !== null) ended.add(runId);
    }
    const last = rows.at(-1);
    if (last === undefined) break;
    after = last.sequence;
  }
  lost.push(...enrolments.filter((id) => !created.has(`enrolment/${id}`)).map((id) => `audit of enrolment ${id}`), ...runs.filter((id) => !ended.has(id)).map((id) => `audit of run ${id}`));
  const verdict = await stores.audit.verify();
  return [...lost, ...verdict.problems.map(({ where, why }) => `${where}: ${why}`)];
}
