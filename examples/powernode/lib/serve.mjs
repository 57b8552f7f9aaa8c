import { createServer } from 'node:http';
import { instance, readFaults, releaseId } from './release.mjs';

/**
 * Serves until SIGTERM: accepts nothing new, ends what is under way, and exits with 0.
 * @param answer (url) gives [status, body], where an object becomes JSON and a text HTML; null for 404
 * @param drain what has to be finished before the process may end
 */
export function serve(answer, drain = async () => {}) {
  const faults = readFaults();
  if (faults.crashAtStart) {
    console.error(`${instance}: cannot start: the fault crashAtStart is set`);
    process.exit(1);
  }
  let stopping = false;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const [status, body] = (await answer(url, { faults, stopping })) ?? [404, { error: 'not found' }];
    const isPage = typeof body === 'string';
    const text = isPage ? body : JSON.stringify({ ...body, releaseId: faults.wrongReleaseId ?? releaseId, instance });
    response.writeHead(status, { 'content-type': isPage ? 'text/html; charset=utf-8' : 'application/json', 'content-length': Buffer.byteLength(text), ...(stopping ? { connection: 'close' } : {}) });
    response.end(text);
  });
  // Longer than a router keeps a connection that idles, so that it is not this side that closes it under a request.
  server.keepAliveTimeout = 80_000;
  server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log(`${instance}: release ${releaseId} listens on ${server.address().port}`));
  server.on('error', (error) => {
    console.error(`${instance}: ${error.message}`);
    process.exit(1);
  });
  process.on('SIGTERM', async () => {
    if (stopping) return;
    stopping = true;
    console.log(`${instance}: draining`);
    await drain();
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
