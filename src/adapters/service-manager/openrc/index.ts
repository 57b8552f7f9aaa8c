import * as fs from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { FairleadError, messagesOf, type Evidence } from '../../../domain/failure.ts';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { ReleaseId } from '../../../domain/ids.ts';
import type { CommandOptions, CommandResult, CommandRunner } from '../../../ports/command-runner.ts';
import type { InstanceRef, InstanceSpec, InstanceStatus, ReloadSignal, ServiceManager, StopSpec } from '../../../ports/service-manager.ts';
import { ensureDirectory, exists, readIfThere, removeFileDurably, writeFileDurably } from '../../files/durable.ts';
import { bootId, findByEnvironment, isAlive, signalProcess, waitForEnd, type ProcessIdentity, type ScannedProcess } from '../../process/proc.ts';
import { parseConf } from '../conf-file.ts';
import { readLog, rotateLog } from '../log-file.ts';
import { findProgram, instancePath, minimalPath } from '../program.ts';
import { createTurns } from '../../process/turns.ts';
import { addToBoot, instanceEnvironment, recoveryLines, removeFromBoot, startService, statusService, stopLines, stopService, zapService } from './commands.ts';
import { instanceIdentity, openRcNames, ownerLine, renderInitScript, renderLaunchFile, watcherIdentity, type OpenRcNames } from './init-script.ts';
import { parseExitNote, parseProcessNote, parseStatusExit, saysNotInRunlevel, type OpenRcState, type ProcessNote } from './parse.ts';

/** For a question and for what OpenRC does at once. */
const askLimitMs = 10_000;
/** For a start with what the instance needs, as the network, and for the end of a supervisor, which has ten seconds of its own. */
const changeLimitMs = 90_000;
/** From the fork to the exec of the real command, on a machine that is very busy. */
const launchLimitMs = 10_000;
/** From SIGKILL until the kernel has taken the process away; longer only in uninterruptible sleep. */
const killLimitMs = 10_000;

export interface OpenRcOptions {
  /** Prefix of every path of the host, as in `hostLayout`. */
  readonly root: string;
  readonly commands: CommandRunner;
  readonly initDir?: string;
  /** Where OpenRC keeps what it knows of the running machine. */
  readonly stateDir?: string;
}

/**
 * Has the machine's OpenRC (tried with 0.45) run the instances: it starts them with the machine, and its supervise-daemon(8) starts a crashed one anew.
 *
 * Which process an instance is, and of which release, it notes itself when it starts: the launch file on the disk may be newer than the process. How it
 * ended is noted by the shell that waits for it, since supervise-daemon tells that to the system log alone.
 *
 * The log is rotated before each start that Fairlead asks for, as with the other managers. One that grows too fast for that may be given to
 * logrotate(8) with `copytruncate`, which works since supervise-daemon appends; it is not done here, because lines that come while the file is copied are lost.
 * @throws FairleadError `host_root_unusable` for a root with a control character, which no comment of a script can hold
 */
export function createOpenRcServiceManager({ root, commands, initDir = '/etc/init.d', stateDir = '/run/openrc' }: OpenRcOptions): ServiceManager {
  if (/[\u0000-\u001f\u007f]/.test(root)) {
    throw new FairleadError({ class: 'host', code: 'host_root_unusable', message: `The host's root ${JSON.stringify(root)} holds a control character.`, hint: 'Move it, or set FAIRLEAD_SERVICES=embedded.' });
  }
  const inTurn = createTurns();
  // OpenRC's commands are in /sbin, which an agent's PATH may leave out.
  const env = { LC_ALL: 'C', EINFO_COLOR: 'no', PATH: [process.env['PATH'], minimalPath].filter(Boolean).join(delimiter) };
  const context: Context = { root, initDir, stateDir, inTurn, run: (argv, options) => commands.run(argv, { timeoutMs: askLimitMs, env, ...options }) };
  const instanceTurn = <Result>(ref: InstanceRef, work: (names: OpenRcNames) => Promise<Result>) => {
    const names = openRcNames(root, initDir, ref);
    return inTurn(names.service, () => work(names));
  };
  const programOf = (spec: InstanceSpec) => [findProgram(spec, instancePath) ?? spec.command[0] ?? '', ...spec.command.slice(1)];
  return {
    kind: 'openrc',
    start: (spec) => instanceTurn(spec, (names) => start(context, names, spec)),
    stop: (spec, cancel) => instanceTurn(spec, (names) => stop(context, names, spec, cancel)),
    reload: (ref, signal) => instanceTurn(ref, (names) => reload(context, names, ref, signal)),
    status: (ref) => readStatus(context, openRcNames(root, initDir, ref), ref),
    evidence: (ref, lines) => collectEvidence(context, openRcNames(root, initDir, ref), ref, lines),
    forget: (ref) => instanceTurn(ref, (names) => forget(context, names, ref)),
    recoveryCommands: (spec) => recoveryLines(root, initDir, spec, programOf(spec), instancePath),
    stopCommands: (spec) => stopLines(root, initDir, spec),
  };
}

interface Context {
  readonly root: string;
  readonly initDir: string;
  readonly stateDir: string;
  readonly inTurn: ReturnType<typeof createTurns>;
  run(argv: readonly string[], options?: Partial<CommandOptions>): Promise<CommandResult>;
}

async function start(context: Context, names: OpenRcNames, spec: InstanceSpec): Promise<'started' | 'already_running'> {
  const { root, run } = context;
  await ask(context, names);
  let seen = await settle(context, names, spec);
  if (seen.main !== null && seen.isStopAsked) {
    // Somebody gave up waiting for it to end.
    await stop(context, names, spec);
    seen = await look(context, names, spec);
  }
  if (seen.main !== null) return adopt(context, names, spec, seen.main);

  const program = findProgram(spec, instancePath);
  if (program === null) {
    throw new FairleadError({
      class: 'release',
      code: 'command_not_found',
      message: `${spec.instance} cannot start: ${spec.command[0] ?? '(empty command)'} is neither in ${spec.releaseDir} nor on the PATH ${instancePath}`,
      hint: 'correct services.<name>.command in fairlead.yaml, or install the program on the host',
    });
  }
  parseConf((await readIfThere(spec.configFile)) ?? '', spec.configFile);
  await demandOwn(root, names, spec);

  // Ends the circle of a release that crashes again and again before its successor is written.
  await settleService(context, names, spec);
  if ((await ask(context, names)) === 'crashed' || (await hasFailed(context, names))) await run(zapService(names.service));
  // What a dead process left behind may still hold its port.
  await killAll((await look(context, names, spec)).members);

  await ensureDirectory(dirname(names.launchFile), 0o700);
  await prepareLog(spec);
  for (const file of [names.processNote, names.exitNote, names.stopMark]) await removeFileDurably(file);
  await writeIfOther(names.launchFile, renderLaunchFile(root, spec, [program, ...spec.command.slice(1)], instanceEnvironment(root, spec, instancePath)));
  await writeIfOther(names.initScript, renderInitScript(root, spec, names));
  // One at a time: each may have OpenRC compute the dependencies of all services anew, into one file.
  return context.inTurn('openrc', async () => {
    await demand(context, addToBoot(names.service), spec, 'instance_start_failed');
    await demand(context, startService(names.service), spec, 'instance_start_failed');
    await waitForLaunch(context, names, spec);
    return 'started' as const;
  });
}

/** Takes over a process that runs the release that is asked for. */
async function adopt(context: Context, names: OpenRcNames, spec: InstanceSpec, main: MainProcess): Promise<'already_running'> {
  if (main.releaseId !== spec.releaseId) {
    throw new FairleadError(
      {
        class: 'host',
        code: 'instance_running',
        message: `${spec.instance} already runs release ${main.releaseId ?? '(unknown)'} as process ${main.pid}; release ${spec.releaseId} was not started beside it`,
        hint: 'stop the instance first',
      },
      // It had crashed when the caller looked, and OpenRC has started it anew since: whoever asks again sees it run, and stops it first.
      { retryable: await exists(names.exitNote) },
    );
  }
  // An agent that was killed may have come no further than this.
  if (await exists(names.initScript)) await demand(context, addToBoot(names.service), spec, 'instance_start_failed');
  return 'already_running';
}

/**
 * The limit and its end are the caller's, who may stop waiting: so the signal is sent here, and OpenRC is told afterwards. The mark has the shell that
 * waits for the instance end the supervision, whoever is still there by then.
 */
async function stop(context: Context, names: OpenRcNames, spec: StopSpec, cancel?: AbortSignal): Promise<'stopped' | 'killed' | 'not_running'> {
  await ask(context, names);
  const { main } = await settle(context, names, spec);
  if (main !== null) await writeMark(names);
  if (main !== null) await signalProcess(main, spec.stopSignal);
  const ended = main === null || (await waitForEnd(main, spec.stopSeconds * 1000, cancel));
  if (!ended) await killAll([main]);
  await settleService(context, names, spec);
  // Once the leader is gone, its children have nothing left to do.
  await killAll((await look(context, names, spec)).members);
  if (main === null) return 'not_running';
  return ended ? 'stopped' : 'killed';
}

async function reload(context: Context, names: OpenRcNames, ref: InstanceRef, signal: ReloadSignal): Promise<'reloaded' | 'not_running'> {
  const { main } = await settle(context, names, ref);
  return main !== null && (await signalProcess(main, signal)) ? 'reloaded' : 'not_running';
}

async function readStatus(context: Context, names: OpenRcNames, ref: InstanceRef): Promise<InstanceStatus> {
  try {
    const state = await ask(context, names);
    const { main, watchers, lastExit, isStopAsked } = await look(context, names, ref);
    if (main !== null) return { status: isStopAsked || state === 'stopping' ? 'draining' : 'active', releaseId: main.releaseId, pid: main.pid, lastExit: null };
    const nothing = { releaseId: null, pid: null, lastExit };
    if (isStopAsked || lastExit === 'exit 0') return { status: 'inactive', ...nothing };
    if (lastExit !== null) return { status: 'failed', ...nothing };
    if (watchers.length > 0 || state === 'starting') return { status: 'starting', ...nothing };
    switch (state) {
      case null:
        return { status: 'inactive', ...nothing };
      case 'stopped':
        return { status: (await hasFailed(context, names)) ? 'failed' : 'inactive', ...nothing };
      case 'inactive':
        return { status: 'starting', ...nothing };
      case 'stopping':
        return { status: 'draining', ...nothing };
      default:
        // OpenRC thinks that it runs, and it does not.
        return { status: 'failed', ...nothing };
    }
  } catch {
    return { status: 'unknown', releaseId: null, pid: null, lastExit: null };
  }
}

interface MainProcess extends ProcessIdentity {
  /** Null where it was found without its note. */
  readonly releaseId: ReleaseId | null;
}

interface Sight {
  /** The instance itself. */
  readonly main: MainProcess | null;
  /** The instance and everything that it started. */
  readonly members: readonly ScannedProcess[];
  /** The shell that waits for the instance, and what it calls. */
  readonly watchers: readonly ScannedProcess[];
  /** How the last process of this boot ended; null while one runs, and where it is unknown. */
  readonly lastExit: string | null;
  readonly isStopAsked: boolean;
}

async function look({ root }: Context, names: OpenRcNames, ref: InstanceRef): Promise<Sight> {
  // Watchers first: one that has just launched its command is then seen at least once, as watcher or as instance.
  const watchers = await findByEnvironment(watcherIdentity(root, ref));
  const members = await findByEnvironment(instanceIdentity(root, ref));
  const text = parseProcessNote(await readIfThere(names.processNote));
  const note = text?.bootId === bootId() ? text : null;
  const main = await findMain(note, members);
  const lastExit = note === null || main !== null ? null : parseExitNote(await readIfThere(names.exitNote), note.launchId);
  return { main, members, watchers, lastExit, isStopAsked: await exists(names.stopMark) };
}

/** By its note, which also names a process that overwrote its environment to show a title. Without one: what was started first and calls itself the instance. */
async function findMain(note: ProcessNote | null, members: readonly ScannedProcess[]): Promise<MainProcess | null> {
  if (note !== null) return (await isAlive(note)) ? { pid: note.pid, startTicks: note.startTicks, releaseId: note.releaseId } : null;
  const [oldest] = [...members].sort((one, other) => Number(one.startTicks) - Number(other.startTicks) || one.pid - other.pid);
  return oldest === undefined ? null : { pid: oldest.pid, startTicks: oldest.startTicks, releaseId: (oldest.environment['FAIRLEAD_RELEASE_ID'] ?? null) as ReleaseId | null };
}

/** Looks until the picture is whole: a watcher whose instance is neither running nor noted to have ended is about to launch it, or to write down its end. */
async function settle(context: Context, names: OpenRcNames, ref: InstanceRef): Promise<Sight> {
  const deadline = performance.now() + launchLimitMs;
  for (;;) {
    const seen = await look(context, names, ref);
    if (seen.main !== null || seen.lastExit !== null || seen.watchers.length === 0 || performance.now() >= deadline) return seen;
    await pause(10);
  }
}

/** What OpenRC says of the service; null where it has none of that name. @throws FairleadError `service_manager_unreachable` where it could not be asked */
async function ask({ run, stateDir }: Context, names: OpenRcNames): Promise<OpenRcState | null> {
  if (!(await exists(join(stateDir, 'softlevel')))) {
    throw new FairleadError({ class: 'host', code: 'service_manager_unreachable', message: `OpenRC does not run this machine: there is no ${join(stateDir, 'softlevel')}.`, hint: 'See that OpenRC has booted the machine (rc-status), or set FAIRLEAD_SERVICES to another service manager.' }, { retryable: true });
  }
  const result = await run(statusService(names.service));
  const state = parseStatusExit(result.exitCode);
  if (state !== null) return state;
  // OpenRC exits with 1 for a service that it does not have.
  if (result.exitCode === 1 && !(await exists(names.initScript))) return null;
  throw unreachable(names.service, result, 'service_manager_unreachable');
}

/** OpenRC counts a service as stopped also after it has failed, and says so in no exit status. */
const hasFailed = ({ stateDir }: Context, { service }: OpenRcNames): Promise<boolean> => exists(join(stateDir, 'failed', service));

/** Has OpenRC stop the service, whatever it thinks of it: also a supervisor that waits between two attempts. The process itself is gone by then. */
async function settleService(context: Context, names: OpenRcNames, ref: InstanceRef): Promise<void> {
  const deadline = performance.now() + changeLimitMs;
  for (;;) {
    const state = await ask(context, names);
    if (state === null || state === 'stopped') return;
    if ((state === 'starting' || state === 'stopping') && performance.now() < deadline) {
      await pause(50);
      continue;
    }
    await writeMark(names);
    await demand(context, stopService(names.service), ref, 'service_stop_failed');
    if (performance.now() >= deadline) throw new FairleadError({ class: 'host', code: 'service_stop_failed', message: `OpenRC still says that ${names.service} is ${state}, ${changeLimitMs / 1000} s after it was told to stop it.`, hint: `rc-service ${names.service} status` }, { retryable: true });
  }
}

async function waitForLaunch(context: Context, names: OpenRcNames, spec: InstanceSpec): Promise<void> {
  const deadline = performance.now() + launchLimitMs;
  while ((await readIfThere(names.processNote)) === null && (await look(context, names, spec)).main === null) {
    if (performance.now() >= deadline) {
      throw new FairleadError({ class: 'host', code: 'instance_start_failed', message: `${spec.instance} was launched, but its process did not appear within ${launchLimitMs} ms`, hint: `rc-service ${names.service} status; its log is ${spec.logFile}` }, { retryable: true });
    }
    await pause(5);
  }
}

async function demand({ run }: Context, argv: readonly string[], ref: InstanceRef, code: string): Promise<void> {
  const result = await run(argv, { timeoutMs: changeLimitMs });
  if (result.exitCode !== 0) throw unreachable(ref.instance, result, code);
}

const unreachable = (what: string, { summary, stdout, stderr }: CommandResult, code: string): FairleadError =>
  new FairleadError(
    { class: 'host', code, message: `OpenRC did not do for ${what} what it was asked: ${summary}${reasonIn(stderr)}`, hint: 'See that OpenRC runs this machine (rc-status), that something provides the network (need net), and that the agent is root.' },
    { retryable: true, evidence: [{ kind: 'command', at: new Date().toISOString(), command: summary, exit: 'failed', output: `${stdout}${stderr}`.slice(-4_000) }] },
  );

/** What OpenRC says before its last line, which only says that it failed. */
function reasonIn(stderr: string): string {
  const said = stderr.split('\n').map((line) => line.replace(/^\s*\*\s*/, '').trim()).filter((line) => line !== '' && !line.includes('cgroup'));
  return said.length < 2 ? '' : ` (${said.slice(0, -1).join('; ').slice(-600)})`;
}

async function writeMark(names: OpenRcNames): Promise<void> {
  await ensureDirectory(dirname(names.stopMark), 0o700);
  await writeFileDurably(names.stopMark, '');
}

async function killAll(processes: readonly ProcessIdentity[]): Promise<void> {
  for (const process of processes) await signalProcess(process, 'SIGKILL');
  for (const process of processes) {
    if (await waitForEnd(process, killLimitMs)) continue;
    throw new FairleadError(
      { class: 'host', code: 'instance_not_ended', message: `process ${process.pid} is still there ${killLimitMs} ms after SIGKILL`, hint: 'it waits in the kernel, most likely for a disk; see /proc/<pid>/stack' },
      { retryable: true },
    );
  }
}

async function demandOwn(root: string, names: OpenRcNames, ref: InstanceRef): Promise<void> {
  const there = await readIfThere(names.initScript);
  if (there === null || there.split('\n')[1] === ownerLine(root, ref)) return;
  throw new FairleadError({ class: 'host', code: 'unit_name_taken', message: `${names.initScript} is there already and is not of ${ref.product}/${ref.instance} of ${root}; it was left as it is.`, hint: 'Move it away, or rename the product or the instance.' });
}

/** Only what changes is written: by the time of its scripts OpenRC decides whether to compute all dependencies anew. */
async function writeIfOther(file: string, text: string): Promise<void> {
  if ((await readIfThere(file)) !== text) await writeFileDurably(file, text, 0o755);
}

/** supervise-daemon cannot make the directory, and would say so to nobody. */
async function prepareLog({ logFile }: InstanceSpec): Promise<void> {
  await ensureDirectory(dirname(logFile), 0o755);
  await rotateLog(logFile);
  await (await fs.open(logFile, 'a', 0o640)).close();
}

async function forget(context: Context, names: OpenRcNames, ref: InstanceRef): Promise<void> {
  if ((await readIfThere(names.initScript))?.split('\n')[1] === ownerLine(context.root, ref)) {
    await settleService(context, names, ref);
    await context.run(zapService(names.service));
    const removed = await context.run(removeFromBoot(names.service));
    if (removed.exitCode !== 0 && !saysNotInRunlevel(`${removed.stdout}${removed.stderr}`)) throw unreachable(ref.instance, removed, 'service_forget_failed');
    await removeFileDurably(names.initScript);
  }
  for (const file of [names.launchFile, names.processNote, names.exitNote, names.stopMark]) if (await exists(file)) await removeFileDurably(file);
}

async function collectEvidence(context: Context, names: OpenRcNames, ref: InstanceRef, lines: number): Promise<Evidence[]> {
  const at = new Date().toISOString();
  const layout = hostLayout(context.root, ref.product);
  const { status, lastExit } = await readStatus(context, names, ref);
  const path = layout.logFile(ref.instance);
  const log = await readLog(path, layout.configFile(ref.instance), lines);
  const command = statusService(names.service).join(' ');
  const openRc = await ask(context, names).then(
    (state) => ({ exit: 'answered', output: state ?? 'OpenRC has no such service' }),
    (error: unknown) => ({ exit: 'failed', output: messagesOf(error)[0] ?? 'unknown cause' }),
  );
  return [
    { kind: 'unit', at, instance: ref.instance, status, exit: lastExit },
    { kind: 'log', at, instance: ref.instance, path, lines: log },
    { kind: 'command', at, command, ...openRc },
  ];
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
