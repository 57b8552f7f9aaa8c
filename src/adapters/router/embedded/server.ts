import { readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TrafficFigures } from '../../../ports/router.ts';
import { createBalancer } from './balance.ts';
import { parseConfig, type RouterConfig } from './config.ts';
import { figuresOf } from '../figures.ts';
import { createProxy } from './proxy.ts';
import { createTlsServer, loadPair, redirectOf, strictOf, type Pair } from './tls.ts';
import { challengePath, readChallenge } from '../webroot.ts';
import { createTrafficRecord } from './record.ts';

export const configFileName = 'config.json';
export const adminSocketName = 'admin.sock';

// Uploads may take longer than any limit; a client that sends no headers is still let go.
const timing = { keepAliveTimeout: 75_000, headersTimeout: 60_000, requestTimeout: 0, noDelay: true } as const;

/** What the admin socket answers to `GET /status`. */
export interface RouterStatus {
  readonly generation: string;
  readonly pid: number;
  readonly inFlight: Readonly<Record<string, number>>;
}

/**
 * The whole router process: reads `config.json` in `directory`, serves, and obeys its admin socket. SIGHUP reads the file again; SIGTERM stops
 * it, with 10 seconds for requests in flight. A configuration that cannot be used leaves the one before in force.
 *
 * Its working directory becomes `directory`: the admin socket is named relative to it, because the path of a socket must be short.
 */
export async function runRouterProcess(directory: string): Promise<void> {
  process.chdir(directory);
  const router = createRouterServer();
  process.on('SIGHUP', () => void router.apply(parseConfig(readFileSync(configFileName, 'utf8'))).catch((error) => console.error(String(error))));
  process.on('SIGTERM', () => void router.stop(10).then(() => process.exit(0)));
  process.on('SIGINT', () => void router.stop(0).then(() => process.exit(0)));
  // One broken connection must not take down every other one.
  process.on('uncaughtException', (error) => console.error(new Date().toISOString(), 'unexpected error', error));

  try {
    await router.apply(parseConfig(readFileSync(configFileName, 'utf8')));
  } catch (error) {
    console.error(String(error));
    process.exit(1);
  }
  await serveAdmin(router);
}

function createRouterServer() {
  let config: RouterConfig | null = null;
  let server: Server | null = null;
  const tlsServers = new Map<number, TlsServer>();
  let stopping = false;
  const current = (): RouterConfig => config as RouterConfig;
  const balancer = createBalancer(Date.now);
  const traffic = createTrafficRecord(Date.now);
  const proxy = createProxy({ config: current, balancer, isStopping: () => stopping, record: traffic.add });
  const upgraded = new Set<Duplex>();

  async function handlePlain(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { tls, webroot } = current();
    const path = request.url ?? '/';
    if (webroot !== undefined && path.startsWith(`${challengePath}/`)) {
      const text = await readChallenge(webroot, path);
      return void response.writeHead(text === null ? 404 : 200, { 'content-type': 'text/plain' }).end(text ?? 'there is no such challenge');
    }
    if (!tls?.redirect) return proxy.handle(request, response);
    const to = redirectOf(tls, request.headers.host ?? '', path);
    response.writeHead(to === null ? 421 : 308, { ...(to === null ? {} : { location: to }), 'cache-control': 'max-age=300', 'content-length': 0 }).end();
  }

  function handleTls(request: IncomingMessage, response: ServerResponse): void {
    const strict = strictOf(current().tls);
    if (strict !== null) response.setHeader('Strict-Transport-Security', strict);
    proxy.handle(request, response);
  }

  const listen = (host: string, port: number): Promise<Server> => serve(createServer(timing, (request, response) => void handlePlain(request, response)), host, port);

  /** Opens what is wanted and is not there yet. What could not be opened leaves everything as it was. */
  async function openTls(next: RouterConfig, elsewhere: boolean): Promise<{ readonly opened: Map<number, TlsServer>; readonly pair: Pair | null }> {
    const opened = new Map<number, TlsServer>();
    if (next.tls === undefined) return { opened, pair: null };
    const loaded = loadPair(next.tls.directory);
    try {
      for (const port of next.tls.ports) if (elsewhere || !tlsServers.has(port)) opened.set(port, await serve(createTlsServer(timing, loaded, handleTls), next.listen.host, port));
    } catch (error) {
      for (const other of opened.values()) other.close();
      throw error;
    }
    return { opened, pair: loaded };
  }

  function serve<Kind extends Server | TlsServer>(next: Kind, host: string, port: number): Promise<Kind> {
    next.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      upgraded.add(socket);
      socket.once('close', () => upgraded.delete(socket));
      proxy.handleUpgrade(request, socket, head);
    });
    next.on('clientError', (_error, socket) => void (socket.writable ? socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n') : socket.destroy()));
    return new Promise((resolve, reject) => {
      next.once('error', reject);
      next.listen({ host, port, backlog: 1024 }, () => {
        next.off('error', reject);
        next.on('error', (error) => console.error(String(error)));
        resolve(next);
      });
    });
  }

  function usePair(next: Pair): void {
    for (const each of tlsServers.values()) each.setSecureContext(next);
  }

  return {
    /** Puts a configuration in force: requests that come after it has resolved follow it, and no connection of a client is touched. */
    async apply(next: RouterConfig): Promise<void> {
      const elsewhere = config !== null && config.listen.host !== next.listen.host;
      const moved = server === null || elsewhere || config?.listen.port !== next.listen.port;
      // The first requests may come before `listen` has resolved.
      config ??= next;
      const tls = await openTls(next, elsewhere);
      if (moved) {
        const opened = await listen(next.listen.host, next.listen.port).catch((error) => {
          for (const each of tls.opened.values()) each.close();
          throw error;
        });
        server?.close();
        server?.closeIdleConnections();
        server = opened;
      }
      config = next;
      for (const [port, old] of tlsServers) {
        if (next.tls?.ports.includes(port) && !tls.opened.has(port)) continue;
        tlsServers.delete(port);
        old.close();
        old.closeIdleConnections();
      }
      for (const [port, opened] of tls.opened) tlsServers.set(port, opened);
      if (tls.pair !== null) usePair(tls.pair);
    },
    /** Reads the pair anew. Connections that are open keep theirs; every handshake from here on gets the new one. @throws where it cannot be used */
    reload(): void {
      if (current().tls !== undefined) usePair(loadPair(current().tls?.directory ?? ''));
    },
    status: (): RouterStatus => ({ generation: config?.generation ?? '', pid: process.pid, inFlight: balancer.inFlight() }),
    /** @param since milliseconds since 1970. */
    traffic(since: number): readonly TrafficFigures[] | null {
      const tally = traffic.since(since);
      return tally === null ? null : figuresOf(tally, config?.members ?? []);
    },
    async stop(graceSeconds: number): Promise<void> {
      stopping = true;
      const all = [...(server ? [server] : []), ...tlsServers.values()];
      const closed = Promise.all(all.map((each) => new Promise<void>((resolve) => void each.close(() => resolve()))));
      for (const each of all) each.closeIdleConnections();
      const limit = setTimeout(() => {
        for (const each of all) each.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      }, graceSeconds * 1000);
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, graceSeconds * 1000 + 500))]);
      clearTimeout(limit);
      proxy.close();
    },
  };
}

/** Answers on the admin socket: `GET /status`, `GET /traffic?since=MS` (null where it cannot be told), `POST /apply` with a configuration, `POST /reload` for another certificate, `POST /stop?graceSeconds=N`. The directory's mode guards it. */
function serveAdmin(router: ReturnType<typeof createRouterServer>): Promise<void> {
  const reply = (response: ServerResponse, status: number, body: object | null) => response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body));
  const admin = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    try {
      if (request.method === 'GET' && url.pathname === '/status') return void reply(response, 200, router.status());
      if (request.method === 'GET' && url.pathname === '/traffic') return void reply(response, 200, router.traffic(Number(url.searchParams.get('since') ?? 0)));
      if (request.method === 'POST' && url.pathname === '/apply') {
        await router.apply(parseConfig(await readBody(request)));
        return void reply(response, 200, router.status());
      }
      if (request.method === 'POST' && url.pathname === '/reload') {
        router.reload();
        return void reply(response, 200, router.status());
      }
      if (request.method === 'POST' && url.pathname === '/stop') {
        reply(response, 200, router.status());
        await router.stop(Number(url.searchParams.get('graceSeconds') ?? 10));
        process.exit(0);
      }
      reply(response, 404, { error: 'there is no such question' });
    } catch (error) {
      reply(response, 409, { error: (error as Error).message });
    }
  });
  // A socket that a killed router left behind. Only one router of a directory gets this far: the port is taken before.
  rmSync(adminSocketName, { force: true });
  return new Promise((resolve, reject) => {
    admin.once('error', reject);
    admin.listen(adminSocketName, resolve);
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request) body += chunk;
  return body;
}
