import { createServer } from 'node:http';
import { instance, readFaults, releaseId } from './release.mjs';

const maxBodyBytes = 64 * 1024;

/**
 * Serves until SIGTERM: accepts nothing new, ends what is under way, and exits with 0.
 * @param answer (method, path, request) gives [status, body], where an object becomes JSON and a text HTML; null for 404. `request.json()` reads a body.
 */
export function serve(answer) {
  const faults = readFaults();
  if (faults.crashAtStart) {
    console.error(`${instance}: cannot start: the fault crashAtStart is set`);
    process.exit(1);
  }
  let stopping = false;
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    let result;
    try {
      result = await answer(request.method, pathname, { headers: request.headers, json: () => readJson(request), faults });
    } catch (error) {
      // Never the request itself: keys are in it.
      if (!error.status) console.error(`${instance}: ${request.method} ${pathname}: ${error.stack}`);
      result = [error.status ?? 500, { error: error.status ? error.message : 'internal error' }];
    }
    const [status, body] = result ?? [404, { error: 'not found' }];
    const isPage = typeof body === 'string';
    const text = isPage ? body : JSON.stringify(Array.isArray(body) ? body : { ...body, releaseId: faults.wrongReleaseId ?? releaseId, instance });
    response.writeHead(status, { 'content-type': isPage ? 'text/html; charset=utf-8' : 'application/json', 'content-length': Buffer.byteLength(text), ...(stopping ? { connection: 'close' } : {}) });
    response.end(text);
  });
  // Longer than a router keeps a connection that idles, so that it is not this side that closes it under a request.
  server.keepAliveTimeout = 80_000;
  server.on('error', (error) => {
    console.error(`${instance}: ${error.message}`);
    process.exit(1);
  });
  server.listen(Number(process.env.PORT ?? 5000), '127.0.0.1', () => console.log(`${instance}: release ${releaseId} listens on ${server.address().port}`));
  process.on('SIGTERM', () => {
    if (stopping) return;
    stopping = true;
    console.log(`${instance}: stopping`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

export const refusal = (status, message) => Object.assign(new Error(message), { status });

async function readJson(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw refusal(413, `the body is larger than ${maxBodyBytes / 1024} KiB`);
    chunks.push(chunk);
  }
  let value;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw refusal(400, 'the body is no JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refusal(400, 'the body is no JSON object');
  return value;
}
