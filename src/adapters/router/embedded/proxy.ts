import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { routeOf, type Balancer, type Member } from './balance.ts';
import type { RouterConfig } from './config.ts';
import type { Attempt } from '../figures.ts';
import { endToEnd, forwarded, hasBody, isIdempotent } from './headers.ts';

const connectTimeoutMs = 2_000;

/**
 * Passes requests on. A request goes to another member where that is safe: always when no connection could be made, since then nothing was
 * sent; and for an idempotent request without a body also when the connection broke before the first byte of the answer (RFC 9110 section
 * 9.2.2). Bodies stream in both directions and are never kept.
 *
 * Connections to members are reused only for requests that may be sent again: a member may close an idle connection in the moment in which
 * a request is written to it, and a POST which that happens to can be neither repeated nor called a success.
 */
export function createProxy({ config, balancer, isStopping, record }: { config: () => RouterConfig; balancer: Balancer; isStopping: () => boolean; record: (attempt: Attempt) => void }) {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 32, scheduling: 'lifo' });

  function open(member: Member, request: IncomingMessage, headers: string[], reuse: boolean): ClientRequest {
    return httpRequest({
      host: '127.0.0.1',
      port: member.port,
      method: request.method,
      path: request.url,
      headers,
      setHost: false,
      agent: reuse ? agent : false,
    });
  }

  function pass(request: IncomingMessage, response: ServerResponse, service: string, tried: Set<string>, reuse = true): void {
    const member = balancer.choose(config(), service, tried);
    if (member === null) {
      if (tried.size === 0) return refuse(response, 503, `no instance of ${service} takes requests right now`, isStopping());
      return refuse(response, 502, `no instance of ${service} could be reached`, isStopping());
    }
    tried.add(member.instance);
    const end = balancer.begin(member.instance);
    const repeatable = isIdempotent(request.method) && !hasBody(request);
    const kept = repeatable && reuse;
    const outgoing = open(member, request, [...forwarded(request), 'Connection', kept ? 'keep-alive' : 'close'], kept);
    let connected = false;
    let answered = false;
    // The time that a client takes to send its body is not the instance's.
    let begunAt = performance.now();
    if (hasBody(request)) request.once('end', () => (begunAt = performance.now()));
    let counted = false;
    const count = (failed: boolean) => {
      if (counted) return;
      counted = true;
      record({ service, instance: member.instance, failed, ms: performance.now() - begunAt });
    };

    outgoing.on('socket', (socket) => {
      const onConnected = () => {
        connected = true;
        balancer.trust(member.instance);
        socket.setTimeout(0);
        socket.setNoDelay(true);
        // Only now: a body that has begun to flow could not be sent to another member.
        if (hasBody(request)) request.pipe(outgoing);
        else outgoing.end();
      };
      if (!socket.connecting) return onConnected();
      socket.setTimeout(connectTimeoutMs, () => connected || outgoing.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)));
      socket.once('connect', onConnected);
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      end();
      request.unpipe(outgoing);
      if (response.destroyed) return;
      if (answered) {
        count(true);
        return void response.destroy(); // Half an answer must not look like a whole one.
      }
      if (!connected) balancer.suspect(member.instance);
      // A reused connection that was already closed says nothing about its member: it may be asked once more, over a new one.
      if (connected && repeatable && outgoing.reusedSocket) tried.delete(member.instance);
      else count(true);
      if (!connected || repeatable) return pass(request, response, service, tried, false);
      refuse(response, 502, `${member.instance} closed the connection before it answered (${error.code ?? error.message})`, isStopping());
    });
    outgoing.on('response', (incoming) => {
      answered = true;
      incoming.once('aborted', () => count(!response.destroyed));
      incoming.once('end', () => count((incoming.statusCode ?? 502) >= 500));
      relay(incoming, response, end);
    });
    response.once('close', () => {
      end();
      if (response.writableFinished) return;
      // A client that left is not the instance's fault; how long it had waited counts.
      if (connected) count(false);
      outgoing.destroy();
    });
  }

  function relay(incoming: IncomingMessage, response: ServerResponse, end: () => void): void {
    const headers = endToEnd(incoming);
    // A router that ends says so, so that the client does not send another request into a closing connection.
    if (isStopping()) headers.push('Connection', 'close');
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, headers);
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
    incoming.on('end', end);
    incoming.pipe(response);
  }

  return {
    handle(request: IncomingMessage, response: ServerResponse): void {
      response.on('error', () => {});
      request.on('error', () => {});
      const service = routeOf(config(), request.url ?? '/');
      if (service === null) return refuse(response, 404, 'no route begins like this path', isStopping());
      pass(request, response, service, new Set());
    },

    /** Passes an upgrade on (WebSocket), and then bytes in both directions until one side ends. */
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      const service = routeOf(config(), request.url ?? '/');
      const member = service === null ? null : balancer.choose(config(), service, new Set());
      const answer = (status: string) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n${status.startsWith('503') ? 'Retry-After: 1\r\n' : ''}\r\n`);
      socket.on('error', () => socket.destroy());
      if (member === null) return void answer(service === null ? '404 Not Found' : '503 Service Unavailable');
      const end = balancer.begin(member.instance);
      const outgoing = open(member, request, [...forwarded(request), 'Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? ''], false);
      socket.once('close', () => {
        end();
        outgoing.destroy();
      });
      const begunAt = performance.now();
      outgoing.on('error', () => {
        if (socket.destroyed) return;
        balancer.suspect(member.instance);
        record({ service: member.service, instance: member.instance, failed: true, ms: null });
        answer('502 Bad Gateway');
      });
      outgoing.on('upgrade', (incoming, upstream, upstreamHead) => {
        const headers = [...endToEnd(incoming), 'Connection', 'Upgrade', 'Upgrade', incoming.headers.upgrade ?? ''];
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headerLines(headers)}\r\n`);
        upstream.on('error', () => socket.destroy());
        upstream.once('close', () => socket.destroy());
        socket.once('close', () => upstream.destroy());
        if (upstreamHead.length > 0) socket.write(upstreamHead);
        if (head.length > 0) upstream.write(head);
        upstream.pipe(socket).pipe(upstream);
        // One side that ends ends both, as with nginx: half of a WebSocket is of no use, and an instance that leaves its half open would never be drained.
        socket.once('end', () => upstream.end(() => upstream.destroy()));
        upstream.once('end', () => socket.end(() => socket.destroy()));
      });
      outgoing.on('response', (incoming) => {
        // The instance did not want to upgrade: its answer is passed on, and the connection ends with it.
        incoming.once('end', () => record({ service: member.service, instance: member.instance, failed: (incoming.statusCode ?? 502) >= 500, ms: performance.now() - begunAt }));
        socket.write(`HTTP/1.1 ${incoming.statusCode} ${incoming.statusMessage}\r\n${headerLines([...endToEnd(incoming), 'Connection', 'close'])}\r\n`);
        incoming.pipe(socket);
      });
      outgoing.end();
    },

    close: () => agent.destroy(),
  };
}

function headerLines(pairs: readonly string[]): string {
  let lines = '';
  for (let index = 0; index + 1 < pairs.length; index += 2) lines += `${pairs[index]}: ${pairs[index + 1]}\r\n`;
  return lines;
}

function refuse(response: ServerResponse, status: number, detail: string, closing: boolean): void {
  if (response.headersSent) return void response.destroy();
  const code = status === 503 ? 'no_instance' : status === 502 ? 'instance_unreachable' : 'no_route';
  const body = JSON.stringify({ type: 'about:blank', title: detail, status, code });
  response.writeHead(status, {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    ...(status === 503 ? { 'retry-after': '1' } : {}),
    ...(closing ? { connection: 'close' } : {}),
  });
  response.end(body);
}
