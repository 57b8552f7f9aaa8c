import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { FairleadError } from '../../../domain/failure.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import type { Router, RouterState } from '../../../ports/router.ts';
import { ensureDirectory, errnoOf, exists, isMissing, readIfThere, replaceSymlinkDurably, syncDirectory, writeFileDurably } from '../../files/durable.ts';
import { connectionsAt, connectionsTo, findByWorkingDirectory, signalProcess, socketInodes, unixConnections, waitForEnd, type ProcessStat } from '../../process/proc.ts';
import { askUnixSocket } from '../unix-socket.ts';
import { figuresOf } from '../figures.ts';
import { makeWebroot } from '../webroot.ts';
import { keepsClientsThroughReload, nginxFiles, poolFileText, recoveryLines, renderConfig, slotTarget, startCommand, testCommand, trafficMark, wayTarget, type NginxConfig, type NginxSettings } from './commands.ts';
import { parseErrors, parseListens, parseModules, parseStatus, parseTitle, parseVersion, parseWorkerUser } from './parse.ts';
import { chosenWays, slotNames, type Pool, type PoolFile, type Way } from './pools.ts';
import { forgetTraffic, keepTraffic, readTraffic, trimTraffic, type TrafficMemory } from './traffic.ts';

const commandLimitMs = 20_000;
const reloadLimitMs = 10_000;
const keptGenerations = 4;
/** Each is a hundred symlinks. */
const keptWays = 16;
/** How long clients are told to leave their connections before a reload that would close them. */
const turnoverMs = 1_000;

/**
 * nginx with a prefix of its own, below the host's state, which outlives the agent; an nginx that the machine runs for other purposes is not
 * touched. It works as a plain user as well, on a port above 1023. Started by root, its workers run as `www-data`, `nginx` or `nobody`.
 *
 * Letting an instance in or out and changing a split need no reload (see `renderMain`). Any other change does: the new configuration is tested (`nginx -t`), put in place by one rename, loaded by SIGHUP to the master, and then proven, because a
 * reload that failed is told to nobody: the new generation answers, and every worker of the one before has stopped to accept. Otherwise the
 * old file is back in place, and the error carries nginx's own words.
 *
 * @param nginxPath the program, looked up on the PATH. Default `nginx`.
 * @param listenAddress where clients connect, as nginx writes it (`*`, `127.0.0.1`, `[::]`). Default 127.0.0.1.
 */
export function createNginxRouter({ root, commands, nginxPath = 'nginx', listenAddress = '127.0.0.1' }: { root: string; commands: CommandRunner; nginxPath?: string; listenAddress?: string }): Router {
  let known: NginxSettings | null = null;
  const memory: TrafficMemory = new Map();
  const settings = async (): Promise<NginxSettings> => (known ??= { listenAddress, workerUser: readWorkerUser(), ...(await askVersion(commands, nginxPath)) });
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
    // A killed nginx leaves its sockets behind, and a new one would refuse to bind them.
    for (const name of await fs.readdir(files.directory)) if (/^(pool-.*|status|unavailable)\.sock$/.test(name)) await fs.rm(`${files.directory}/${name}`, { force: true });
    await lowerFlag(files);
    await forgetTraffic(files);
    await keep(files);
    const result = await commands.run(startCommand(nginxPath, files.directory), { cwd: files.directory, timeoutMs: commandLimitMs, ...environment });
    if (result.exitCode !== 0 || !(await untilServed(files, config.generation, []))) {
      const said = parseErrors(result.stderr).join('; ') || result.summary;
      throw new FairleadError({ class: 'host', code: 'router_start_failed', message: `nginx of ${product} could not be started: ${said}`, hint: `its log is ${files.errorLog}` }, { retryable: true });
    }
  }

  async function reload({ product }: RouterState, config: NginxConfig, master: ProcessStat, before: string | null): Promise<void> {
    const files = nginxFiles(root, product);
    const { version } = await settings();
    if (!keepsClientsThroughReload(version)) await turnOver(files);
    try {
      await replaceSymlinkDurably(`generations/${config.generation}/nginx.conf`, files.active);
      await reloadNow(product, config, master, before);
    } finally {
      await lowerFlag(files);
    }
  }

  async function reloadNow(product: ProductName, config: NginxConfig, master: ProcessStat, before: string | null): Promise<void> {
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

  async function testState(state: RouterState): Promise<{ readonly include: string | null; readonly config: NginxConfig; readonly master: NginxProcess | null }> {
    const files = nginxFiles(root, state.product);
    const chosen = await settings();
    if (state.tls && chosen.tls === false) throw new FairleadError({ class: 'host', code: 'nginx_without_tls', message: `${nginxPath} was built without TLS (ngx_http_ssl_module).`, hint: 'Install a build that has it, for example nginx-light.' });
    const include = await readInclude(state);
    const master = (await findNginx(files.directory)).find((found) => found.title === 'master') ?? null;
    // Workers of the generation before go on with the sockets that they know until they have stopped to accept.
    const retired = master === null ? [] : await linkedPools(files, await readLink(files.active));
    const config = renderConfig(root, state, include, chosen, retired);
    await prepare(files, config);
    if (state.challenges) await makeWebroot(files.webroot);
    await test(files.directory, `${files.generation(config.generation)}/nginx.conf`);
    return { include, config, master };
  }

  /** That figures cannot be told is no reason to refuse a change. */
  async function keep(files: NginxFiles): Promise<void> {
    const { workerUser } = await settings();
    await keepTraffic(files, workerUser?.userId ?? null, Date.now()).catch(() => {});
  }

  return {
    kind: 'nginx',
    async apply(state) {
      const files = nginxFiles(root, state.product);
      const chosen = await settings();
      const include = await readInclude(state);
      const wanted = renderConfig(root, state, include, chosen);
      const target = `generations/${wanted.generation}/nginx.conf`;
      const before = await readLink(files.active);
      const master = (await findNginx(files.directory)).find((found) => found.title === 'master') ?? null;
      if (master !== null && before === target && (await isServed(files, wanted.generation))) {
        await keep(files);
        return (await choose(files, wanted.generation, state)) ? 'applied' : 'unchanged';
      }

      const { config } = await testState(state);
      await choose(files, config.generation, state);
      if (master !== null) {
        await reload(state, config, master, before === target ? null : before);
      } else {
        await replaceSymlinkDurably(target, files.active);
        await start(state.product, config);
      }
      await prune(files, config.generation, before);
      await keep(files);
      return 'applied';
    },

    async test(state) {
      await testState(state);
    },

    async reload(product) {
      const files = nginxFiles(root, product);
      const found = await findNginx(files.directory);
      const master = found.find(({ title }) => title === 'master');
      if (master === undefined) throw new FairleadError({ class: 'host', code: 'router_not_running', message: `nginx of ${product} does not run.`, hint: `its log is ${files.errorLog}` }, { retryable: true });
      const { version } = await settings();
      const generation = (await readLink(files.active))?.split('/')[1] ?? '';
      try {
        // A courtesy: on a full disk the pair still has to be changed.
        if (!keepsClientsThroughReload(version)) await turnOver(files).catch(() => {});
        const old = (await findNginx(files.directory)).filter(({ title }) => title === 'worker');
        const logged = await sizeOf(files.errorLog);
        // As `nginx -s reload` does it: that says nothing of whether the master could, either.
        await signalProcess(master, 'SIGHUP');
        if (await untilServed(files, generation, old, logged)) return { workersBefore: old.map(workerOf) };
        const said = parseErrors(await readFrom(files.errorLog, logged)).slice(0, 3).join('; ') || `its workers did not change within ${reloadLimitMs} ms`;
        throw new FairleadError({ class: 'host', code: 'reload_did_nothing', message: `nginx of ${product} was told to reload and did not: ${said}`, hint: `What it served before it still serves. Its log is ${files.errorLog}` }, { retryable: true });
      } finally {
        await lowerFlag(files);
      }
    },

    async workers(product) {
      return (await findNginx(nginxFiles(root, product).directory)).filter(({ title }) => title !== 'master').map(workerOf);
    },

    async challengeRoot(product) {
      const files = nginxFiles(root, product);
      await ensureDirectory(files.directory, 0o711);
      await fs.chmod(files.directory, 0o711);
      return makeWebroot(files.webroot);
    },

    async inFlight(product, instance) {
      const files = nginxFiles(root, product);
      const first = await countInFlight(files, instance);
      if (first !== 0) return first;
      // The two tables of the kernel are not read in the same moment: a request that was between them is in the second look.
      await pause(20);
      return countInFlight(files, instance);
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

    async traffic(product, since) {
      const files = nginxFiles(root, product);
      const active = await readLink(files.active);
      const now = Date.now();
      if (active === null || !(await isServed(files, active.split('/')[1] ?? ''))) return null;
      // One that an older Fairlead wrote keeps no log, until the next `apply`.
      if (!((await readIfThere(files.active)) ?? '').includes(trafficMark)) return null;
      await keep(files);
      const known = await allPools(files);
      const tally = await readTraffic(files, since.getTime(), now, known, memory);
      await trimTraffic(files, now, known).catch(() => {});
      if (tally === null) return null;
      return figuresOf(tally, (await readPools(files, active)).flatMap(({ service, members }) => members.map(({ instance }) => ({ service, instance }))));
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

const workerOf = ({ pid, startTicks, title }: NginxProcess) => ({ pid, startTicks, accepting: title === 'worker' });

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
  if (!(await exists(files.loweredFlag)) && !(await exists(files.closingFlag))) await fs.writeFile(files.loweredFlag, '');
  await writeFileDurably(`${files.generation(config.generation)}/locations.conf`, config.locations, 0o644);
  await writeFileDurably(`${files.generation(config.generation)}/pools.json`, poolFileText(config), 0o644);
  await writeFileDurably(`${files.generation(config.generation)}/nginx.conf`, config.main, 0o644);
}

/** The newest generations stay, to be looked at. */
async function prune(files: NginxFiles, current: string, before: string | null): Promise<void> {
  const names = await fs.readdir(files.generations);
  const aged = await Promise.all(names.map(async (name) => ({ name, at: (await fs.stat(files.generation(name))).mtimeMs })));
  const kept = new Set([current, before?.split('/')[1], ...aged.sort((a, b) => b.at - a.at).slice(0, keptGenerations).map(({ name }) => name)]);
  for (const { name } of aged) if (!kept.has(name)) await fs.rm(files.generation(name), { recursive: true, force: true });
  for (const name of await fs.readdir(files.directory)) {
    const generation = /^to-([0-9a-f]{16})-/.exec(name)?.[1];
    if (generation !== undefined && !kept.has(generation)) await fs.rm(`${files.directory}/${name}`, { force: true });
  }
  await pruneWays(files);
}

/** The newest ways that nobody uses stay: an instance that is taken out for a moment comes back. */
async function pruneWays(files: NginxFiles): Promise<void> {
  const links = (await fs.readdir(files.directory)).filter((name) => name.startsWith('to-'));
  const used = new Set(await Promise.all(links.map((name) => readLink(`${files.directory}/${name}`))));
  const unused = (await fs.readdir(files.ways)).filter((name) => !used.has(`ways/${name}`));
  const aged = await Promise.all(unused.map(async (name) => ({ name, at: await fs.stat(files.way(name)).then((stat) => stat.mtimeMs, () => 0) })));
  for (const { name } of aged.sort((a, b) => b.at - a.at).slice(keptWays)) await fs.rm(files.way(name), { recursive: true, force: true });
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

async function readPools(files: NginxFiles, target: string | null): Promise<readonly Pool[]> {
  const text = target === null ? null : await readIfThere(`${files.directory}/${target.replace(/nginx\.conf$/, 'pools.json')}`);
  return text === null ? [] : (JSON.parse(text) as PoolFile).pools;
}

/** The pools of every generation that is kept, for what was written down under an older one. */
async function allPools(files: NginxFiles): Promise<Pool[]> {
  const names = await fs.readdir(files.generations).catch(() => []);
  return (await Promise.all(names.map((name) => readPools(files, `generations/${name}/nginx.conf`)))).flat();
}

/** The pools that the generation's symlinks lead to. Where a service has no link that can be read, all of its own. */
async function linkedPools(files: NginxFiles, target: string | null): Promise<Pool[]> {
  const generation = target?.split('/')[1] ?? '';
  const pools = await readPools(files, target);
  const services = [...new Set(pools.map(({ service }) => service))];
  const linked = new Map(await Promise.all(services.map(async (service) => [service, await slotsOf(files.link(generation, service))] as const)));
  return pools.filter(({ service, socket }) => linked.get(service)?.has(socket) ?? true);
}

/** The sockets that a link leads to; null where it leads nowhere. */
async function slotsOf(link: string): Promise<Set<string> | null> {
  const targets = await Promise.all(slotNames.map((slot) => readLink(`${link}/${slot}`)));
  const sockets = targets.flatMap((target) => (target === null ? [] : [target.split('/').at(-1) as string]));
  return sockets.length === 0 ? null : new Set(sockets);
}

/** Sends the requests of every service the way that they should go. @returns whether one was sent elsewhere before. */
async function choose(files: NginxFiles, generation: string, state: RouterState): Promise<boolean> {
  let changed = false;
  const ways = chosenWays(files.directory, state);
  for (const way of ways) await makeWay(files, way);
  // All ways are there before the first link moves: the services of a product change sides close together.
  for (const way of ways) {
    const link = files.link(generation, way.service);
    if ((await readLink(link)) === wayTarget(way)) continue;
    await replaceSymlinkDurably(wayTarget(way), link);
    changed = true;
  }
  return changed;
}

/** Renamed into place when it is whole: a way that is there can be used. */
async function makeWay(files: NginxFiles, way: Way): Promise<void> {
  const directory = files.way(way.name);
  if (await exists(directory)) return;
  await ensureDirectory(files.ways, 0o755);
  const made = await fs.mkdtemp(`${files.ways}/.`);
  try {
    for (const [number, slot] of slotNames.entries()) await fs.symlink(slotTarget(way.slots[number] ?? null), `${made}/${slot}`);
    await fs.chmod(made, 0o755);
    await syncDirectory(made);
    await fs.rename(made, directory);
  } catch (error) {
    await fs.rm(made, { recursive: true, force: true });
    // Somebody else made the same.
    if (!(await exists(directory))) throw error;
  }
  await syncDirectory(files.ways);
}

/**
 * Connections from nginx to the instance, each of which is one request, and requests of its pools that are on their way through nginx: those
 * may still become connections to it. What others have open to the instance (probes) is not counted.
 */
async function countInFlight(files: NginxFiles, instance: string): Promise<number | null> {
  const pools = await readPools(files, await readLink(files.active));
  const own = pools.filter(({ members }) => members.some((member) => member.instance === instance));
  const port = own[0]?.members.find((member) => member.instance === instance)?.port;
  const workers = (await findNginx(files.directory)).filter(({ title }) => title !== 'master');
  if (port === undefined || workers.length === 0) return null;
  const held = await Promise.all(workers.map((worker) => socketInodes(worker.pid)));
  const connections = async (to: number) => (await connectionsTo(to)).filter(({ inode }) => held.some((inodes) => inodes.has(inode))).length;

  const unix = await unixConnections();
  const behind = (some: readonly Pool[]) => some.reduce((sum, { socket }) => sum + (unix.get(socket) ?? 0), 0);
  const working = await connections(port);
  if (behind(own) === 0) return working;
  const service = pools.filter((pool) => pool.service === own[0]?.service);
  const ports = new Set(service.flatMap(({ members }) => members.map((member) => member.port)));
  const counts = await Promise.all([...ports].map(connections));
  return working + Math.max(0, behind(service) - counts.reduce((sum, count) => sum + count, 0));
}

/**
 * Has the clients leave their connections before a reload closes them: for a second every answer says `Connection: close` (RFC 9112 section
 * 9.6), so that connections in use are not idle ones when the reload comes. Without clients there is nothing to wait for.
 */
async function turnOver(files: NginxFiles): Promise<void> {
  const ports = parseListens((await readIfThere(files.active)) ?? '');
  if ((await Promise.all(ports.map(connectionsAt))).flat().length === 0) return;
  await fs.rename(files.loweredFlag, files.closingFlag).catch(() => fs.writeFile(files.closingFlag, ''));
  await pause(turnoverMs);
}

/** Clients keep their connections again. */
async function lowerFlag(files: NginxFiles): Promise<void> {
  await fs.rename(files.closingFlag, files.loweredFlag).catch((error) => (isMissing(error) ? undefined : fs.rm(files.closingFlag, { force: true })));
}

async function askVersion(commands: CommandRunner, nginxPath: string): Promise<Pick<NginxSettings, 'version' | 'tls' | 'http2'>> {
  const result = await commands.run([nginxPath, '-V'], { timeoutMs: commandLimitMs, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` } });
  if (result.exitCode === 0) return { version: parseVersion(result.stderr), ...parseModules(result.stderr) };
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
  return fs.readlink(path).catch((error) => (isMissing(error) || ['EINVAL', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? null : Promise.reject(error)));
}

async function sizeOf(path: string): Promise<number> {
  return fs.stat(path).then((stat) => stat.size, () => 0);
}

async function readFrom(path: string, offset: number): Promise<string> {
  const text = await fs.readFile(path).catch(() => Buffer.alloc(0));
  return text.subarray(offset).toString('utf8');
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
