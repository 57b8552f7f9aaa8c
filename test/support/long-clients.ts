import { request } from 'node:http';
import { uploadSeconds } from './checkpoints.ts';

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

export interface SocketStory {
  /** Ends that nobody announced: close codes other than 1012 (service restart) and 1000. */
  readonly breaks: readonly number[];
  /** Close codes that told the client to come back. */
  readonly announced: readonly number[];
  readonly reconnects: number;
}

/** Keeps a WebSocket open, sends a text every 100 ms and wants it back; connects again where the server announced its end. */
export async function holdSocket(url: string): Promise<{ end(): Promise<SocketStory> }> {
  const breaks: number[] = [];
  const announced: number[] = [];
  let reconnects = 0;
  let ending = false;
  let socket: WebSocket;
  let beat: NodeJS.Timeout | undefined;
  const connect = (): Promise<void> =>
    new Promise<void>((opened, failed) => {
      socket = new WebSocket(url);
      socket.onopen = () => opened();
      socket.onerror = () => failed(new Error(`the WebSocket ${url} could not be opened`));
      socket.onclose = ({ code }) => {
        clearInterval(beat);
        if (ending) return;
        (code === 1012 ? announced : breaks).push(code);
        reconnects += 1;
        connect().catch(() => breaks.push(-1));
      };
    }).then(() => {
      beat = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('beat'), 100);
    });
  await connect();
  return {
    async end() {
      ending = true;
      clearInterval(beat);
      const closed = new Promise<void>((done) => {
        socket.onclose = () => done();
      });
      if (socket.readyState === WebSocket.CLOSED) return { breaks, announced, reconnects };
      socket.close();
      await Promise.race([closed, pause(2_000)]);
      return { breaks, announced, reconnects };
    },
  };
}

/** Uploads a little every 50 ms for so many seconds, in one request. */
export function holdUpload(url: string, { seconds }: { readonly seconds: number }): Promise<{ status: number; sent: number; body: string }> {
  return new Promise((done, failed) => {
    let sent = 0;
    const upload = request(url, { method: 'POST', headers: { 'content-type': 'application/octet-stream', connection: 'close' } }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => done({ status: response.statusCode ?? 0, sent, body }));
      response.on('error', failed);
    });
    upload.on('error', failed);
    const until = Date.now() + seconds * 1000;
    const timer = setInterval(() => {
      if (Date.now() >= until) {
        clearInterval(timer);
        upload.end();
        return;
      }
      sent += 1024;
      upload.write(Buffer.alloc(1024));
    }, 50);
    upload.once('close', () => clearInterval(timer));
  });
}

export interface LongStory {
  readonly socket: SocketStory;
  /** Status of the upload and of the long poll, or why there is none. */
  readonly upload: number | string;
  readonly poll: number | string;
}

/** A WebSocket, an upload of `uploadSeconds` and a long poll of three seconds, all begun now. @param address of the product's router */
export async function holdLongClients(address: string): Promise<{ end(): Promise<LongStory> }> {
  const status = (answer: Promise<{ status: number }>): Promise<number | string> => answer.then((told) => told.status, (error: unknown) => String(error));
  const upload = status(holdUpload(`${address}/api/upload`, { seconds: uploadSeconds }));
  const poll = status(fetch(`${address}/api/slow?ms=3000`, { headers: { connection: 'close' } }));
  const socket = await holdSocket(`${address.replace('http', 'ws')}/api/socket`);
  return { end: async () => ({ socket: await socket.end(), upload: await upload, poll: await poll }) };
}

/** What clients that stay for long may feel of a change: nothing but announced ends of WebSockets. */
export const unfelt = { socket: { breaks: [], announced: expect.any(Array), reconnects: expect.any(Number) }, upload: 201, poll: 200 };
