import { Agent, request as httpRequest } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export interface LoadOptions {
  /** Asked in turn. */
  readonly urls: readonly string[];
  /** Where POST requests go, with a small JSON body. Default: the first of `urls`. */
  readonly postUrl?: string;
  readonly requestsPerSecond: number;
  /** Keep-alive connections at most. Default 20. */
  readonly connections?: number;
  /** Share of POST requests, 0 to 1. Default 0. */
  readonly postShare?: number;
  /** Default: any of 200 to 299. */
  readonly isExpected?: (status: number) => boolean;
  /** Of one request. Default 30,000. */
  readonly timeoutMs?: number;
  /** With addresses that begin with https: the name that is asked for. The certificate is not judged. */
  readonly serverName?: string;
}

export interface LoadResult {
  readonly sent: number;
  readonly succeeded: number;
  readonly failed: readonly { readonly at: string; readonly error: string; readonly path: string }[];
  /** Requests that were sent once more because the server had closed a reused connection before it answered; they are in `succeeded` or `failed` as well. */
  readonly retriedOnClosedConnection: number;
  readonly maxLatencyMs: number;
  /** Answers by the `releaseId` of their JSON body. */
  readonly byReleaseId: Readonly<Record<string, number>>;
}

/**
 * Clients at a fixed rate: a request is sent when its time has come, whether the ones before it were answered or not, so that a stall of
 * the server cannot hide. A GET on a reused connection which the server closed before any byte of its answer is sent once more (RFC 9112
 * section 9.3.1 lets every client do so) and counted apart. Everything else that does not end with the expected status is a failure.
 */
export function startLoad(options: LoadOptions): { stop(): Promise<LoadResult> } {
  const kept = { keepAlive: true, maxSockets: options.connections ?? 20, maxFreeSockets: options.connections ?? 20 };
  const agent = options.urls[0]?.startsWith('https:') ? new TlsAgent({ ...kept, rejectUnauthorized: false, servername: options.serverName ?? '' }) : new Agent(kept);
  const isExpected = options.isExpected ?? ((status: number) => status >= 200 && status < 300);
  const underway = new Set<Promise<void>>();
  const failed: { at: string; error: string; path: string }[] = [];
  const byReleaseId: Record<string, number> = {};
  let sent = 0;
  let succeeded = 0;
  let retriedOnClosedConnection = 0;
  let maxLatencyMs = 0;

  async function send(method: 'GET' | 'POST', url: string): Promise<void> {
    const startedAt = performance.now();
    try {
      const { serverName, timeoutMs = 30_000 } = options;
      let answer = await exchange(method, url, { agent, serverName, timeoutMs });
      if (answer.closedBeforeAnswer && method === 'GET') {
        retriedOnClosedConnection += 1;
        answer = await exchange(method, url, { agent: false, serverName, timeoutMs });
      }
      if (answer.error !== null) throw answer.error;
      if (!isExpected(answer.status)) throw new Error(`status ${answer.status}: ${answer.body.slice(0, 200)}`);
      succeeded += 1;
      const releaseId = releaseOf(answer.body);
      if (releaseId !== null) byReleaseId[releaseId] = (byReleaseId[releaseId] ?? 0) + 1;
    } catch (error) {
      failed.push({ at: new Date().toISOString(), error: `${method}: ${describe(error as NodeJS.ErrnoException)}`, path: new URL(url).pathname });
    } finally {
      maxLatencyMs = Math.max(maxLatencyMs, Math.round(performance.now() - startedAt));
    }
  }

  const beganAt = performance.now();
  let posts = 0;
  const tick = (): void => {
    const due = Math.floor(((performance.now() - beganAt) / 1000) * options.requestsPerSecond);
    while (sent < due) {
      sent += 1;
      const isPost = posts < Math.floor(sent * (options.postShare ?? 0));
      if (isPost) posts += 1;
      const url = isPost ? (options.postUrl ?? options.urls[0]) : options.urls[sent % options.urls.length];
      const request = send(isPost ? 'POST' : 'GET', url ?? '').finally(() => underway.delete(request));
      underway.add(request);
    }
  };
  const timer = setInterval(tick, Math.max(1, Math.min(20, 1000 / options.requestsPerSecond)));

  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(underway);
      agent.destroy();
      return { sent, succeeded, failed, retriedOnClosedConnection, maxLatencyMs, byReleaseId };
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly error: Error | null;
  /** A reused connection ended before the first byte of the answer. */
  readonly closedBeforeAnswer: boolean;
}

function exchange(method: 'GET' | 'POST', url: string, { agent, serverName, timeoutMs }: { agent: Agent | TlsAgent | false; serverName: string | undefined; timeoutMs: number }): Promise<Answer> {
  return new Promise((resolve) => {
    const body = method === 'POST' ? JSON.stringify({ text: 'load' }) : undefined;
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asked = { method, agent, headers, signal: AbortSignal.timeout(timeoutMs) };
    const request = url.startsWith('https:') ? httpsRequest(url, { ...asked, servername: serverName ?? '', rejectUnauthorized: false }) : httpRequest(url, asked);
    const end = (answer: Partial<Answer>) => resolve({ status: 0, body: '', error: null, closedBeforeAnswer: false, ...answer });
    let bytesBefore = 0;
    request.on('socket', (socket) => (bytesBefore = socket.bytesRead));
    request.on('error', (error: NodeJS.ErrnoException) => {
      const closed = ['ECONNRESET', 'EPIPE'].includes(error.code ?? '');
      end({ error, closedBeforeAnswer: closed && request.reusedSocket && (request.socket?.bytesRead ?? 0) === bytesBefore });
    });
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', (error) => end({ error }));
      response.on('aborted', () => end({ error: new Error('the answer broke off') }));
      response.on('end', () => end({ status: response.statusCode ?? 0, body: text }));
    });
    request.end(body);
  });
}

function releaseOf(body: string): string | null {
  try {
    const { releaseId } = JSON.parse(body) as { releaseId?: unknown };
    return typeof releaseId === 'string' ? releaseId : null;
  } catch {
    return null;
  }
}

const describe = (error: NodeJS.ErrnoException) => [error.code, error.message].filter(Boolean).join(' ');

// As a program: `node bench/support/load.ts --url URL [--url URL] [--post-url URL] --rate 200 [--connections 20] [--post-share 0.1]`, until SIGTERM or SIGINT; prints the result as JSON.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', multiple: true },
      'post-url': { type: 'string' },
      rate: { type: 'string', default: '100' },
      connections: { type: 'string', default: '20' },
      'post-share': { type: 'string', default: '0' },
      'server-name': { type: 'string' },
    },
  });
  if (!values.url?.length) {
    console.error('usage: node bench/support/load.ts --url URL [--url URL] [--post-url URL] [--rate 100] [--connections 20] [--post-share 0.1] [--server-name NAME]');
    process.exit(64);
  }
  const load = startLoad({
    urls: values.url,
    ...(values['post-url'] === undefined ? {} : { postUrl: values['post-url'] }),
    requestsPerSecond: Number(values.rate),
    connections: Number(values.connections),
    postShare: Number(values['post-share']),
    ...(values['server-name'] === undefined ? {} : { serverName: values['server-name'] }),
  });
  const end = async () => {
    console.log(JSON.stringify(await load.stop()));
    process.exit(0);
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}
