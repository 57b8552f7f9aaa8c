import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Answer = { readonly status: number; readonly json: unknown } | { readonly stream: (response: ServerResponse, request: SeenRequest) => void } | 'hang up';

/** An API that answers as a test says, and remembers what it was asked. Routes are `METHOD /path`, with a query or for any; a function is asked anew each time. */
export async function startFakeApi(routes: Readonly<Record<string, Answer | ((request: SeenRequest) => Answer)>>): Promise<{ url: string; seen: SeenRequest[]; stop(): Promise<void> }> {
  const seen: SeenRequest[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const entry: SeenRequest = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
      seen.push(entry);
      const route = routes[`${entry.method} ${entry.path}`] ?? routes[`${entry.method} ${entry.path.split('?')[0]}`];
      const answer: Answer = route === undefined ? { status: 404, json: { code: 'unknown_route', detail: `there is no ${entry.method} ${entry.path}`, hint: null } } : typeof route === 'function' ? route(entry) : route;
      if (answer === 'hang up') return void request.socket.destroy();
      if ('stream' in answer) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        return answer.stream(response, entry);
      }
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
