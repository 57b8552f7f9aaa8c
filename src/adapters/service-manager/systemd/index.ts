import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FairleadError, type Evidence } from '../../../domain/failure.ts';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { CommandOptions, CommandResult, CommandRunner } from '../../../ports/command-runner.ts';
import type { InstanceRef, InstanceSpec, InstanceStatus, ReloadSignal, ServiceManager, StopSpec } from '../../../ports/service-manager.ts';
import { ensureDirectory, exists, isMissing, readIfThere, removeFileDurably, replaceSymlinkDurably, writeFileDurably } from '../../files/durable.ts';
import { parseConf } from '../conf-file.ts';
import { readLog, rotateLog } from '../log-file.ts';
import { findProgram, instancePath } from '../program.ts';
import { createTurns } from '../../process/turns.ts';
import { daemonReload, identityOf, instanceEnvironment, killAll, killMain, recoveryLines, resetFailed, show, startTarget, startUnit, stopLines, stopUnit } from './commands.ts';
import { hasRunSince, lastExitOf, parseInvocation, parseShow, statusOf, type UnitFacts } from './parse.ts';
import { dropInName, invocationFile, ownerLine, renderDropIn, renderTarget, renderTemplate, unitFiles, unitNames, withStopSettings } from './units.ts';

/** For a question and for what systemd does at once. */
const askLimitMs = 10_000;
/** Until the program was executed; what comes before it is a shell that writes one line. */
const startLimitMs = 90_000;
/** What systemd itself needs around its own limit, after which it kills. */
const stopGraceMs = 3_000;
/** From SIGKILL until the kernel has taken the processes away; longer only in uninterruptible sleep. */
const killLimitMs = 10_000;

export interface SystemdOptions {
  /** Prefix of every path of the host, as in `hostLayout`. */
  readonly root: string;
  readonly commands: CommandRunner;
  readonly unitDir?: string;
}

/**
 * Has the machine's systemd (240 or newer; tried with 252) run the instances: it starts them with the machine, starts a crashed one anew, and
 * knows every process of theirs by its control group. The truth is what `systemctl show` says; nothing of it is remembered here.
 *
 * Which release the running process is of is noted by the unit itself at each start, together with systemd's id of that start. The drop-in on the
 * disk may be newer than the process, and the process may have overwritten its environment to show a title, as Ruby's servers do.
 *
 * @throws FairleadError `host_root_unusable` for a root whose name systemd would take for a pattern
 */
export function createSystemdServiceManager({ root, commands, unitDir = '/etc/systemd/system' }: SystemdOptions): ServiceManager {
  // EnvironmentFile= takes patterns (glob(7)), and there is no way to quote one.
  if (/[*?[\]\\\u0000-\u001f]/.test(root)) {
    throw new FairleadError({ class: 'host', code: 'host_root_unusable', message: `The host's root ${JSON.stringify(root)} holds * ? [ ] \\ or a control character, which systemd would not take as it stands.`, hint: 'Move it, or set FAIRLEAD_SERVICES=embedded.' });
  }
  const inTurn = createTurns();
  const context: Context = { root, unitDir, run: (argv, options) => commands.run(argv, { timeoutMs: askLimitMs, env: { LC_ALL: 'C', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' }, ...options }), inTurn };
  const instanceTurn = <Result>(ref: InstanceRef, work: () => Promise<Result>) => inTurn(unitNames(root, ref).unit, work);
  const programOf = (spec: InstanceSpec) => [findProgram(spec, instancePath) ?? spec.command[0] ?? '', ...spec.command.slice(1)];
  return {
    kind: 'systemd',
    start: (spec) => instanceTurn(spec, () => start(context, spec)),
    stop: (spec, cancel) => instanceTurn(spec, () => stop(context, spec, cancel)),
    reload: (ref, signal) => instanceTurn(ref, () => reload(context, ref, signal)),
    status: (ref) => readStatus(context, ref),
    evidence: (ref, lines) => collectEvidence(context, ref, lines),
    forget: (ref) => instanceTurn(ref, () => forget(context, ref)),
    recoveryCommands: (spec) => recoveryLines(root, unitDir, spec, programOf(spec), instancePath),
    stopCommands: (spec) => stopLines(root, spec),
  };
}

interface Context {
  readonly root: string;
  readonly unitDir: string;
  run(argv: readonly string[], options?: Partial<CommandOptions>): Promise<CommandResult>;
  readonly inTurn: ReturnType<typeof createTurns>;
}

async function start(context: Context, spec: InstanceSpec): Promise<'started' | 'already_running'> {
  const { root, run } = context;
  const names = unitNames(root, spec);
  let [facts, target] = await settle(context, spec, names.unit, names.target);
  if (facts.mainPid !== null) return adopt(context, spec, facts);

  const program = findProgram(spec, instancePath);
  if (program === null) {
    throw new FairleadError({
      class: 'release',
      code: 'command_not_found',
      message: `${spec.instance} cannot start: ${spec.command[0] ?? '(empty command)'} is neither in ${spec.releaseDir} nor on the PATH ${instancePath}`,
      hint: 'correct services.<name>.command in fairlead.yaml, or install the program on the host',
    });
  }
  await checkConf(root, spec);
  // Ends the circle of a release that crashes again and again before its successor is written.
  if (facts.activeState === 'activating') await demand(context, stopUnit(names.unit), spec, 'service_stop_failed');
  await prepareLog(spec);
  const files = { ...spec, command: [program, ...spec.command.slice(1)] };
  await context.inTurn('unit files', () => writeUnits(context, files, facts.needsReload));
  await run(resetFailed(names.unit));
  if (target === undefined || target.activeState !== 'active') await demand(context, startTarget(names.target), spec, 'instance_start_failed');

  const result = await run(startUnit(names.unit), { timeoutMs: startLimitMs });
  if (result.exitCode === 0) return 'started';
  const before = facts;
  [facts] = await ask(context, spec, names.unit);
  // It ran, and was over before systemd had said that it runs: what that means is the probe's question, as with one that lives a little longer.
  if (hasRunSince(before, facts)) return 'started';
  await run(stopUnit(names.unit));
  throw new FairleadError(
    { class: 'host', code: 'instance_start_failed', message: `systemd could not start ${names.unit} (${facts.result || facts.activeState}, ${lastExitOf(facts) ?? 'no process'}): ${result.summary}`, hint: `systemctl status ${names.unit}; journalctl -u ${names.unit}` },
    { retryable: true, evidence: [showEvidence(names.unit, facts)] },
  );
}

/** Takes over a process that runs the release that is asked for. */
async function adopt(context: Context, spec: InstanceSpec, facts: UnitFacts): Promise<'already_running'> {
  const releaseId = await releaseOf(context.root, spec, facts);
  if (releaseId !== spec.releaseId) {
    throw new FairleadError(
      {
        class: 'host',
        code: 'instance_running',
        message: `${spec.instance} already runs release ${releaseId ?? '(unknown)'} as process ${facts.mainPid}; release ${spec.releaseId} was not started beside it`,
        hint: 'stop the instance first',
      },
      // It had crashed when the caller looked, and systemd has started it anew since: whoever asks again sees it run, and stops it first.
      { retryable: facts.restarts > 0 },
    );
  }
  // An agent that was killed may have come no further than this.
  await context.inTurn('unit files', async () => {
    if (await enable(context, spec)) await demand(context, daemonReload, spec, 'instance_start_failed');
  });
  return 'already_running';
}

async function stop(context: Context, spec: StopSpec, cancel?: AbortSignal): Promise<'stopped' | 'killed' | 'not_running'> {
  const { run } = context;
  const { unit } = unitNames(context.root, spec);
  const [before] = await ask(context, spec, unit);
  if (before.activeState === 'inactive' || before.activeState === 'failed') return 'not_running';
  const draining = before.activeState === 'deactivating';
  // Somebody else's stop is under way with its own limit; ours is kept from here.
  if (!draining) await context.inTurn('unit files', () => suitStop(context, spec));
  const result = await run(stopUnit(unit), { timeoutMs: spec.stopSeconds * 1000 + (draining ? 0 : stopGraceMs), ...(cancel === undefined ? {} : { cancel }) });
  if (result.exitCode !== 0 && cancel?.aborted) throw cancel.reason;
  if (result.timedOut) {
    await run(killAll(unit));
    const ended = await run(stopUnit(unit), { timeoutMs: killLimitMs });
    if (ended.exitCode !== 0) {
      throw new FairleadError(
        { class: 'host', code: 'instance_not_ended', message: `${unit} is still there ${killLimitMs} ms after SIGKILL: ${ended.summary}`, hint: 'it waits in the kernel, most likely for a disk; see systemctl status and /proc/<pid>/stack' },
        { retryable: true },
      );
    }
  } else if (result.exitCode !== 0) throw unreachable(spec, result, 'service_stop_failed');
  const [after] = await ask(context, spec, unit);
  // An end after it was asked for is no failure.
  if (after.activeState === 'failed') await run(resetFailed(unit));
  if (before.mainPid === null && !draining) return 'not_running';
  return result.timedOut || after.result === 'timeout' ? 'killed' : 'stopped';
}

async function reload(context: Context, ref: InstanceRef, signal: ReloadSignal): Promise<'reloaded' | 'not_running'> {
  const { unit } = unitNames(context.root, ref);
  const [facts] = await ask(context, ref, unit);
  if (facts.mainPid === null) return 'not_running';
  const result = await context.run(killMain(unit, signal));
  if (result.exitCode === 0) return 'reloaded';
  const [now] = await ask(context, ref, unit);
  if (now.mainPid === null) return 'not_running';
  throw unreachable(ref, result, 'service_reload_failed');
}

async function readStatus(context: Context, ref: InstanceRef): Promise<InstanceStatus> {
  try {
    const [facts] = await ask(context, ref, unitNames(context.root, ref).unit);
    return { status: statusOf(facts), releaseId: await releaseOf(context.root, ref, facts), pid: facts.mainPid, lastExit: lastExitOf(facts) };
  } catch {
    return { status: 'unknown', releaseId: null, pid: null, lastExit: null };
  }
}

async function releaseOf(root: string, ref: InstanceRef, facts: UnitFacts) {
  return facts.mainPid === null ? null : parseInvocation(await readIfThere(invocationFile(root, ref)), facts.invocationId);
}

async function collectEvidence(context: Context, ref: InstanceRef, lines: number): Promise<Evidence[]> {
  const at = new Date().toISOString();
  const layout = hostLayout(context.root, ref.product);
  const { unit } = unitNames(context.root, ref);
  const path = layout.logFile(ref.instance);
  const log = await readLog(path, layout.configFile(ref.instance), lines);
  const logged: Evidence = { kind: 'log', at, instance: ref.instance, path, lines: log };
  try {
    const [facts] = await ask(context, ref, unit);
    return [{ kind: 'unit', at, instance: ref.instance, status: statusOf(facts), exit: lastExitOf(facts) }, logged, showEvidence(unit, facts)];
  } catch (error) {
    return [{ kind: 'unit', at, instance: ref.instance, status: 'unknown', exit: null }, logged, { kind: 'command', at, command: show(unit).join(' '), exit: 'failed', output: error instanceof Error ? error.message : String(error) }];
  }
}

const showEvidence = (unit: string, facts: UnitFacts): Evidence => ({
  kind: 'command',
  at: new Date().toISOString(),
  command: show(unit).join(' '),
  exit: 'exit 0',
  output: `${facts.activeState} (${facts.subState}), result ${facts.result}, code ${facts.mainCode}, status ${facts.mainStatus}, ${facts.restarts} restarts by systemd`,
});

async function forget(context: Context, ref: InstanceRef): Promise<void> {
  const { root, unitDir, run } = context;
  const names = unitNames(root, ref);
  const files = unitFiles(unitDir, names);
  await context.inTurn('unit files', async () => {
    const [facts] = await ask(context, ref, names.unit);
    const known = (await exists(files.dropIn)) || (await exists(files.wanted));
    await removeFileDurably(files.wanted);
    await removeFileDurably(files.dropIn);
    // What a person has put beside it stays.
    await fs.rmdir(files.dropInDir).catch(() => undefined);
    await removeFileDurably(invocationFile(root, ref));
    if (!(await hasInstances(unitDir, names.template))) {
      await removeOwn(files.template, ownerLine(root, ref.product, ref.service));
      if (!(await hasTemplates(unitDir, names.target)) && (await exists(files.target))) {
        await run(stopUnit(names.target));
        await removeFileDurably(files.bootWanted);
        await fs.rmdir(files.wantsDir).catch(() => undefined);
        await removeOwn(files.target, ownerLine(root, ref.product));
      }
    }
    if (facts.activeState === 'failed') await run(resetFailed(names.unit));
    if (known || facts.needsReload) await demand(context, daemonReload, ref, 'service_forget_failed');
  });
}

async function listUnitDir(unitDir: string): Promise<string[]> {
  return (await fs.readdir(unitDir).catch((error) => (isMissing(error) ? [] : Promise.reject(error)))).sort();
}

async function hasInstances(unitDir: string, template: string): Promise<boolean> {
  const prefix = template.slice(0, template.indexOf('@') + 1);
  for (const name of await listUnitDir(unitDir)) {
    if (name.startsWith(prefix) && name.endsWith('.service.d') && name !== `${template}.d` && (await readIfThere(join(unitDir, name, dropInName))) !== null) return true;
  }
  return false;
}

async function hasTemplates(unitDir: string, target: string): Promise<boolean> {
  for (const name of await listUnitDir(unitDir)) {
    if (name.endsWith('@.service') && (await readIfThere(join(unitDir, name)))?.split('\n').includes(`PartOf=${target}`)) return true;
  }
  return false;
}

async function removeOwn(file: string, owner: string): Promise<void> {
  if ((await readIfThere(file))?.startsWith(`${owner}\n`)) await removeFileDurably(file);
}

/** Puts the units of the instance in place and has systemd read them if it has not. @param stale whether it is known that systemd has read older ones */
async function writeUnits(context: Context, spec: InstanceSpec, stale: boolean): Promise<void> {
  const { root, unitDir } = context;
  const names = unitNames(root, spec);
  const files = unitFiles(unitDir, names);
  await ensureDirectory(dirname(invocationFile(root, spec)), 0o700);
  const changed = [
    await writeOwn(files.target, renderTarget(root, spec), ownerLine(root, spec.product)),
    await writeOwn(files.template, renderTemplate(root, spec, names), ownerLine(root, spec.product, spec.service)),
    await writeIfOther(files.dropIn, renderDropIn(root, spec, spec.command, instanceEnvironment(root, spec, instancePath))),
    await enable(context, spec),
  ];
  if (stale || changed.includes(true)) await demand(context, daemonReload, spec, 'instance_start_failed');
}

/** Has instance and target start with the machine: the links that `systemctl enable` makes, durable. @returns whether one was missing */
async function enable({ root, unitDir }: Context, ref: InstanceRef): Promise<boolean> {
  const files = unitFiles(unitDir, unitNames(root, ref));
  const missing = [await linkIfOther(files.template, files.wanted), await linkIfOther(files.target, files.bootWanted)];
  return missing.includes(true);
}

/** Gives the running unit the signal and the limit of this stop, where they are not those of its start. */
async function suitStop(context: Context, spec: StopSpec): Promise<void> {
  const { dropIn } = unitFiles(context.unitDir, unitNames(context.root, spec));
  const text = await readIfThere(dropIn);
  const next = text === null ? null : withStopSettings(text, spec);
  if (next === null) return;
  await writeFileDurably(dropIn, next, 0o644);
  await demand(context, daemonReload, spec, 'service_stop_failed');
}

async function writeOwn(file: string, text: string, owner: string): Promise<boolean> {
  const there = await readIfThere(file);
  if (there !== null && !there.startsWith(`${owner}\n`)) {
    throw new FairleadError({
      class: 'host',
      code: 'unit_name_taken',
      message: `${file} is there already and is not of ${owner.replace('# fairlead: ', '')}; it was left as it is.`,
      hint: 'Move it away, or rename the product or the service.',
    });
  }
  return writeIfOther(file, text);
}

/** Only what changes is written: systemd compares times, and a new one alone would make it ask for a reload. */
async function writeIfOther(file: string, text: string): Promise<boolean> {
  if ((await readIfThere(file)) === text) return false;
  await ensureDirectory(dirname(file));
  // Readable to all, as systemd wants its units: secrets are in the conf file.
  await writeFileDurably(file, text, 0o644);
  return true;
}

async function linkIfOther(target: string, link: string): Promise<boolean> {
  const there = await fs.readlink(link).catch((error) => (isMissing(error) ? null : Promise.reject(error)));
  if (there === target) return false;
  await ensureDirectory(dirname(link));
  await replaceSymlinkDurably(target, link);
  return true;
}

/** Refuses what systemd would read in another way than the file's author meant. It reads the file itself, at each start. */
async function checkConf(root: string, spec: InstanceSpec): Promise<void> {
  const conf = parseConf((await readIfThere(spec.configFile)) ?? '', spec.configFile);
  const reserved = Object.keys(identityOf(root, spec)).find((name) => name in conf);
  if (reserved === undefined) return;
  throw new FairleadError({ class: 'host', code: 'conf_file_invalid', message: `${spec.configFile} sets ${reserved}, by which Fairlead tells the instance what it is`, hint: `remove the line with ${reserved}` });
}

/** systemd would make the file readable to all. */
async function prepareLog({ logFile }: InstanceSpec): Promise<void> {
  const directory = dirname(logFile);
  await ensureDirectory(directory, 0o755);
  await rotateLog(logFile);
  await (await fs.open(logFile, 'a', 0o640)).close();
}

/** Waits for what is under way, a start or a stop that somebody else asked for, so that there is something to decide on. */
async function settle(context: Context, ref: StopSpec, unit: string, target: string): Promise<[UnitFacts, UnitFacts | undefined]> {
  const facts = await ask(context, ref, unit, target);
  const [{ activeState, subState }] = facts;
  if (activeState === 'deactivating') await stop(context, ref);
  else if (activeState === 'activating' && statusOf({ activeState, subState }) === 'starting') await context.run(startUnit(unit), { timeoutMs: startLimitMs });
  else return [facts[0], facts[1]];
  const [now, after] = await ask(context, ref, unit, target);
  return [now, after];
}

/** @throws FairleadError `service_manager_unreachable` where systemd could not be asked, or its answer not be read */
async function ask(context: Context, ref: InstanceRef, ...units: [string, ...string[]]): Promise<[UnitFacts, ...UnitFacts[]]> {
  const result = await context.run(show(...units));
  const facts = result.exitCode === 0 ? parseShow(result.stdout) : null;
  if (facts === null || facts.length !== units.length) throw unreachable(ref, result, 'service_manager_unreachable');
  return facts as [UnitFacts, ...UnitFacts[]];
}

async function demand({ run }: Context, argv: readonly string[], ref: InstanceRef, code: string): Promise<void> {
  const result = await run(argv, { timeoutMs: startLimitMs });
  if (result.exitCode !== 0) throw unreachable(ref, result, code);
}

const unreachable = (ref: InstanceRef, { summary }: CommandResult, code: string): FairleadError =>
  new FairleadError({ class: 'host', code, message: `systemd did not do for ${ref.instance} what it was asked: ${summary}`, hint: 'See that systemd runs (systemctl is-system-running) and that the agent may ask it: it needs root.' }, { retryable: true });
