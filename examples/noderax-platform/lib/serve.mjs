import { createServer } from 'node:http';
import { isSetup, instance, readFaults, releaseId } from './release.mjs';
import { serveSockets } from './socket.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Serves until SIGTERM: then it accepts nothing new, ends what is under way, tells every client by `Connection: close` not to come back on
 * the same connection, and exits with 0.
 * @param sockets path of a WebSocket, and what a client is greeted with; left out where there is none.
 * @param answer (url, request) gives [status, body], where an object becomes JSON and a text HTML; or null for 404.
 */
export function serve(service, answer, sockets = null) {
  let faults = readFaults(service);
  let reloads = 0;
  if (faults.crashAtStart) {
    console.error(`${instance}: cannot start: the fault crashAtStart is set`);
    process.exit(1);
  }
  if (faults.crashAfterSeconds !== undefined) {
    setTimeout(() => {
      console.error(`${instance}: crashing: the fault crashAfterSeconds is set`);
      process.exit(1);
    }, faults.crashAfterSeconds * 1000);
  }
  const shownReleaseId = faults.wrongReleaseId ?? releaseId;
  let stopping = false;

  const server = createServer(async (request, response) => {
    if (faults.hang) return; // Accepts, and never answers.
    if (faults.slowMs) await pause(faults.slowMs);
    const url = new URL(request.url, 'http://localhost');
    if (faults.errorShare && !url.pathname.includes('health') && Math.random() < faults.errorShare) return void response.writeHead(500, { 'content-length': 0 }).end();
    let result;
    try {
      result = await answer(url, request, { faults, releaseId: shownReleaseId, reloads });
    } catch (error) {
      console.error(`${instance}: ${request.method} ${url.pathname}:`, error);
      result = [500, { error: error.message }];
    }
    const [status, body] = result ?? [404, { error: 'not found' }];
    const isPage = typeof body === 'string';
    const text = isPage ? body : JSON.stringify({ ...body, releaseId: shownReleaseId, instance });
    response.writeHead(status, {
      'content-type': isPage ? 'text/html; charset=utf-8' : 'application/json',
      'content-length': Buffer.byteLength(text),
      'x-instance': instance,
      ...(stopping ? { connection: 'close' } : {}),
    });
    response.end(text);
  });
  // Longer than a router keeps a connection that idles, so that it is not this side that closes it under a request.
  server.keepAliveTimeout = 80_000;
  server.requestTimeout = 0;
  const socketServer = sockets === null ? null : serveSockets(server, sockets.path, () => ({ ...sockets.greet(), releaseId: shownReleaseId, instance }));
  server.listen(Number(process.env.PORT ?? (isSetup ? 4010 : 4011)), '127.0.0.1', () => console.log(`${instance}: release ${releaseId} listens on ${server.address().port}`));
  server.on('error', (error) => {
    console.error(`${instance}: ${error.message}`);
    process.exit(1);
  });

  // Requests that are under way go on with what was read before; what cannot be read leaves it in force.
  process.on('SIGUSR2', () => {
    try {
      faults = readFaults(service);
      reloads += 1;
      console.log(`${instance}: settings read again`);
    } catch (error) {
      console.error(`${instance}: settings could not be read again:`, error);
    }
  });
  process.on('SIGTERM', () => {
    if (faults.refuseStop) return void console.log(`${instance}: SIGTERM ignored: the fault refuseStop is set`);
    if (stopping) return;
    stopping = true;
    console.log(`${instance}: stopping`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    socketServer?.announceEnd();
  });
}
