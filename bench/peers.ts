import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { createBundle } from '../src/adapters/bundle/create.ts';
import type { Artifact } from '../src/domain/bundle/artifact.ts';
import type { ReleaseId } from '../src/domain/ids.ts';
import { startDev, type RunningDev } from '../src/runtime/dev/index.ts';
import { machine, shown } from './support/figures.ts';
import { createAnsibleSide, type AnsibleSide, type Took } from './support/peers/ansible.ts';
import { processorMsOfTrees } from './support/proc.ts';
import { writeSourceTree } from './support/source-tree.ts';

/**
 * The same bundle of some 30 MB and 2,000 files to 20 roots on this machine, five at a time, with the same small instance restarted in each and asked for the release
 * that it runs: by a Fairlead rollout over 20 development hosts, and by an Ansible playbook over 20 local directories. Both take turns, each release is new to both.
 * Run: `node bench/peers.ts [--turns 3] [--hosts 20]`. Nothing is demanded of the ratio: the two do not check the same (see what it prints).
 */
const { values } = parseArgs({ options: { turns: { type: 'string', default: '3' }, hosts: { type: 'string', default: '20' } } });
const turns = Number(values.turns);
const hosts = Number(values.hosts);
const maxParallel = 5;
const launcher = join(import.meta.dirname, '../bin/fairlead');
const product = 'peers';
const asked = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => asked.abort(new Error(`ended by ${signal}`)));

const dir = await fs.mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fairlead-bench-peers-'));
await fs.chmod(dir, 0o755);
let dev: RunningDev | null = null;
let ansible: AnsibleSide | null = null;
try {
  console.log(`${machine()}; ${hosts} roots, ${maxParallel} at a time, min / median / max of ${turns} turns after the first install`);
  ansible = await createAnsibleSide(join(dir, 'ansible'), hosts, (line) => console.log(`  ${line}`));
  asked.signal.addEventListener('abort', () => void ansible?.end(), { once: true });
  dev = await startDev({ dir: join(dir, 'fairlead'), hosts, env: process.env, say: (line) => console.log(`  ${line}`), cancel: asked.signal, replace: { anyPorts: true } });
  await compare(dev, ansible);
} catch (error) {
  if (!asked.signal.aborted) throw error;
  console.log(String(asked.signal.reason));
  process.exitCode = 130;
} finally {
  await ansible?.end();
  await dev?.stop();
  await fs.rm(dir, { recursive: true, force: true });
}

async function compare(running: RunningDev, other: AnsibleSide): Promise<void> {
  const bundles: { file: string; artifact: Artifact }[] = [];
  const source = join(dir, 'source');
  await fs.mkdir(source);
  writeSourceTree(source, 2_000, 117 * 2 ** 20);
  for (const name of ['fairlead.yaml', 'server.mjs']) await fs.copyFile(join(import.meta.dirname, 'support/peers', name), join(source, name));
  for (let at = 0; at <= turns; at += 1) {
    asked.signal.throwIfAborted();
    const file = join(dir, `r${at}.tar.gz`);
    bundles.push({ file, artifact: await createBundle({ directory: source, releaseId: `r${at}` as ReleaseId, format: 'gz', output: file }) });
  }
  await promisify(execFile)(launcher, ['release', 'publish', ...bundles.map(({ file }) => file), '--dir', running.summary.dir]);
  console.log(`  bundle ${((bundles[0]?.artifact.sizeBytes ?? 0) / 2 ** 20).toFixed(1)} MiB, .tar.gz; ${other.version}`);

  const took = { fairlead: [] as Took[], ansible: [] as Took[] };
  for (const [turn, { file, artifact }] of bundles.entries()) {
    const sides = {
      fairlead: async () => took.fairlead.push(await rollOut(running, artifact)),
      ansible: async () => took.ansible.push(await other.rollOut(file, artifact)),
    };
    for (const side of turn % 2 === 0 ? (['fairlead', 'ansible'] as const) : (['ansible', 'fairlead'] as const)) {
      asked.signal.throwIfAborted();
      await sides[side]();
      const last = took[side].at(-1)!;
      console.log(`  ${turn === 0 ? 'install' : `turn ${turn} `} ${side.padEnd(8)} ${(last.wallMs / 1000).toFixed(1)} s, processor ${(last.processorMs / 1000).toFixed(1)} s`);
    }
  }
  const [ours, theirs] = [took.fairlead.slice(1), took.ansible.slice(1)];
  const tell = (what: string, of: (took: Took) => number): void => {
    console.log(`${what.padEnd(15)} Fairlead ${shown(ours.map(of), 1)} s, Ansible ${shown(theirs.map(of), 1)} s, ratio ${shown(ours.map((each, at) => of(each) / of(theirs[at] as Took)), 2)}`);
  };
  tell('wall time', ({ wallMs }) => wallMs / 1000);
  tell('processor time', ({ processorMs }) => processorMs / 1000);
  console.log(`Counted of Fairlead: PostgreSQL, Temporal, control, API, ${hosts} agents and what they start. Of Ansible: ansible-playbook, its workers, modules and the instances.
Both: the archive's SHA-256 after the transfer, unpack beside the old release, switch a symlink, restart one instance, wait until it answers with the new release's id, keep two releases.
Only Fairlead: the publisher's signature; the digest of every file against the bundle's list; fsync before the switch; room on the disk; a backup and a recovery script beforehand; the way
  back by itself on failure; a budget over the fleet; each host observed by control after its run; audit chain and report; goes on where it was after a crash of any process.
Only Ansible: needs no agent and no server. Its hosts are directories here: real ones cost an SSH connection each, Fairlead's a long poll. The archive is read from a local file by
  Ansible, and downloaded over HTTP by Fairlead. A failed host stops the play and stays as it is.`);
}

async function rollOut(running: RunningDev, { releaseId }: Artifact): Promise<Took> {
  const key = (await fs.readFile(running.summary.adminKeyFile, 'utf8')).trim();
  const ask = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const answer = await fetch(new URL(path, running.summary.api), { method, signal: asked.signal, headers: { authorization: `Bearer ${key}`, ...(body ? { 'content-type': 'application/json' } : {}) }, ...(body ? { body: JSON.stringify(body) } : {}) });
    const told = (await answer.json()) as Record<string, unknown>;
    if (!answer.ok) throw new Error(`${method} ${path} was answered with ${answer.status}: ${JSON.stringify(told)}`);
    return told;
  };
  const spent = (): number => processorMsOfTrees(Object.values(running.pids()).flatMap((pid) => pid ?? []));
  const before = spent();
  const began = performance.now();
  const strategy = { waves: { by: 'count', hosts }, maxParallel, bakeSeconds: 0, verifySeconds: 120, controllerFirst: false };
  const { rolloutId } = await ask('POST', '/api/rollouts', { product, releaseId, hosts: running.summary.hosts.map(({ host }) => host), strategy, onHost: { bakeSeconds: 0 } });
  for (;;) {
    await sleep(200, undefined, { signal: asked.signal });
    const rollout = await ask('GET', `/api/rollouts/${String(rolloutId)}`);
    if (rollout['endedAt'] === null) continue;
    const wallMs = performance.now() - began;
    if (rollout['ok'] !== true) throw new Error(`the rollout ended ${String(rollout['outcome'])}: ${JSON.stringify(rollout['reason'])}`);
    return { wallMs, processorMs: spent() - before };
  }
}
