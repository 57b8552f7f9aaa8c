import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { maxFleetMessageBytes, pingMs } from '../../domain/fleet/protocol.ts';
import { readText, RefusedByApi } from './http.ts';

export interface FleetSocket {
  /** Sends a hello and gives its answer. @throws Error where it was refused, or the connection ended before */
  ask(hello: object): Promise<Record<string, unknown>>;
  isOpen(): boolean;
  /** Resolves when the other side has agreed, or after a second. */
  close(code: number, reason: string): Promise<void>;
}

const handshakeMs = 5_000;
const answerMs = 10_000;

/**
 * Connects. The peer is pinged, and a connection on which no answer comes is ended.
 *
 * @param closed called once, when a connection that was made has ended
 * @throws RefusedByApi where the upgrade was answered with something else, or the system's error
 */
export function openFleetSocket(url: URL, headers: Readonly<Record<string, string>>, closed: (why: string) => void, pingEveryMs = pingMs): Promise<FleetSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers, handshakeTimeout: handshakeMs, maxPayload: maxFleetMessageBytes, perMessageDeflate: false });
    socket.once('unexpected-response', (_request: unknown, response: IncomingMessage) => {
      readText(response, 16 * 1024).catch(() => '').then((text) => {
        socket.on('error', () => undefined);
        socket.terminate();
        reject(new RefusedByApi(url.href, response.statusCode ?? 0, text));
      }).catch(reject);
    });
    socket.once('error', reject);
    socket.once('open', () => {
      socket.off('error', reject);
      resolve(serve(socket, url, closed, pingEveryMs));
    });
  });
}

function serve(socket: WebSocket, url: URL, closed: (why: string) => void, pingEveryMs: number): FleetSocket {
  const waiting = new Map<number, { resolve: (answer: Record<string, unknown>) => void; reject: (error: Error) => void }>();
  let last = 0;
  let alive = true;
  const pinging = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, pingEveryMs);

  socket.on('pong', () => (alive = true));
  socket.on('ping', () => (alive = true));
  socket.on('error', () => undefined); // The close that follows is what counts.
  socket.on('message', (data) => {
    alive = true;
    const message = read((data as Buffer).toString('utf8'));
    // A newer control may say more than this agent knows.
    if (message?.type !== 'heard' && message?.type !== 'refused') return;
    const asked = waiting.get(message.id);
    if (message.type === 'heard') asked?.resolve(message.answer ?? {});
    else asked?.reject(new Error(`${url.href} refused the hello: ${message.message} (${message.code})${message.hint ? ` ${message.hint}` : ''}`));
  });
  socket.once('close', (code, reason) => {
    clearInterval(pinging);
    const why = `${url.href} closed the connection: ${code}${reason.length === 0 ? '' : ` ${reason.toString('utf8')}`}`;
    for (const { reject } of waiting.values()) reject(new Error(why));
    closed(why);
  });

  return {
    isOpen: () => socket.readyState === WebSocket.OPEN,
    ask(hello) {
      const id = (last += 1);
      const text = JSON.stringify({ type: 'hello', id, hello });
      if (Buffer.byteLength(text) > maxFleetMessageBytes) return Promise.reject(new Error(`what this host has to tell is longer than ${maxFleetMessageBytes} bytes`));
      return new Promise<Record<string, unknown>>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error(`${url.href} did not answer within ${answerMs / 1_000} s`));
          socket.terminate();
        }, answerMs);
        const settle = <Value>(act: (value: Value) => void) => (value: Value): void => {
          clearTimeout(timer);
          waiting.delete(id);
          act(value);
        };
        waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
        else waiting.get(id)?.reject(new Error(`the connection to ${url.href} has ended`));
      });
    },
    close(code, reason) {
      if (socket.readyState === WebSocket.CLOSED) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(() => socket.terminate(), 1_000);
        socket.once('close', () => {
          clearTimeout(timer);
          resolve();
        });
        socket.close(code, reason);
      });
    },
  };
}

interface Read {
  readonly type: string;
  readonly id: number;
  readonly answer?: Record<string, unknown>;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string | null;
}

/** Checked by hand: a library of schemas would cost the agent several MiB. */
function read(text: string): Read | null {
  try {
    const value = JSON.parse(text) as Partial<Read> | null;
    return typeof value === 'object' && value !== null && typeof value.type === 'string' && typeof value.id === 'number' ? (value as Read) : null;
  } catch {
    return null;
  }
}

