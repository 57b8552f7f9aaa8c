import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { FairleadError, messagesOf } from '../../../domain/failure.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { Router, TrafficFigures } from '../../../ports/router.ts';
import { ensureDirectory, readIfThere, writeFileDurably } from '../../files/durable.ts';
import { findByEnvironment, signalProcess, waitForEnd, type ScannedProcess } from '../../process/proc.ts';
import { askUnixSocket } from '../unix-socket.ts';
import { makeWebroot } from '../webroot.ts';
import { loadPair } from './tls.ts';
import { recoveryLines, routerFiles, routerIdentity } from './commands.ts';
import { configOf, parseConfig, textOf, type RouterConfig } from './config.ts';
import type { RouterStatus } from './server.ts';

const askLimitMs = 3_000;
const startLimitMs = 15_000;

/**
 * A small reverse proxy in a Node process of its own, which outlives the agent: after the agent was killed it serves on, and after its own
 * death the next `apply` starts it again with what it is given. A change of members touches no connection of a client, and is acknowledged
 * by the process before `apply` resolves, and neither does another certificate. HTTP/1.1 only, on one processor: it serves development hosts, and hosts without nginx.
 *
 * @param entry argv that runs `router-process.ts`, for example `[process.execPath, '<path>/router-process.ts']`; the router's directory is added to it.
 * @param listenAddress where clients connect. Default 127.0.0.1.
 */
export function createEmbeddedRouter({ root, entry, listenAddress = '127.0.0.1' }: { root: string; entry: readonly string[]; listenAddress?: string }): Router {
  return {
    kind: 'embedded',
    async apply(state) {
      const config = configOf(state, listenAddress, routerFiles(root, state.product).webroot);
      const text = textOf(config);
      const files = routerFiles(root, state.product);
      const serving = await askStatus(root, state.product);
      if (serving?.generation === config.generation && (await readIfThere(files.config)) === text) return 'unchanged';
      await ensureDirectory(files.directory, 0o700);
      if (state.challenges) await makeWebroot(files.webroot);
      if (serving !== null) {
        await hand(root, state.product, config);
        // The router has it already; the file is for its next start.
        await writeFileDurably(files.config, text);
        return 'applied';
      }
      await end(await findRouters(root, state.product));
      await writeFileDurably(files.config, text);
      await start(root, state.product, config, entry);
      return 'applied';
    },

    async test(state) {
      try {
        if (state.tls) loadPair(state.tls.directory);
        parseConfig(textOf(configOf(state, listenAddress, routerFiles(root, state.product).webroot)));
      } catch (cause) {
        throw new FairleadError({ class: 'host', code: 'router_config_invalid', message: `the configuration of the router of ${state.product} could not be loaded, the one before is still served: ${messagesOf(cause).join(': ')}` }, { cause });
      }
    },

    async reload(product) {
      const said = await askUnixSocket(routerFiles(root, product).adminSocket, { method: 'POST', path: '/reload', timeoutMs: askLimitMs }).then(
        ({ status, body }) => (status === 200 ? null : errorOf(body)),
        (error: unknown) => messagesOf(error).join(': '),
      );
      // One process that goes on: there are no workers that could be new.
      if (said === null) return { workersBefore: [] };
      throw new FairleadError({ class: 'host', code: 'reload_did_nothing', message: `the router of ${product} was told to reload and did not: ${said}`, hint: 'What it served before it still serves.' }, { retryable: true });
    },

    workers: async () => null,

    challengeRoot: async (product) => makeWebroot(routerFiles(root, product).webroot),

    async inFlight(product, instance) {
      const status = await askStatus(root, product);
      return status === null ? null : (status.inFlight[instance] ?? 0);
    },

    async stop(product, graceSeconds) {
      const running = await findRouters(root, product);
      if (running.length === 0) return;
      const { adminSocket } = routerFiles(root, product);
      await askUnixSocket(adminSocket, { method: 'POST', path: `/stop?graceSeconds=${graceSeconds}`, timeoutMs: askLimitMs }).catch(() => null);
      for (const router of running) await waitForEnd(router, graceSeconds * 1000 + 1_000);
      await end(running);
    },

    async traffic(product, since) {
      try {
        const { status, body } = await askUnixSocket(routerFiles(root, product).adminSocket, { path: `/traffic?since=${since.getTime()}`, timeoutMs: askLimitMs });
        return status === 200 ? (JSON.parse(body) as TrafficFigures[] | null) : null;
      } catch {
        return null;
      }
    },

    recoveryCommands: (state) => recoveryLines(root, state.product, configOf(state, listenAddress, routerFiles(root, state.product).webroot), entry),
  };
}

/** What the running router says; null where none runs or it does not answer. */
async function askStatus(root: string, product: ProductName): Promise<RouterStatus | null> {
  try {
    const { status, body } = await askUnixSocket(routerFiles(root, product).adminSocket, { path: '/status', timeoutMs: askLimitMs });
    return status === 200 ? (JSON.parse(body) as RouterStatus) : null;
  } catch {
    return null;
  }
}

async function hand(root: string, product: ProductName, config: RouterConfig): Promise<void> {
  const { adminSocket } = routerFiles(root, product);
  let answer: { status: number; body: string };
  try {
    answer = await askUnixSocket(adminSocket, { method: 'POST', path: '/apply', body: JSON.stringify(config), timeoutMs: askLimitMs });
  } catch (error) {
    throw new FairleadError({ class: 'host', code: 'router_not_answering', message: `the router of ${product} did not take its configuration within ${askLimitMs} ms`, hint: 'the next try replaces a router that stays silent' }, { cause: error, retryable: true });
  }
  if (answer.status === 200 && (JSON.parse(answer.body) as RouterStatus).generation === config.generation) return;
  throw new FairleadError({
    class: 'host',
    code: 'router_config_refused',
    message: `the router of ${product} refused its new configuration and serves the old one: ${errorOf(answer.body)}`,
    hint: `port ${config.listen.port} has to be free on ${config.listen.host}`,
  });
}

async function start(root: string, product: ProductName, config: RouterConfig, entry: readonly string[]): Promise<void> {
  const files = routerFiles(root, product);
  const [file = '', ...rest] = [...entry, files.directory];
  // Of this start only: the log is read for the reason when it fails.
  const log = await fs.open(files.log, 'w', 0o640);
  let exited: string | null = null;
  try {
    const child = spawn(file, rest, {
      cwd: files.directory,
      env: { PATH: process.env['PATH'] ?? '', ...routerIdentity(root, product) },
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    child.once('error', (error) => (exited = error.message));
    child.once('exit', (code, signal) => (exited = `it ended with ${signal ?? `exit ${code}`}`));
    child.unref();
  } finally {
    await log.close();
  }
  const deadline = performance.now() + startLimitMs;
  for (;;) {
    if ((await askStatus(root, product))?.generation === config.generation) return;
    const why = exited ?? (performance.now() > deadline ? `it did not answer within ${startLimitMs} ms` : null);
    if (why !== null) {
      const words = ((await readIfThere(files.log)) ?? '').trim().split('\n').slice(-5).join('; ');
      throw new FairleadError(
        { class: 'host', code: 'router_start_failed', message: `the router of ${product} could not be started on ${config.listen.host}:${config.listen.port}: ${why}${words === '' ? '' : `: ${words}`}`, hint: `its log is ${files.log}` },
        { retryable: true },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

const findRouters = (root: string, product: ProductName) => findByEnvironment(routerIdentity(root, product));

async function end(routers: readonly ScannedProcess[]): Promise<void> {
  for (const router of routers) await signalProcess(router, 'SIGKILL');
  for (const router of routers) await waitForEnd(router, 5_000);
}

function errorOf(body: string): string {
  try {
    return String((JSON.parse(body) as { error?: unknown }).error ?? body);
  } catch {
    return body;
  }
}
