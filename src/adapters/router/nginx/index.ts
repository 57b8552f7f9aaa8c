import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { FairleadError } from '../../../domain/failure.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import type { Router, RouterState } from '../../../ports/router.ts';
import { ensureDirectory, readIfThere, replaceSymlinkDurably } from '../../files/durable.ts';
import { signalProcess, waitForEnd, type ProcessStat } from '../../process/proc.ts';
import { figuresOf } from '../figures.ts';
import { makeWebroot } from '../webroot.ts';
import { lowerFlag, turnOver } from './clients.ts';
import { keepsClientsThroughReload, recoveryLines, renderConfig, startCommand, testCommand, trafficMark, type NginxConfig, type NginxSettings } from './commands.ts';
import { allPools, linkedPools, prepare, prune, readPools } from './generations.ts';
import { countInFlight } from './in-flight.ts';
import { readInclude } from './include.ts';
import { nginxFiles, type NginxFiles } from './layout.ts';
import { parseErrors } from './parse.ts';
import { findNginx, isServed, pause, readFrom, reloadLimitMs, sizeOf, untilNoneAccepts, untilServed, workerOf, type NginxProcess } from './processes.ts';
import { askVersion, commandLimitMs, readWorkerUser, searchPath } from './program.ts';
import { forgetTraffic, keepTraffic, readTraffic, trimTraffic, type TrafficMemory } from './traffic.ts';
import { choose, readLink } from './ways.ts';

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
  const environment = { extendEnv: false, env: searchPath() };

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
