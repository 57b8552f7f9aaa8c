import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { ServiceManagerKind } from '../../domain/host/state.ts';
import { ownProduct, type RunId } from '../../domain/ids.ts';
import { deadManFiles, renderDeadMan, renderDeadManWatch, renderSuccessor } from '../../domain/recovery/dead-man.ts';
import type { CommandRunner } from '../../ports/command-runner.ts';
import type { Handover } from '../../ports/handover.ts';
import { ensureDirectory, exists, isMissing, readIfThere, removeFileDurably, syncDirectory, writeFileDurably } from '../files/durable.ts';
import { bootId, findByEnvironment } from '../process/proc.ts';
import { createTurns } from '../process/turns.ts';
import { lastLines } from '../service-manager/log-file.ts';
import { instancePath } from '../service-manager/program.ts';

export interface HandoverOptions {
  /** Prefix of every path of the host, as in `hostLayout`. */
  readonly root: string;
  readonly services: ServiceManagerKind;
  readonly commands: CommandRunner;
  /** How long, beyond what its steps take, a run may not be heard of before the dead-man takes the host back. Seconds. */
  readonly slackSeconds?: number;
}

/** For the run to be heard of again after the agent or the control plane has been away. One that is heard of puts the deadline off with each command. */
export const deadManSlackSeconds = 60;

/** What a dead-man was armed with, and in which boot of the machine its deadline counts. */
interface Given {
  readonly seconds: number;
  readonly bootId: string;
}

const launchLimitMs = 10_000;
/** By it a helper is found again in `/proc`. */
const mark = 'FAIRLEAD_HANDOVER';

/**
 * Helpers as shell scripts below the product's `handover` directory. Where systemd runs the agent, ending its unit ends everything in its control group, so that
 * systemd is asked to start the helper as a transient unit (systemd-run(1)); elsewhere a session of its own (setsid(2)) is enough: the embedded manager
 * ends the agent by its process, and so does OpenRC, whose init script of the agent has it leave the control group alone.
 *
 * A dead-man outlives the agent and its restarts. A reboot ends it; then the agent that starts has it watched again. Needs `sh` and `/proc/uptime`.
 */
export function createHandover({ root, services, commands, slackSeconds = deadManSlackSeconds }: HandoverOptions): Handover {
  const layout = hostLayout(root, ownProduct);
  const filesOf = (runId: RunId) => deadManFiles(layout, runId);

  async function launch(name: string, script: string, log: string): Promise<void> {
    const env = { PATH: instancePath, LANG: 'C', FAIRLEAD_ROOT: root, [mark]: name };
    if (await isAtWork(name)) return;
    if (services === 'systemd') {
      const settings = Object.entries(env).map(([key, value]) => `--setenv=${key}=${value}`);
      const { exitCode, summary } = await commands.run(['systemd-run', '--quiet', '--collect', '--no-block', ...settings, `--property=StandardOutput=append:${log}`, `--property=StandardError=append:${log}`, '/bin/sh', script], { timeoutMs: launchLimitMs });
      if (exitCode !== 0) throw new FairleadError({ class: 'host', code: 'handover_failed', message: `systemd did not start the helper that outlives the agent: ${summary}`, hint: 'See that systemd-run works here; the agent needs root.' }, { retryable: true });
      return;
    }
    const output = await fs.open(log, 'a', 0o600);
    try {
      const child = spawn('/bin/sh', [script], { cwd: '/', env, detached: true, stdio: ['ignore', output.fd, output.fd] });
      await new Promise<void>((started, failed) => child.once('spawn', started).once('error', failed));
      child.unref();
    } finally {
      await output.close();
    }
  }

  /** A killed helper may leave a child that still sleeps; the helper itself leads its session. */
  const isAtWork = async (name: string): Promise<boolean> => (await findByEnvironment({ FAIRLEAD_ROOT: root, [mark]: name })).some(({ pid, sessionId }) => pid === sessionId);

  async function writeDeadline(runId: RunId, seconds: number): Promise<void> {
    const { armed, given } = filesOf(runId);
    await writeFileDurably(given, JSON.stringify({ seconds, bootId: bootId() } satisfies Given));
    // Whole seconds, for a shell.
    await writeFileDurably(armed, `${Math.ceil((await uptime()) + seconds)}\n`);
  }

  async function armedRuns(): Promise<RunId[]> {
    const names = await fs.readdir(layout.handoverDir).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
    return names.filter((name) => name.endsWith('.armed')).map((name) => name.slice(0, -'.armed'.length) as RunId);
  }

  async function givenTo(runId: RunId): Promise<Given | null> {
    try {
      return JSON.parse((await readIfThere(filesOf(runId).given)) ?? 'null') as Given | null;
    } catch {
      return null;
    }
  }

  /** Looking whether one is armed and writing its deadline are two steps: a deadline that is being put off must not come back after it was taken away. */
  const turns = createTurns();
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => turns(ownProduct, work);

  const watch = (runId: RunId): Promise<void> => launch(deadManOf(runId), filesOf(runId).watch, filesOf(runId).log);
  const hasActed = (runId: RunId): Promise<boolean> => exists(filesOf(runId).acted);

  async function disarm(runId: RunId): Promise<'disarmed' | 'acted'> {
    const { armed } = filesOf(runId);
    try {
      await fs.rename(armed, `${armed}.off`);
      await syncDirectory(layout.handoverDir);
      await removeFileDurably(`${armed}.off`);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    return (await hasActed(runId)) ? 'acted' : 'disarmed';
  }

  return {
    isSelf: (pid) => pid === process.pid,
    async begin({ runId, direction, instance, releaseId, lines }) {
      if (services === 'compose') {
        throw new FairleadError({ class: 'host', code: 'handover_unsupported', message: 'An agent in a container cannot replace itself: who runs the container has to.', hint: 'Run agents by systemd, OpenRC or the embedded service manager.' });
      }
      await ensureDirectory(layout.handoverDir, 0o700);
      const base = join(layout.handoverDir, `${runId}.${direction}.successor`);
      await writeFileDurably(`${base}.sh`, renderSuccessor(instance, releaseId, lines), 0o700);
      await launch(`successor ${runId} ${direction}`, `${base}.sh`, `${base}.log`);
    },
    arm: (order, seconds) =>
      inTurn(async () => {
        const { runId } = order;
        const { watch: watchFile, act } = filesOf(runId);
        if (await hasActed(runId)) return;
        await ensureDirectory(layout.handoverDir, 0o700);
        await writeFileDurably(act, renderDeadMan(layout, order), 0o700);
        await writeFileDurably(watchFile, renderDeadManWatch(layout, runId), 0o700);
        await writeDeadline(runId, seconds + slackSeconds);
        await watch(runId);
      }),
    putOff: (runId) =>
      inTurn(async () => {
        const given = await givenTo(runId);
        if (given !== null && (await exists(filesOf(runId).armed)) && !(await hasActed(runId))) await writeDeadline(runId, given.seconds);
      }),
    isArmed: async () => (await armedRuns()).length > 0,
    hasActed,
    isActing: async (runId) => (await hasActed(runId)) && !(await exists(filesOf(runId).done)) && isAtWork(deadManOf(runId)),
    disarm: (runId) => inTurn(() => disarm(runId)),
    forget: () =>
      inTurn(async () => {
        for (const runId of await armedRuns()) await disarm(runId);
        const names = await fs.readdir(layout.handoverDir).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
        for (const name of names) await removeFileDurably(join(layout.handoverDir, name));
      }),
    async said(runId) {
      return lastLines((await readIfThere(filesOf(runId).log)) ?? '', 40, []);
    },
    resume: () =>
      inTurn(async () => {
        for (const runId of await armedRuns()) {
          if (await hasActed(runId)) continue;
          const given = await givenTo(runId);
          if (given !== null && given.bootId !== bootId()) await writeDeadline(runId, given.seconds);
          await watch(runId);
        }
      }),
  };
}

const deadManOf = (runId: RunId): string => `dead-man ${runId}`;

const uptime = async (): Promise<number> => Number((await fs.readFile('/proc/uptime', 'utf8')).split(' ')[0]);
