import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { threadSource } from '../src/runtime/thread-source.ts';
import { createBundle } from '../src/adapters/bundle/create.ts';
import { createSyncTree } from '../src/adapters/files/sync-tree.ts';
import { createCommandRunner } from '../src/adapters/process/index.ts';
import type { Artifact, BundleFormat } from '../src/domain/bundle/artifact.ts';
import type { ReleaseId } from '../src/domain/ids.ts';
import { writeSourceTree } from './support/source-tree.ts';

/**
 * How long a host takes to verify and unpack a bundle, against `sha256sum BUNDLE && tar -xf BUNDLE`, which hashes the archive but checks no
 * file in it. Both sides run in turns in the same process tree on the same file system, so that a slow moment hits both. Making the result
 * durable costs both the same and is measured apart. Run: `node bench/extract.ts [REPETITIONS]`.
 */
const fileCount = 2_000;
const totalBytes = 117 * 2 ** 20;
const limits: Record<BundleFormat, number> = { zst: 1.3, gz: 1.0 };

type UnpackInto = (staging: string, request: { bundleFile: string; artifact: Artifact }) => Promise<unknown>;

/** What is measured is what is shipped: bundled into one file, with the thread's program in it. */
async function buildUnpackInto(work: string): Promise<UnpackInto> {
  const outfile = join(work, 'agent.mjs');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  await build({ banner, entryPoints: [join(import.meta.dirname, '../src/adapters/bundle/extract.ts')], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node22', logLevel: 'error', plugins: [threadSource] });
  return ((await import(pathToFileURL(outfile).href)) as { unpackInto: UnpackInto }).unpackInto;
}

const manifest = 'schema: 1\nproduct: bench\nreleaseId: r0\nservices:\n  api: {command: [node, a.js], instances: {installed: [a]}, ports: {a: 4100}, probes: {ready: ready}}\nprobes:\n  ready: {service: api}\n';

async function timed(work: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const shown = (values: readonly number[], digits: number): string => `${Math.min(...values).toFixed(digits)} / ${median(values).toFixed(digits)} / ${Math.max(...values).toFixed(digits)}`;

async function measure(unpackInto: UnpackInto, work: string, artifact: Artifact, file: string, repetitions: number): Promise<boolean> {
  const syncTree = createSyncTree(createCommandRunner());
  const reference: number[] = [];
  const ours: number[] = [];
  const syncs: Record<'reference' | 'ours', number[]> = { reference: [], ours: [] };
  const runReference = async (): Promise<void> => {
    const directory = fs.mkdtempSync(join(work, 'tar-'));
    reference.push(await timed(() => void execFileSync('sh', ['-c', 'sha256sum "$1" && tar -xf "$1" -C "$2"', 'sh', file, directory], { stdio: 'ignore' })));
    syncs.reference.push(await timed(() => syncTree(directory)));
    fs.rmSync(directory, { recursive: true });
  };
  const runOurs = async (): Promise<void> => {
    const directory = join(work, `ours-${randomBytes(4).toString('hex')}`);
    fs.mkdirSync(directory, { mode: 0o700 });
    ours.push(await timed(async () => void (await unpackInto(directory, { bundleFile: file, artifact }))));
    syncs.ours.push(await timed(() => syncTree(directory)));
    fs.rmSync(directory, { recursive: true });
  };
  for (let repetition = 0; repetition < repetitions + 1; repetition += 1) {
    // Which side goes first changes from turn to turn.
    for (const run of repetition % 2 === 0 ? [runReference, runOurs] : [runOurs, runReference]) await run();
    // The first turn warms caches and compilers.
    if (repetition === 0) for (const list of [reference, ours, syncs.reference, syncs.ours]) list.length = 0;
  }
  const ratios = ours.map((value, index) => value / (reference[index] ?? Number.NaN));
  const limit = limits[artifact.format];
  console.log(`.tar.${artifact.format}, ${(artifact.sizeBytes / 2 ** 20).toFixed(1)} MiB (min / median / max of ${repetitions})`);
  console.log(`  sha256sum && tar -xf   ${shown(reference, 0)} ms`);
  console.log(`  verify + unpack        ${shown(ours, 0)} ms, every file hashed and checked`);
  console.log(`  ratio                  ${shown(ratios, 2)}   limit ${limit.toFixed(1)}: ${median(ratios) <= limit ? 'held' : 'NOT HELD'}`);
  console.log(`  then sync -f           ${shown(syncs.ours, 0)} ms after ours, ${shown(syncs.reference, 0)} ms after tar`);
  return median(ratios) <= limit;
}

const repetitions = Number(process.argv[2] ?? 9);
const work = fs.mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fairlead-bench-extract-'));
try {
  const source = join(work, 'source');
  fs.mkdirSync(source);
  writeSourceTree(source, fileCount, totalBytes);
  fs.writeFileSync(join(source, 'fairlead.yaml'), manifest);
  console.log(`${fileCount} files, ${(totalBytes / 2 ** 20).toFixed(0)} MiB unpacked, ${availableParallelism()} processors, Node ${process.version}, in ${work}`);
  const unpackInto = await buildUnpackInto(work);
  let held = true;
  for (const format of ['zst', 'gz'] as const) {
    const file = join(work, `bundle.tar.${format}`);
    const artifact = await createBundle({ directory: source, releaseId: 'r1' as ReleaseId, format, output: file });
    held = (await measure(unpackInto, work, artifact, file, repetitions)) && held;
  }
  process.exitCode = held ? 0 : 1;
} finally {
  fs.rmSync(work, { recursive: true, force: true });
}
