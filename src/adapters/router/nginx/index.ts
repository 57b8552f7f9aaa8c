import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { FairleadError } from '../../../domain/failure.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import type { Router, RouterState } from '../../../ports/router.ts';
import { ensureDirectory, errnoOf, isMissing, readIfThere, replaceSymlinkDurably, writeFileDurably } from '../../files/durable.ts';
import { connectionsTo, findByWorkingDirectory, signalProcess, socketInodes, waitForEnd, type ProcessStat } from '../../process/proc.ts';
import { askUnixSocket } from '../unix-socket.ts';
import { nginxFiles, recoveryLines, renderConfig, startCommand, testCommand, type NginxConfig, type NginxSettings } from './commands.ts';
import { parseErrors, parseStatus, parseTitle, parseVersion, parseWorkerUser } from './parse.ts';

const commandLimitMs = 20_000;
const reloadLimitMs = 10_000;
const keptGenerations = 4;

/**
 * nginx with a prefix of its own, below the host's state, which outlives the agent; an nginx that the machine runs for other purposes is not
 * touched. It works as a plain user as well, on a port above 1023. Started by root, its workers run as `www-data`, `nginx` or `nobody`.
 *
 * A new configuration is tested (`nginx -t`), put in place by one rename, loaded by SIGHUP to the master, and then proven, because a
 * reload that failed is told to nobody: the new generation answers, and every worker of the one before has stopped to accept. Otherwise the
 * old file is back in place, and the error carries nginx's own words.
 *
 * @param nginxPath the program, looked up on the PATH. Default `nginx`.
 * @param listenAddress where clients connect, as nginx writes it (`*`, `127.0.0.1`, `[::]`). Default 127.0.0.1.
 */
export function createNginxRouter({ root, commands, nginxPath = 'nginx', listenAddress = '127.0.0.1' }: { root: string; commands: CommandRunner; nginxPath?: string; listenAddress?: string }): Router {
  let known: NginxSettings | null = null;
  const settings = async (): Promise<NginxSettings> => (known ??= { listenAddress, workerUser: readWorkerUser(), version: await askVersion(commands, nginxPath) });
  const environment = { extendEnv: false, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` } };

  async function test(directory: string, configFile: string): Promise<void> {
    const result = await commands.run(testCommand(nginxPath, directory, configFile), { cwd: directory, timeoutMs: commandLimitMs, ...environment });
    if (result.exitCode === 0) return;
    const said = parseErrors(result.stderr).join('; ');
    throw new FairleadError({
      class: said === '' ? 'host' : 'release',
      code: said === '' ? 'nginx_not_run' : 'router_config_invalid',
      message: said === '' ? `nginx could not test ${configFile}: ${result.summary}` : `nginx refuses ${configFile}, the configuration before is still served: ${said}`,
      hint: said === '' ? 'install nginx on the host, or choose the embedded router' : 'correct router.nginx.include of the release',
    });
  }

  async function start(product: ProductName, config: NginxConfig): Promise<void> {
    const files = nginxFiles(root, product);
    // Workers whose master was killed still hold the port. They end what is under way.
    const orphans = await findNginx(files.directory);
    for (const orphan of orphans) await signalProcess(orphan, 'SIGQUIT');
    await untilNoneAccepts(files.directory, orphans);
    await fs.rm(files.statusSocket, { force: true });
    await fs.rm(files.unavailableSocket, { force: true });
    const result = await commands.run(startCommand(nginxPath, files.directory), { cwd: files.directory, timeoutMs: commandLimitMs, ...environment });
    if (result.exitCode !== 0 || !(await untilServed(files, config.generation, []))) {
      const said = parseErrors(result.stderr).join('; ') || result.summary;
      throw new FairleadError({ class: 'host', code: 'router_start_failed', message: `nginx of ${product} could not be started: ${said}`, hint: `its log is ${files.errorLog}` }, { retryable: true });
    }
  }

  async function reload(product: ProductName, config: NginxConfig, master: ProcessStat, before: string | null): Promise<void> {
    const files = nginxFiles(root, product);
    const old = (await findNginx(files.directory)).filter((found) => found.title === 'worker');
    const logged = await sizeOf(files.errorLog);
    await signalProcess(master, 'SIGHUP');
    if (await untilServed(files, config.generation, old, logged)) return;
    const said = parseErrors(await readFrom(files.errorLog, logged)).slice(0, 3).join('; ') || `its workers did not change within ${reloadLimitMs} ms`;
    if (before !== null) {
      await replaceSymlinkDurably(before, files.active);
      // What was loaded halfway, if anything was, gives way to the old configuration again.
      await signalProcess(master, 'SIGHUP');
    }
    throw new FairleadError({ class: 'host', code: 'router_reload_failed', message: `nginx of ${product} did not load its new configuration, the one before is in place again: ${said}`, hint: `its log is ${files.errorLog}` }, { retryable: true });
  }

  return {
    kind: 'nginx',
    async apply(state) {
      const files = nginxFiles(root, state.product);
      const chosen = await settings();
      const config = renderConfig(root, state, await readInclude(state), chosen);
      const target = `generations/${config.generation}/nginx.conf`;
      const before = await readLink(files.active);
      const master = (await findNginx(files.directory)).find((found) => found.title === 'master') ?? null;
      if (master !== null && before === target && (await isServed(files, config.generation))) return 'unchanged';

      await prepare(files, config);
      await test(files.directory, `${files.generation(config.generation)}/nginx.conf`);
      await replaceSymlinkDurably(target, files.active);
      if (master === null) await start(state.product, config);
      else await reload(state.product, config, master, before === target ? null : before);
      await prune(files, config.generation, before);
      return 'applied';
    },

    async inFlight(product, instance) {
      const files = nginxFiles(root, product);
      const processes = await findNginx(files.directory);
      const port = await portOf(files.active, instance);
      if (port === null || processes.length === 0) return null;
      // Only what nginx itself holds: probes and other neighbours of the instance are no requests of clients.
      const held = await Promise.all(processes.filter((found) => found.title !== 'master').map((found) => socketInodes(found.pid)));
      return (await connectionsTo(port)).filter((connection) => held.some((inodes) => inodes.has(connection.inode))).length;
    },

    async stop(product, graceSeconds) {
      const files = nginxFiles(root, product);
      const running = await findNginx(files.directory);
      for (const found of running) await signalProcess(found, 'SIGQUIT');
      const deadline = performance.now() + graceSeconds * 1000;
      for (const found of running) await waitForEnd(found, Math.max(0, deadline - performance.now()));
      for (const found of running) await signalProcess(found, 'SIGKILL');
      for (const found of running) await waitForEnd(found, 5_000);
    },

    recoveryCommands(state) {
      const include = state.declaration.nginx.include;
      const text = include === null ? null : readFileSync(join(state.releaseDir, include), 'utf8');
      const chosen = known ?? { listenAddress, workerUser: readWorkerUser(), version: [0, 0, 0] as const };
      return recoveryLines(root, state, renderConfig(root, state, text, chosen), nginxPath);
    },
  };
}

type NginxFiles = ReturnType<typeof nginxFiles>;
type NginxProcess = ProcessStat & { readonly title: 'master' | 'worker' | 'leaving' };

/** Masters and workers of this host, found by their working directory: a pid file can be lost or be left behind by a kill. */
async function findNginx(directory: string): Promise<NginxProcess[]> {
  return (await findByWorkingDirectory(directory)).flatMap((found) => {
    const title = parseTitle(found.commandLine);
    return title === null ? [] : [{ ...found, title }];
  });
}

async function isServed(files: NginxFiles, generation: string): Promise<boolean> {
  const answer = await askUnixSocket(files.statusSocket, { path: '/', timeoutMs: 2_000 }).catch(() => null);
  return answer?.status === 200 && parseStatus(answer.body)?.generation === generation;
}

/**
 * Whether the generation serves, and alone: each of the `old` workers has gone or is shutting down. nginx gives itself that title just before it
 * closes its listening sockets. Gives up early where the log, from `logged` on, says that the reload failed.
 */
async function untilServed(files: NginxFiles, generation: string, old: readonly NginxProcess[], logged?: number): Promise<boolean> {
  const deadline = performance.now() + reloadLimitMs;
  for (;;) {
    const now = await findNginx(files.directory);
    const accepting = old.filter((worker) => now.some((found) => found.pid === worker.pid && found.startTicks === worker.startTicks && found.title === 'worker'));
    if (accepting.length === 0 && now.some((found) => found.title === 'worker') && (await isServed(files, generation))) return true;
    if (performance.now() > deadline) return false;
    if (logged !== undefined && /\[emerg\]/.test(await readFrom(files.errorLog, logged))) return false;
    await pause(15);
  }
}

async function untilNoneAccepts(directory: string, orphans: readonly NginxProcess[]): Promise<void> {
  const deadline = performance.now() + reloadLimitMs;
  while (orphans.length > 0 && performance.now() < deadline) {
    if (!(await findNginx(directory)).some((found) => found.title === 'worker' || found.title === 'master')) return;
    await pause(15);
  }
}

/** Everything that nginx needs before it is asked. The directory is open to be entered, because the workers of another user have it as theirs. */
async function prepare(files: NginxFiles, config: NginxConfig): Promise<void> {
  await ensureDirectory(files.generation(config.generation), 0o755);
  await ensureDirectory(`${files.directory}/temp`, 0o711);
  await fs.chmod(files.directory, 0o711);
  await writeFileDurably(`${files.generation(config.generation)}/locations.conf`, config.locations, 0o644);
  await writeFileDurably(`${files.generation(config.generation)}/nginx.conf`, config.main, 0o644);
}

/** The newest generations stay, to be looked at. */
async function prune(files: NginxFiles, current: string, before: string | null): Promise<void> {
  const names = await fs.readdir(files.generations);
  const aged = await Promise.all(names.map(async (name) => ({ name, at: (await fs.stat(files.generation(name))).mtimeMs })));
  const kept = new Set([current, before?.split('/')[1], ...aged.sort((a, b) => b.at - a.at).slice(0, keptGenerations).map(({ name }) => name)]);
  for (const { name } of aged) if (!kept.has(name)) await fs.rm(files.generation(name), { recursive: true, force: true });
}

/** @throws where the include lies outside of the release, or is not there. */
async function readInclude(state: RouterState): Promise<string | null> {
  const { include } = state.declaration.nginx;
  if (include === null) return null;
  const file = resolve(state.releaseDir, include);
  if (!file.startsWith(resolve(state.releaseDir) + sep)) {
    throw new FairleadError({ class: 'release', code: 'router_config_invalid', message: `router.nginx.include is ${include}, which is outside of the release` });
  }
  try {
    return await fs.readFile(file, 'utf8');
  } catch (error) {
    throw new FairleadError({ class: 'release', code: 'router_config_invalid', message: `router.nginx.include names ${file}, which cannot be read (${errnoOf(error)})`, hint: 'put the file into the bundle' }, { cause: error });
  }
}

/** The port of an instance, admitted or not, as the configuration in force names it. */
async function portOf(configFile: string, instance: string): Promise<number | null> {
  const text = (await readIfThere(configFile)) ?? '';
  for (const line of text.split('\n')) {
    const match = /^\s+server 127\.0\.0\.1:(\d+) .*; # (\S+)$/.exec(line) ?? /^\s+# (\S+) on port (\d+) gets no requests$/.exec(line);
    if (match === null) continue;
    const [name, port] = line.includes('gets no requests') ? [match[1], match[2]] : [match[2], match[1]];
    if (name === instance) return Number(port);
  }
  return null;
}

async function askVersion(commands: CommandRunner, nginxPath: string): Promise<NginxSettings['version']> {
  const result = await commands.run([nginxPath, '-v'], { timeoutMs: commandLimitMs, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` } });
  if (result.exitCode === 0) return parseVersion(result.stderr);
  throw new FairleadError({ class: 'host', code: 'nginx_not_run', message: `nginx cannot be asked for its version: ${result.summary}`, hint: 'install nginx on the host, or choose the embedded router' });
}

function readWorkerUser(): NginxSettings['workerUser'] {
  if (process.getuid?.() !== 0) return null;
  try {
    return parseWorkerUser(readFileSync('/etc/passwd', 'utf8'), readFileSync('/etc/group', 'utf8'));
  } catch {
    return null;
  }
}

async function readLink(path: string): Promise<string | null> {
  return fs.readlink(path).catch((error) => (isMissing(error) || errnoOf(error) === 'EINVAL' ? null : Promise.reject(error)));
}

async function sizeOf(path: string): Promise<number> {
  return fs.stat(path).then((stat) => stat.size, () => 0);
}

async function readFrom(path: string, offset: number): Promise<string> {
  const text = await fs.readFile(path).catch(() => Buffer.alloc(0));
  return text.subarray(offset).toString('utf8');
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
