import { randomBytes } from 'node:crypto';
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { problemMediaType } from '../contract/index.ts';
import { FairleadError } from '../domain/failure.ts';
import { problemOfFailure } from './problems.ts';

/** How long a client may take to say what it wants. */
export interface RequestTimes {
  /** For the headers. Default 15000. */
  readonly headersMs?: number;
  /** For a body of JSON, whole. Default 20000. */
  readonly bodyMs?: number;
  /** A bundle takes as long as it takes, but in every such span `leastBytes` of it have to come. Default 15000 and 16384. */
  readonly spanMs?: number;
  readonly leastBytes?: number;
  /** How long what is still being sent is waited for once the answer is out. Default 2000. */
  readonly lingerMs?: number;
}

export const defaultHeadersMs = 15_000;

/** Answers what never became a request, because its headers came too slowly, are too long, or are none, with a problem as everything else. */
export function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, code, message] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? ([408, 'request_too_slow', 'The headers of the request came too slowly.'] as const) : error.code === 'HPE_HEADER_OVERFLOW' ? ([431, 'invalid_request', 'The headers of the request are too long.'] as const) : ([400, 'invalid_request', 'What came is no HTTP request.'] as const);
  answer(socket, status, new FairleadError({ class: 'request', code, message, hint: 'Look at the client, and at what stands between it and the API.' }));
}

function answer(socket: Socket, status: number, failure: FairleadError): void {
  const body = JSON.stringify({ ...problemOfFailure(failure, { id: `req-${randomBytes(8).toString('hex')}` }), status, title: STATUS_CODES[status] });
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: ${problemMediaType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => socket.destroy());
}

/**
 * Cuts off who sends a body so slowly that it is only there to hold a connection. It listens beside the API's own handler, so that it holds whatever becomes of the request. A wait that is ours
 * (nobody has read yet what has come) is not held against the client. Node has one limit for every request (`requestTimeout`); a bundle of gigabytes and a body of JSON need two.
 */
export function cutOffSlowBodies(server: Server, { bodyMs = 20_000, spanMs = 15_000, leastBytes = 16_384, lingerMs = 2_000 }: RequestTimes = {}): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { headers, socket } = request;
    if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length'] ?? 0) > 0)) return;
    const isUpload = headers['content-type']?.startsWith('application/octet-stream') === true;
    let bytes = socket.bytesRead;
    const isOurs = (): boolean => request.readableLength >= request.readableHighWaterMark;
    const timer = setInterval(
      () => {
        if (request.complete) return clearInterval(timer);
        const came = socket.bytesRead - bytes;
        bytes = socket.bytesRead;
        if (!isOurs() && (!isUpload || came < leastBytes)) refuse(isUpload ? `less than ${leastBytes} bytes in ${spanMs} ms` : `not whole within ${bodyMs} ms`);
      },
      isUpload ? spanMs : bodyMs,
    );
    timer.unref();
    let linger: NodeJS.Timeout | undefined;
    response.once('finish', () => {
      if (!request.complete) linger = setTimeout(() => socket.destroy(), lingerMs).unref();
    });
    const done = (): void => (clearInterval(timer), clearTimeout(linger));
    request.once('end', done);
    request.once('close', done);

    function refuse(how: string): void {
      clearInterval(timer);
      if (response.headersSent) return void socket.destroy();
      answer(socket, 408, new FairleadError({ class: 'request', code: 'request_too_slow', message: `The body of ${request.method} ${request.url?.split('?')[0]} came too slowly: ${how}.`, hint: 'Look at the network between the client and the API.' }, { retryable: true }));
    }
  });
}
