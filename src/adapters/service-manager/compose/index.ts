import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { FairleadError, messagesOf, type Evidence } from '../../../domain/failure.ts';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { CommandOptions, CommandResult, CommandRunner } from '../../../ports/command-runner.ts';
import type { InstanceRef, InstanceSpec, InstanceStatus, ReloadSignal, ServiceManager, StopSpec } from '../../../ports/service-manager.ts';
import { ensureDirectory, errnoOf, readIfThere, removeFileDurably, writeFileDurably } from '../../files/durable.ts';
import { readCommandLine, readProcess, signalProcess } from '../../process/proc.ts';
import { parseConf } from '../conf-file.ts';
import { lastLines, readLog, rotateLog, secretsIn } from '../log-file.ts';
import { findProgram } from '../program.ts';
import { createTurns } from '../../process/turns.ts';
import * as argv from './commands.ts';
import { composeFile, composeNames } from './compose-file.ts';
import { programMissing, unreachable } from './errors.ts';
import { createImages, imageLimitMs } from './images.ts';
import { locateCompose, type LocatedCompose } from './locate.ts';
import * as parse from './parse.ts';
import type { Container } from './parse.ts';

export interface ComposeOptions {
  /** Prefix of every path of the host, as in `hostLayout`. */
  readonly root: string;
  readonly commands: CommandRunner;
  /** What instances run in where their release does not carry an image of its own; null takes the image in which the instance ran last. */
  readonly image?: string | null;
  /** Where the daemon listens; null leaves it to DOCKER_HOST and Docker's own default. */
  readonly dockerHost?: string | null;
  /** How long an instance has to run until the daemon is told to bring it back by itself. Default 60,000. */
  readonly provenAfterMs?: number;
}

/** What a daemon needs for an answer about a container, on a machine that is very busy. */
const askLimitMs = 15_000;
const launchLimitMs = 10_000;
const killLimitMs = 10_000;
/** Of a container that is taken away. */
const keptLogLines = 20_000;
const maxLogBytes = 8 * 2 ** 20;

/**
 * Runs each instance as a container of its own, described by a Compose file of its own, in one Compose project for each product of the host.
 * Instances outlive the agent, and what an instance left behind goes with its container.
 *
 * The truth is what the daemon says of the container, which is found by its name; the release that runs is told by its label, not by a file.
 * The name is unique to the daemon, so that not even two agents can start an instance twice. Containers share the network of the host, see the
 * release, the configuration and the state root at the host's own paths, and nothing else of it.
 *
 * A crash while a release is proved stays a crash: the daemon restarts nothing at first. An instance that has run for `provenAfterMs` is brought
 * back by the daemon after a crash, a restart of the daemon, and a reboot, also before the agent is there.
 *
 * The log is kept by the daemon, which rotates it (`docker logs`); when a container is taken away, its last lines are appended to the log file.
 *
 * Linux only, with the daemon on this machine. The conf file's values stand in the container's configuration, which the daemon shows to whoever
 * may use it, that is, to who is root anyway.
 */
export function createComposeServiceManager({ root, commands, image = null, dockerHost = null, provenAfterMs = 60_000 }: ComposeOptions): ServiceManager {
  const inTurn = createTurns();
  const turnOf = ({ product, instance }: InstanceRef): string => `${product}/${instance}`;
  const env: Readonly<Record<string, string>> = dockerHost === null ? {} : { DOCKER_HOST: dockerHost };
  const provenTimers = new Map<string, NodeJS.Timeout>();
  let located: LocatedCompose | null = null;

  const run = (command: readonly string[], options: Partial<CommandOptions> = {}): Promise<CommandResult> =>
    commands.run(command, { timeoutMs: askLimitMs, ...options, env: { ...env, ...options.env } });
  const images = createImages({ root, image, run });

  /** Null where the daemon says that there is none. @throws where it could not be asked. */
  async function find(ref: InstanceRef): Promise<Container | null> {
    const asked = await run(argv.inspectCommand(composeNames(root, ref).container));
    const container = asked.exitCode === 0 ? parse.parseInspect(asked.stdout) : null;
    if (container !== null) return container;
    if (asked.exitCode !== null && parse.saysNoSuchContainer(asked.stderr)) return null;
    throw unreachable(asked);
  }

  async function start(spec: InstanceSpec): Promise<'started' | 'already_running'> {
    const { composeFile: file, stopMark } = composeNames(root, spec);
    const seen = await find(spec);
    if (seen !== null && runs(seen)) return adopt(spec, seen);

    const command = commandOf(spec);
    const conf = parseConf((await readIfThere(spec.configFile)) ?? '', spec.configFile);
    const compose = await demandCompose();
    const used = await images.demand(spec);
    const layout = hostLayout(root, spec.product);
    await ensureDirectory(layout.stateRoot);
    await ensureDirectory(layout.configDir);
    await ensureDirectory(dirname(file), 0o700);
    if (seen !== null) await takeAway(spec, seen);
    const { text, variables } = composeFile(root, spec, used, command, conf);
    await writeFileDurably(file, text);
    await removeFileDurably(stopMark);

    // What a killed agent left at work here is ended first: it would start the container after it was looked for.
    const only = { FAIRLEAD_COMPOSE: `${root}:${turnOf(spec)}` };
    const up = await run(argv.upCommand(compose.command, root, spec), { timeoutMs: imageLimitMs, only, env: { ...argv.composeSettings, ...variables } });
    const made = await find(spec);
    if (up.exitCode !== 0 && made !== null && runs(made)) return adopt(spec, made);
    if (up.exitCode !== 0 || made === null) {
      if (made !== null) await run(argv.removeCommand(made.id));
      throw await startFailed(spec, used, up);
    }
    await waitForLaunch(spec, made);
    return 'started';
  }

  /** Takes over a container that runs the release that is asked for. */
  async function adopt(spec: InstanceSpec, seen: Container): Promise<'already_running'> {
    if (seen.releaseId !== spec.releaseId) {
      throw new FairleadError({
        class: 'host',
        code: 'instance_running',
        message: `${spec.instance} already runs release ${seen.releaseId ?? '(unknown)'} in container ${seen.id.slice(0, 12)}; release ${spec.releaseId} was not started beside it`,
        hint: 'stop the instance first',
      });
    }
    await removeFileDurably(composeNames(root, spec).stopMark);
    bringBackOnceProven(spec, seen);
    return 'already_running';
  }

  /** Resolves once the instance's own program runs under docker-init, or has ended. @throws `command_not_found` where it never did. */
  async function waitForLaunch(spec: InstanceSpec, made: Container): Promise<void> {
    const deadline = performance.now() + launchLimitMs;
    for (let now: Container | null = made; now !== null; now = await find(spec)) {
      if (!runs(now)) {
        const log = await readContainerLog(now.id, 5);
        if (log === null || !parse.saysProgramMissing(now.exitCode, log)) return;
        await run(argv.removeCommand(now.id));
        throw programMissing(spec, log.at(-1) ?? '');
      }
      if ((await mainProcess(now))?.hasLaunched !== false) return bringBackOnceProven(spec, now);
      if (performance.now() > deadline) {
        throw new FairleadError(
          { class: 'host', code: 'instance_start_failed', message: `the container of ${spec.instance} runs, but its program did not within ${launchLimitMs} ms`, hint: `docker container inspect ${composeNames(root, spec).container}` },
          { retryable: true },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function stop(spec: StopSpec, cancel?: AbortSignal): Promise<'stopped' | 'killed' | 'not_running'> {
    const { stopMark } = composeNames(root, spec);
    const seen = await find(spec);
    if (seen === null || !runs(seen)) {
      if (seen !== null) await takeAway(spec, seen);
      await removeFileDurably(stopMark);
      return 'not_running';
    }
    await ensureDirectory(dirname(stopMark), 0o700);
    await writeFileDurably(stopMark, `${seen.id}\n`);
    if (seen.restartPolicy !== 'no') await run(argv.restartPolicyCommand(seen.id, 'no'));
    const result = await end(spec, seen, cancel);
    await takeAway(spec, seen);
    await removeFileDurably(stopMark);
    return result;
  }

  async function end(spec: StopSpec, { id }: Container, cancel?: AbortSignal): Promise<'stopped' | 'killed'> {
    if (!(await signal(id, spec.stopSignal))) return 'stopped';
    const waited = await run(argv.waitCommand(id), { timeoutMs: spec.stopSeconds * 1000, ...(cancel ? { cancel } : {}) });
    cancel?.throwIfAborted();
    if (waited.exitCode === 0 || parse.saysNoSuchContainer(waited.stderr)) return 'stopped';
    if (!waited.timedOut) throw unreachable(waited);
    if (!(await signal(id, 'SIGKILL'))) return 'stopped';
    const killed = await run(argv.waitCommand(id), { timeoutMs: killLimitMs });
    if (killed.exitCode === 0 || parse.saysNoSuchContainer(killed.stderr)) return 'killed';
    throw new FairleadError(
      { class: 'host', code: 'instance_not_ended', message: `the container of ${spec.instance} is still there ${killLimitMs} ms after SIGKILL: ${killed.summary}`, hint: `docker rm --force ${id.slice(0, 12)}` },
      { retryable: true },
    );
  }

  /** False where the container has ended. */
  async function signal(id: string, name: Parameters<typeof argv.signalCommand>[1]): Promise<boolean> {
    const sent = await run(argv.signalCommand(id, name));
    if (sent.exitCode === 0) return true;
    if (parse.saysNotRunning(sent.stderr) || parse.saysNoSuchContainer(sent.stderr)) return false;
    throw unreachable(sent);
  }

  async function reload(ref: InstanceRef, name: ReloadSignal): Promise<'reloaded' | 'not_running'> {
    const seen = await find(ref);
    if (seen === null || !runs(seen)) return 'not_running';
    // Straight to the process: the daemon counts every `docker kill` as a wish to stop, and would not bring the instance back after the next crash.
    const main = await mainProcess(seen);
    try {
      const process = main === null ? null : await readProcess(main.pid);
      if (process !== null && (await signalProcess(process, name))) return 'reloaded';
    } catch (error) {
      if (errnoOf(error) !== 'EPERM') throw error;
    }
    return (await signal(seen.id, name)) ? 'reloaded' : 'not_running';
  }

  async function readStatus(ref: InstanceRef): Promise<InstanceStatus> {
    const nothing = { releaseId: null, pid: null, lastExit: null };
    try {
      const seen = await find(ref);
      if (seen === null) return { status: 'inactive', ...nothing };
      const isStopping = (await readIfThere(composeNames(root, ref).stopMark))?.trim() === seen.id;
      switch (seen.state) {
        case 'running':
        case 'paused': {
          const main = await mainProcess(seen);
          if (!isStopping) bringBackOnceProven(ref, seen);
          return { status: isStopping ? 'draining' : main?.hasLaunched === false ? 'starting' : 'active', releaseId: seen.releaseId, pid: main?.pid ?? seen.pid, lastExit: null };
        }
        case 'restarting':
          return { status: 'starting', releaseId: seen.releaseId, pid: seen.pid, lastExit: parse.exitOf(seen) };
        case 'removing':
          return { status: 'draining', ...nothing };
        case 'created':
          // A start that was cut off, or that the daemon refused.
          return { status: seen.error === '' ? 'inactive' : 'failed', ...nothing };
        case 'exited':
        case 'dead': {
          const lastExit = parse.exitOf(seen);
          return { status: isStopping || lastExit === 'exit 0' ? 'inactive' : 'failed', ...nothing, lastExit };
        }
        case 'unknown':
          return { status: 'unknown', ...nothing };
      }
    } catch {
      return { status: 'unknown', ...nothing };
    }
  }

  async function collectEvidence(ref: InstanceRef, lines: number): Promise<Evidence[]> {
    const at = new Date().toISOString();
    const { status, lastExit } = await readStatus(ref);
    const log = await readInstanceLog(ref, lines);
    return [
      { kind: 'unit', at, instance: ref.instance, status, exit: lastExit },
      { kind: 'log', at, instance: ref.instance, ...log },
    ];
  }

  /** Of the container, else of those that are gone. */
  async function readInstanceLog(ref: InstanceRef, count: number): Promise<{ path: string; lines: string[] }> {
    const layout = hostLayout(root, ref.product);
    const path = layout.logFile(ref.instance);
    const configFile = layout.configFile(ref.instance);
    try {
      const seen = await find(ref);
      if (seen === null) return { path, lines: await readLog(path, configFile, count) };
      const lines = (await readContainerLog(seen.id, count)) ?? [];
      // Without the conf file nobody knows what must not be shown, so that nothing is.
      return { path: `docker logs ${composeNames(root, ref).container}`, lines: lastLines(lines.join('\n'), count, secretsIn(parseConf((await readIfThere(configFile)) ?? '', configFile))) };
    } catch (error) {
      return { path, lines: [`(the log cannot be shown: ${messagesOf(error)[0]})`] };
    }
  }

  /** Null where it cannot be had. */
  async function readContainerLog(id: string, count: number): Promise<string[] | null> {
    const { exitCode, stdout, stderr } = await run(argv.logsCommand(id, count), { maxOutputBytes: maxLogBytes });
    return exitCode === 0 ? parse.mergeLogs(stdout, stderr, count) : null;
  }

  /** Removes a container. What it said stays in the log file. */
  async function takeAway(ref: InstanceRef, { id }: Container): Promise<void> {
    const logFile = hostLayout(root, ref.product).logFile(ref.instance);
    const lines = await readContainerLog(id, keptLogLines);
    if (lines !== null && lines.length > 0) {
      await ensureDirectory(dirname(logFile));
      await rotateLog(logFile);
      await fs.appendFile(logFile, `${lines.join('\n')}\n`);
    }
    const removed = await run(argv.removeCommand(id), { timeoutMs: askLimitMs + killLimitMs });
    if (removed.exitCode !== 0 && !parse.saysNoSuchContainer(removed.stderr)) throw unreachable(removed);
  }

  /** Tells the daemon to bring the container back, once it has run for long enough. */
  function bringBackOnceProven(ref: InstanceRef, { id, restartPolicy, startedAtMs }: Container): void {
    if (restartPolicy !== 'no' || provenTimers.has(id)) return;
    const leftMs = Math.max(0, (startedAtMs ?? Date.now()) + provenAfterMs - Date.now());
    const bringBack = async (): Promise<void> => {
      const now = await find(ref);
      const isStopping = (await readIfThere(composeNames(root, ref).stopMark)) !== null;
      if (now?.id === id && now.state === 'running' && !isStopping) await run(argv.restartPolicyCommand(id, 'unless-stopped'));
    };
    const timer = setTimeout(() => {
      // Where the daemon could not be asked, the next look at the status tries again.
      inTurn(turnOf(ref), bringBack).catch(() => undefined).finally(() => provenTimers.delete(id));
    }, leftMs);
    timer.unref();
    provenTimers.set(id, timer);
  }

  async function demandCompose(): Promise<LocatedCompose> {
    located ??= await locateCompose(commands, env);
    if (located !== null) return located;
    throw new FairleadError({
      class: 'host',
      code: 'compose_missing',
      message: 'This host is set to run its instances with Docker Compose, and neither `docker compose version` nor `docker-compose version` answers.',
      hint: 'Install it (apt-get install docker-compose-plugin, or docker-compose), or set FAIRLEAD_SERVICES to another service manager.',
    });
  }

  async function startFailed(spec: InstanceSpec, used: string, up: CommandResult): Promise<FairleadError> {
    const there = await run(argv.inspectImageCommand(used));
    if (there.exitCode !== 0 && parse.saysNoSuchImage(there.stderr)) {
      return new FairleadError(
        { class: 'dependency', code: 'compose_image_unavailable', message: `${spec.instance} cannot start: image ${used} is not on this host, and it could not be pulled: ${up.summary}`, hint: `docker pull ${used}, or docker load it` },
        { retryable: true },
      );
    }
    return new FairleadError({ class: 'host', code: 'instance_start_failed', message: `${spec.instance} was not started on release ${spec.releaseId}: ${up.summary}` }, { retryable: true });
  }

  return {
    kind: 'compose',
    start: (spec) => inTurn(turnOf(spec), () => start(spec)),
    stop: (spec, cancel) => inTurn(turnOf(spec), () => stop(spec, cancel)),
    reload: (ref, name) => inTurn(turnOf(ref), () => reload(ref, name)),
    status: readStatus,
    evidence: collectEvidence,
    forget: (ref) =>
      inTurn(turnOf(ref), async () => {
        const { composeFile: file, stopMark } = composeNames(root, ref);
        const seen = await find(ref);
        if (seen !== null && !runs(seen)) await takeAway(ref, seen);
        await removeFileDurably(file);
        await removeFileDurably(stopMark);
      }),
    recoveryCommands: (spec) => argv.recoveryLines(root, dockerHost, spec, images.nameOf(spec), commandOf(spec)),
    stopCommands: (spec) => argv.stopLines(root, dockerHost, spec, hostLayout(root, spec.product).logFile(spec.instance)),
  };
}

const runs = ({ state }: Container): boolean => state === 'running' || state === 'paused' || state === 'restarting';

/** A program of the release is named by its path; any other is looked up in the image. */
function commandOf(spec: InstanceSpec): string[] {
  const [word = '', ...words] = spec.command;
  if (word === '') throw programMissing(spec, 'the command is empty');
  return [findProgram({ releaseDir: spec.releaseDir, command: [word.includes('/') ? word : `./${word}`] }, '') ?? word, ...words];
}

/** The instance's own process: the child of docker-init. `hasLaunched` is false until it has turned from a copy of docker-init into its program. */
async function mainProcess({ pid }: Container): Promise<{ readonly pid: number; readonly hasLaunched: boolean } | null> {
  if (pid === null) return null;
  try {
    const child = Number((await fs.readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')[0]);
    if (child === 0) return { pid, hasLaunched: false };
    const [init, own] = [await readCommandLine(pid), await readCommandLine(child)];
    return { pid: child, hasLaunched: own !== '' && own !== init };
  } catch {
    // Not on this machine, or the container has just ended.
    return null;
  }
}
