import * as fs from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunDetail } from '../../src/contract/index.ts';
import { hostLayout, type HostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { ProductName } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { startDev, type RunningDev } from '../../src/runtime/dev/index.ts';
import { neutralEnvironment } from '../../src/runtime/dev/plans.ts';
import { removeDev } from '../../src/runtime/dev/remove.ts';
import { runCommand, type CommandEnd } from './command.ts';
import type { Screen } from './screen.ts';

export const project = fileURLToPath(new URL('../../', import.meta.url));
export const product = 'noderax-platform' as ProductName;
export const host = 'h1';

/** A run of the story, as the command that was typed saw it. */
export interface PlayedRun {
  readonly report: RunReport;
  readonly exitCode: number | null;
  readonly tookMs: number;
  /** In the Temporal Web UI. */
  readonly link: string | null;
}

export interface Stage {
  readonly dir: string;
  /** As it is typed after `--dir`. */
  readonly shownDir: string;
  readonly dev: RunningDev;
  readonly root: string;
  readonly layout: HostLayout;
  readonly cancel: AbortSignal;
  readonly runs: readonly PlayedRun[];
  /** What the supervisor of the processes said: who died, who was started again. */
  readonly said: readonly string[];
  /** Runs `bin/fairlead` on this instance. */
  fairlead(...words: string[]): Promise<CommandEnd>;
  /** `fairlead update apply RELEASE`, followed to its end. `onStart` hears the run's id as soon as it is known. */
  apply(releaseId: string, more?: readonly string[], onStart?: (runId: string) => void): Promise<PlayedRun>;
  run(runId: string): Promise<RunDetail>;
  state(): Promise<HostState>;
  /** Where the product's clients find it: the host's router. */
  address(): Promise<string>;
  end(): Promise<void>;
}

/** Starts everything below `dir`, which is made anew. */
export async function openStage(dir: string, screen: Screen, cancel: AbortSignal): Promise<Stage> {
  await removeDev(dir);
  const said: string[] = [];
  const dev = await startDev({ dir, hosts: 1, env: process.env, say: (line) => said.push(line), cancel });
  const key = (await fs.readFile(dev.summary.adminKeyFile, 'utf8')).trim();
  const root = dev.summary.hosts[0]?.root as string;
  const layout = hostLayout(root, product);
  const shownDir = relative(project, dir) || dir;
  const runs: PlayedRun[] = [];
  const stage: Stage = {
    dir,
    shownDir,
    dev,
    root,
    layout,
    cancel,
    runs,
    said,
    fairlead: (...words) => runCommand([join(project, 'bin/fairlead'), ...words], { ...neutralEnvironment(process.env) }, cancel),
    async apply(releaseId, more = [], onStart) {
      const words = ['update', 'apply', releaseId, '--host', host, '--product', product, ...more];
      screen.command(`fairlead ${words.join(' ')} --dir ${shownDir}`);
      let told = false;
      const onLine = (line: string): void => {
        const runId = /^run (\S+):/.exec(line)?.[1];
        if (runId === undefined || told) return;
        told = true;
        onStart?.(runId);
      };
      const end = await runCommand([join(project, 'bin/fairlead'), ...words, '--json', '--dir', dir], { ...neutralEnvironment(process.env) }, cancel, onLine);
      const report = reportOf(end);
      const { links } = await stage.run(report.runId);
      const played = { report, exitCode: end.exitCode, tookMs: Date.parse(report.endedAt) - Date.parse(report.startedAt), link: links.temporalUi };
      runs.push(played);
      return played;
    },
    async run(runId) {
      const response = await fetch(`${dev.summary.api}/api/runs/${runId}`, { headers: { authorization: `Bearer ${key}` }, signal: AbortSignal.timeout(10_000) });
      if (!response.ok) throw new Error(`the API answered ${response.status} when it was asked for run ${runId}: ${await response.text()}`);
      return (await response.json()) as RunDetail;
    },
    async state() {
      return JSON.parse(await fs.readFile(layout.stateFile, 'utf8')) as HostState;
    },
    async address() {
      return `http://127.0.0.1:${(await stage.state()).router?.port}`;
    },
    end: () => dev.stop(),
  };
  return stage;
}

function reportOf({ stdout, stderr, exitCode }: CommandEnd): RunReport {
  try {
    return JSON.parse(stdout) as RunReport;
  } catch {
    throw new Error(`fairlead update apply ended with ${exitCode} and without a report:\n${stderr}`);
  }
}
