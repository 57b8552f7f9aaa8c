import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { FairleadError, type Evidence } from '../../../domain/failure.ts';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { InstanceName, ProductName, ReleaseId } from '../../../domain/ids.ts';
import type { InstanceRef, InstanceSpec, InstanceStatus, ReloadSignal, ServiceManager, StopSpec } from '../../../ports/service-manager.ts';
import { ensureDirectory, readIfThere, removeFileDurably, writeFileDurably } from '../../files/durable.ts';
import { bootId, findByEnvironment, readProcess, signalProcess, waitForEnd, type ScannedProcess } from '../../process/proc.ts';
import { parseConf } from '../conf-file.ts';
import { readLog, rotateLog } from '../log-file.ts';
import { findProgram, instancePath } from '../program.ts';
import { createTurns } from '../../process/turns.ts';
import { identityEnvironment, instanceFiles, launchEnvironment, recoveryLines, stopLines, watchCommand } from './commands.ts';
import { parseExit, parseRecord, type InstanceRecord } from './parse.ts';

/** From fork to the exec of the real command, on a machine that is very busy. */
const launchLimitMs = 10_000;
/** From SIGKILL until the kernel has taken the process away; longer only in uninterruptible sleep. */
const killLimitMs = 10_000;

/**
 * Runs instances as plain processes, for hosts without an init system of ours. They outlive the agent: each has a session of its own and
 * writes to its log file, not to a pipe. (Where systemd starts the agent, its unit needs `KillMode=process`.)
 *
 * The truth is in `/proc`: an instance is a session leader whose environment names product, instance and root. The record beside it is a
 * memory of what was launched, so that an agent which was killed between the launch and the record finds the process all the same and
 * never starts a second one. Two agents on one root are kept apart by the agent's lock, not here.
 *
 * Linux only, since it reads `/proc`; needs `/bin/sh` and `setsid`.
 * @param root prefix of every path of the host, as in `hostLayout`.
 */
export function createEmbeddedServiceManager({ root }: { root: string }): ServiceManager {
  const path = instancePath;
  const inTurn = createTurns();

  return {
    kind: 'embedded',
    start: (spec) => inTurn(`${spec.product}/${spec.instance}`, () => start(root, path, spec)),
    stop: (spec, cancel) => inTurn(`${spec.product}/${spec.instance}`, () => stop(root, spec, cancel)),
    reload: (ref, signal) => inTurn(`${ref.product}/${ref.instance}`, () => reload(root, ref, signal)),
    status: ({ product, instance }) => readStatus(root, product, instance),
    evidence: ({ product, instance }, lines) => collectEvidence(root, product, instance, lines),
    forget: async ({ product, instance }) => {
      const files = instanceFiles(root, product, instance);
      await removeFileDurably(files.record);
      await removeFileDurably(files.exit);
    },
    recoveryCommands: (spec) => recoveryLines(root, spec, [findProgram(spec, path) ?? spec.command[0] ?? '', ...spec.command.slice(1)], path),
    stopCommands: (spec) => stopLines(root, spec),
  };
}

async function start(root: string, path: string, spec: InstanceSpec): Promise<'started' | 'already_running'> {
  const files = instanceFiles(root, spec.product, spec.instance);
  const seen = await settle(root, spec.product, spec.instance);
  if (seen.main !== null) {
    await adopt(files.record, spec, seen.main);
    return 'already_running';
  }
  // What a dead process left behind may still hold its port.
  await killAll(seen.members);

  const program = findProgram(spec, path);
  if (program === null) {
    throw new FairleadError({
      class: 'release',
      code: 'command_not_found',
      message: `${spec.instance} cannot start: ${spec.command[0] ?? '(empty command)'} is neither in ${spec.releaseDir} nor on the PATH ${path}`,
      hint: 'correct services.<name>.command in fairlead.yaml, or install the program on the host',
    });
  }
  const conf = parseConf((await readIfThere(spec.configFile)) ?? '', spec.configFile);
  await ensureDirectory(files.runtimeDir, 0o700);
  await ensureDirectory(dirname(spec.logFile), 0o755);
  await removeFileDurably(files.exit);
  await rotateLog(spec.logFile);

  const launchId = randomBytes(8).toString('hex');
  const watcher = await launch(root, path, spec, [program, ...spec.command.slice(1)], conf, files.exit, launchId);
  await writeRecord(files.record, { launchId, releaseId: spec.releaseId, process: null });
  const main = await waitForLaunch(root, spec, watcher, launchId);
  if (main !== null) await writeRecord(files.record, { launchId, releaseId: spec.releaseId, process: main });
  return 'started';
}

/** Takes over a process that runs the release that is asked for. */
async function adopt(recordFile: string, spec: InstanceSpec, main: ScannedProcess): Promise<void> {
  const releaseId = main.environment['FAIRLEAD_RELEASE_ID'];
  if (releaseId !== spec.releaseId) {
    throw new FairleadError({
      class: 'host',
      code: 'instance_running',
      message: `${spec.instance} already runs release ${releaseId ?? '(unknown)'} as process ${main.pid}; release ${spec.releaseId} was not started beside it`,
      hint: 'stop the instance first',
    });
  }
  const record = parseRecord(await readIfThere(recordFile));
  const launchId = main.environment['FAIRLEAD_LAUNCH_ID'] ?? 'unknown';
  if (record?.launchId === launchId && record.pid === main.pid && record.stopRequestedAt === null) return;
  await ensureDirectory(dirname(recordFile), 0o700);
  await writeRecord(recordFile, { launchId, releaseId: spec.releaseId, process: main });
}

async function stop(root: string, spec: StopSpec, cancel?: AbortSignal): Promise<'stopped' | 'killed' | 'not_running'> {
  const files = instanceFiles(root, spec.product, spec.instance);
  const seen = await settle(root, spec.product, spec.instance);
  if (seen.main === null) {
    await killAll([...seen.members, ...seen.watchers]);
    return 'not_running';
  }
  const record = parseRecord(await readIfThere(files.record));
  const launchId = seen.main.environment['FAIRLEAD_LAUNCH_ID'] ?? 'unknown';
  await ensureDirectory(files.runtimeDir, 0o700);
  await writeRecord(files.record, {
    launchId,
    releaseId: (seen.main.environment['FAIRLEAD_RELEASE_ID'] ?? record?.releaseId ?? 'unknown') as ReleaseId,
    process: seen.main,
    stopRequestedAt: new Date().toISOString(),
  });
  await signalProcess(seen.main, spec.stopSignal);
  const ended = await waitForEnd(seen.main, spec.stopSeconds * 1000, cancel);
  // Once the leader is gone, or refuses to go, its children have nothing left to do.
  await killAll((await scan(root, spec.product, spec.instance)).members);
  for (const watcher of seen.watchers) await waitForEnd(watcher, 1_000);
  return ended ? 'stopped' : 'killed';
}

async function reload(root: string, { product, instance }: InstanceRef, signal: ReloadSignal): Promise<'reloaded' | 'not_running'> {
  const { main } = await settle(root, product, instance);
  if (main === null) return 'not_running';
  await signalProcess(main, signal);
  return 'reloaded';
}

async function readStatus(root: string, product: ProductName, instance: InstanceName): Promise<InstanceStatus> {
  try {
    const files = instanceFiles(root, product, instance);
    const seen = await settle(root, product, instance, 500);
    if (seen.main !== null) {
      const releaseId = (seen.main.environment['FAIRLEAD_RELEASE_ID'] ?? null) as ReleaseId | null;
      return { status: 'active', releaseId, pid: seen.main.pid, lastExit: null };
    }
    if (seen.watchers.length > 0) return { status: 'starting', releaseId: null, pid: null, lastExit: null };
    const record = parseRecord(await readIfThere(files.record));
    const lastExit = record === null ? null : parseExit(await readIfThere(files.exit), record.launchId);
    return { status: endedAs(record, lastExit), releaseId: null, pid: null, lastExit };
  } catch {
    return { status: 'unknown', releaseId: null, pid: null, lastExit: null };
  }
}

/** What a process that is gone counts as. One that vanished without being told to, and without an exit status, has failed. */
function endedAs(record: InstanceRecord | null, lastExit: string | null): 'inactive' | 'failed' {
  if (record === null || record.stopRequestedAt !== null || lastExit === 'exit 0') return 'inactive';
  // It went down with the machine, which is not its fault.
  if (record.bootId !== bootId() && lastExit === null) return 'inactive';
  return 'failed';
}

interface Sight {
  /** The instance itself. */
  readonly main: ScannedProcess | null;
  /** The instance and everything that it started. */
  readonly members: readonly ScannedProcess[];
  readonly watchers: readonly ScannedProcess[];
}

async function scan(root: string, product: ProductName, instance: InstanceName): Promise<Sight> {
  const identity = identityEnvironment(root, product, instance);
  // Watchers first: one that has just launched its command is then seen at least once, as watcher or as instance.
  const watchers = await findByEnvironment(identity.watcher);
  const members = await findByEnvironment(identity.instance);
  const leaders = members.filter((member) => member.sessionId === member.pid);
  // A child that made a session of its own has a parent among the members; the leader's parent is the watcher or init.
  const main = leaders.find((leader) => !members.some((member) => member.pid === leader.parentPid)) ?? null;
  return { main, members, watchers };
}

/** Looks until the picture is whole: a watcher without its instance is either about to launch it or about to write down its end. */
async function settle(root: string, product: ProductName, instance: InstanceName, limitMs = launchLimitMs): Promise<Sight> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const seen = await scan(root, product, instance);
    if (seen.main !== null || seen.watchers.length === 0 || performance.now() >= deadline) return seen;
    await pause(10);
  }
}

async function launch(root: string, path: string, spec: InstanceSpec, command: readonly string[], conf: Readonly<Record<string, string>>, exitFile: string, launchId: string): Promise<number> {
  const [file = '', ...rest] = watchCommand(exitFile, launchId, command);
  const log = await fs.open(spec.logFile, 'a', 0o640);
  try {
    const child = spawn(file, rest, {
      cwd: spec.releaseDir,
      env: launchEnvironment(root, spec, path, conf, launchId),
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    await new Promise<void>((started, failed) => child.once('spawn', started).once('error', failed));
    child.unref();
    return child.pid as number;
  } catch (error) {
    throw new FairleadError({ class: 'host', code: 'instance_start_failed', message: `${spec.instance} could not be started in ${spec.releaseDir}` }, { cause: error, retryable: true });
  } finally {
    await log.close();
  }
}

/** Resolves to the real process once it leads its session, or to null where it had already ended. */
async function waitForLaunch(root: string, spec: InstanceSpec, watcherPid: number, launchId: string): Promise<ScannedProcess | null> {
  const deadline = performance.now() + launchLimitMs;
  while (performance.now() < deadline) {
    // Asked in this order, so that a process which starts and ends between the two questions is not missed.
    const watching = await readProcess(watcherPid);
    const { main } = await scan(root, spec.product, spec.instance);
    if (main !== null && main.environment['FAIRLEAD_LAUNCH_ID'] === launchId) return main;
    if (watching === null) return null;
    await pause(5);
  }
  throw new FairleadError(
    { class: 'host', code: 'instance_start_failed', message: `${spec.instance} was launched, but its process did not appear within ${launchLimitMs} ms` },
    { retryable: true },
  );
}

async function killAll(processes: readonly ScannedProcess[]): Promise<void> {
  for (const process of processes) await signalProcess(process, 'SIGKILL');
  for (const process of processes) {
    if (await waitForEnd(process, killLimitMs)) continue;
    throw new FairleadError(
      { class: 'host', code: 'instance_not_ended', message: `process ${process.pid} of ${process.environment['FAIRLEAD_INSTANCE'] ?? 'an instance'} is still there ${killLimitMs} ms after SIGKILL`, hint: 'it waits in the kernel, most likely for a disk; see /proc/<pid>/stack' },
      { retryable: true },
    );
  }
}

async function writeRecord(file: string, facts: { launchId: string; releaseId: ReleaseId; process: ScannedProcess | null; stopRequestedAt?: string }): Promise<void> {
  const record: InstanceRecord = {
    schema: 1,
    launchId: facts.launchId,
    releaseId: facts.releaseId,
    pid: facts.process?.pid ?? null,
    startTicks: facts.process?.startTicks ?? null,
    bootId: bootId(),
    startedAt: new Date().toISOString(),
    stopRequestedAt: facts.stopRequestedAt ?? null,
  };
  await writeFileDurably(file, `${JSON.stringify(record, null, 2)}\n`);
}

async function collectEvidence(root: string, product: ProductName, instance: InstanceName, lines: number): Promise<Evidence[]> {
  const at = new Date().toISOString();
  const layout = hostLayout(root, product);
  const { status, lastExit } = await readStatus(root, product, instance);
  const path = layout.logFile(instance);
  const log = await readLog(path, layout.configFile(instance), lines);
  return [
    { kind: 'unit', at, instance, status, exit: lastExit },
    { kind: 'log', at, instance, path, lines: log },
  ];
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
