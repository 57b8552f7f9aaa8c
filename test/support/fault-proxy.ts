import { createServer, request, type Server } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestPair } from './certificate-authority.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>> | IncomingHttpHeaders;
  readonly body: string;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  status: number;
  /** The payload of a signed request. */
  readonly payload: Record<string, unknown> | null;
}

/** A fault: which requests, how many of them, and what becomes of them. */
export interface Fault {
  readonly on: (request: Seen) => boolean;
  /** Default: every one. */
  readonly times?: number;
  /** Answers instead of the CA. `null` cuts the connection. */
  readonly answer?: () => Answer | null;
  /** Changes what the CA answered. `null` cuts the connection, after the CA did it. */
  readonly change?: (answer: Answer) => Answer | null;
}

export interface FaultProxy {
  readonly url: string;
  readonly seen: Seen[];
  /** From now on, in place of what was injected before. */
  inject(...faults: Fault[]): void;
  count(on: (request: Seen) => boolean): number;
  stop(): Promise<void>;
}

/** Stands in front of an ACME server, which takes it for the name that it is asked under, so that all of its addresses lead here. */
export async function startFaultProxy(target: string, tls: TestPair): Promise<FaultProxy> {
  const seen: Seen[] = [];
  let faults: { fault: Fault; left: number }[] = [];
  const server: Server = createServer({ key: tls.key, cert: tls.cert }, (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const entry: Seen = { method: incoming.method ?? '', path: incoming.url ?? '', status: 0, payload: payloadOf(body) };
      seen.push(entry);
      const hit = faults.find(({ fault, left }) => left > 0 && fault.on(entry));
      if (hit !== undefined) hit.left -= 1;
      const send = (answer: Answer | null): void => {
        if (answer === null) return void outgoing.socket?.destroy();
        entry.status = answer.status;
        const { 'content-length': _length, 'transfer-encoding': _coding, ...headers } = answer.headers as Record<string, string>;
        outgoing.writeHead(answer.status, { ...headers, connection: 'close' });
        outgoing.end(entry.method === 'HEAD' ? undefined : answer.body);
      };
      if (hit?.fault.answer !== undefined) return send(hit.fault.answer());
      const [hostname, port] = target.split(':');
      const sent = request({ hostname, port, path: incoming.url, method: incoming.method, headers: incoming.headers, rejectUnauthorized: false, agent: false }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => {
          const answer: Answer = { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString() };
          send(hit?.fault.change === undefined ? answer : hit.fault.change(answer));
        });
      });
      sent.on('error', () => send(null));
      sent.end(body === '' ? undefined : body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    inject(...next) {
      faults = next.map((fault) => ({ fault, left: fault.times ?? Number.POSITIVE_INFINITY }));
    },
    count: (on) => seen.filter(on).length,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function payloadOf(body: string): Record<string, unknown> | null {
  try {
    const { payload } = JSON.parse(body) as { payload: string };
    return payload === '' ? null : (JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>);
  } catch {
    return null;
  }
}
