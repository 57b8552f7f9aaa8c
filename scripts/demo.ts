// npm run demo: the story of six updates on this machine, with real parts. Exits 1 if anything in it does not come out as told.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FairleadError } from '../src/domain/failure.ts';
import { duration, renderPairs, renderTable } from '../src/cli/table.ts';
import { corrupted } from './demo/chapters/corrupted.ts';
import { install } from './demo/chapters/install.ts';
import { killed } from './demo/chapters/killed.ts';
import { stranded } from './demo/chapters/stranded.ts';
import { underLoad } from './demo/chapters/under-load.ts';
import { unhealthy } from './demo/chapters/unhealthy.ts';
import { bundleReleases } from './demo/releases.ts';
import { createScreen } from './demo/screen.ts';
import { openStage, project, type Stage } from './demo/stage.ts';

const began = performance.now();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => interrupted.abort());
const colours = process.stdout.isTTY === true && !process.env['NO_COLOR'];
const screen = createScreen((text) => void process.stdout.write(text), colours);

async function publishAll(stage: Stage): Promise<void> {
  screen.chapter('A Fairlead of its own, and six releases of a product');
  const { summary } = stage.dev;
  screen.block(renderPairs([['API', summary.api], ['Temporal Web UI', summary.temporalUi ?? 'none'], ['host h1', stage.root], ['ready after', duration(performance.now() - began)]]));
  const work = join(stage.dir, 'releases');
  const files = await bundleReleases(join(project, 'examples/noderax-platform'), work, [{ releaseId: 'r1' }, { releaseId: 'r2' }, { releaseId: 'r3', faults: { notReady: true } }, { releaseId: 'r4' }, { releaseId: 'r5' }, { releaseId: 'r6' }]);
  screen.command(`fairlead release publish r1.tar.gz … r6.tar.gz --dir ${stage.shownDir}`);
  const { exitCode, stdout, stderr } = await stage.fairlead('release', 'publish', ...files, '--dir', stage.dir);
  if (exitCode !== 0) throw new Error(`publishing ended with ${exitCode}:\n${stderr}`);
  screen.claim('they are published, signed', exitCode === 0, `${stdout.trim().split('\n').length} releases`);
  await rm(work, { recursive: true });
}

async function theEnd(stage: Stage): Promise<void> {
  screen.chapter('What is left of it');
  const audit = await stage.fairlead('audit', 'verify', '--dir', stage.dir);
  screen.claim('nobody changed what was written down', audit.exitCode === 0, audit.stdout.trim().split('\n')[0] ?? audit.stderr.trim());
  screen.block(
    renderTable(
      ['RELEASE', 'OUTCOME', 'TOOK', 'EXIT CODE', 'IN THE TEMPORAL WEB UI'],
      stage.runs.map(({ report, exitCode, tookMs, link }) => [report.toReleaseId, report.outcome, duration(tookMs), String(exitCode), link ?? '-']),
    ),
  );
}

async function tell(): Promise<number> {
  const dir = join(project, '.fairlead/demo');
  const stage = await openStage(dir, screen, interrupted.signal);
  try {
    await publishAll(stage);
    for (const chapter of [install, underLoad, unhealthy, corrupted, killed, stranded]) await chapter(stage, screen);
    await theEnd(stage);
  } finally {
    await stage.end();
  }
  screen.say(`Everything was ended in order, after ${duration(performance.now() - began)}. To look at it again, with the same runs and the same addresses:`);
  screen.command(`bin/fairlead dev --dir ${stage.shownDir}`);
  screen.say('and then, in a second terminal:');
  screen.command(`bin/fairlead runs show ${stage.runs.at(-1)?.report.runId} --dir ${stage.shownDir}`);
  if (screen.broken.length === 0) return 0;
  process.stdout.write(`\nThis did not come out as told:\n${screen.broken.map((line) => `  ${line}\n`).join('')}`);
  return 1;
}

try {
  process.exitCode = await tell();
} catch (error) {
  if (interrupted.signal.aborted) {
    process.stderr.write('interrupted; everything that was started is ended\n');
    process.exitCode = 130;
  } else {
    process.stderr.write(`the demo broke off: ${error instanceof FairleadError ? `${error.message}${error.reason.hint === undefined ? '' : `\n${error.reason.hint}`}` : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  }
}
