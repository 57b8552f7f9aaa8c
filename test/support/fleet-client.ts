import { WebSocket } from 'ws';
import { fleetHeaders, fleetPath } from '../../src/domain/fleet/protocol.ts';

export interface TestAgent {
  readonly socket: WebSocket;
  /** Says hello and gives what came back: `heard` or `refused`. */
  hello(more?: object): Promise<Record<string, unknown>>;
  /** Code and reason, once it is closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  end(): Promise<void>;
}

export interface Refused {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

interface Options {
  readonly url: string;
  readonly key: string | null;
  readonly host?: string;
  readonly bootId?: string;
  readonly path?: string;
  /** False: pings are read and not answered, as by a machine that hangs. */
  readonly answersPings?: boolean;
}

/** A host's side of the connection, or how it was refused. */
export function connectAgent({ url, key, host = 'h1', bootId = 'b1', path = fleetPath, answersPings = true }: Options): Promise<TestAgent | Refused> {
  const headers = { ...(key === null ? {} : { authorization: `Bearer ${key}` }), [fleetHeaders.host]: host, [fleetHeaders.bootId]: bootId };
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}${path}`, { headers, autoPong: answersPings });
    const closed = new Promise<{ code: number; reason: string }>((end) => socket.once('close', (code, reason) => end({ code, reason: reason.toString('utf8') })));
    const answers = new Map<number, (answer: Record<string, unknown>) => void>();
    let last = 0;
    socket.on('message', (data) => {
      const message = JSON.parse((data as Buffer).toString('utf8')) as Record<string, unknown> & { id: number };
      answers.get(message.id)?.(message);
    });
    socket.once('unexpected-response', (_request, response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text || '{}') as Record<string, unknown> }));
    });
    socket.on('error', reject);
    socket.once('open', () =>
      resolve({
        socket,
        closed,
        hello: (more = {}) =>
          new Promise((answered) => {
            const id = (last += 1);
            answers.set(id, answered);
            socket.send(JSON.stringify({ type: 'hello', id, hello: { role: 'node', agentVersion: '0.1.0', bootId, products: [], releases: [], ...more } }));
          }),
        async end() {
          socket.terminate();
          await closed;
        },
      }),
    );
  });
}

export const isRefused = (found: TestAgent | Refused): found is Refused => 'status' in found;
