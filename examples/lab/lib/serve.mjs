import { createServer } from 'node:http';
import { instance, readFaults, releaseId } from './release.mjs';

/**
 * Serves HTTP on loopback, at PORT, until SIGTERM: then it accepts nothing new, ends what is under way, and exits with 0.
 * @param answer gets the path and the context, gives [status, object], or null for 404.
 * @param onEnd called once when it is told to end, before the server closes.
 */
export function serve(service, answer, onEnd = () => {}) {
  const faults = readFaults(service);
  const die = (why) => {
    console.error(`${instance}: ${why}`);
    process.exit(1);
  };
  if (faults.crashAtStart) die('cannot start: the fault crashAtStart is set');
  if (faults.crashAfterSeconds !== undefined) setTimeout(() => die('crashing: the fault crashAfterSeconds is set'), faults.crashAfterSeconds * 1000);
  const shown = faults.wrongReleaseId ?? releaseId;
  let stopping = false;

  const server = createServer(async (request, response) => {
    if (faults.hang) return;
    if (faults.slowMs) await new Promise((resolve) => setTimeout(resolve, faults.slowMs));
    const { pathname } = new URL(request.url, 'http://localhost');
    const isHealth = pathname.startsWith('/health');
    const failed = faults.errorShare && !isHealth && Math.random() < faults.errorShare;
    const [status, body] = failed ? [500, { error: 'the fault errorShare is set' }] : pathname === '/health/ready' && faults.notReady ? [503, { status: 'not_ready' }] : (answer(pathname, { releaseId: shown, faults }) ?? [404, { error: 'not found' }]);
    const text = JSON.stringify({ ...body, releaseId: shown, instance });
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...(stopping ? { connection: 'close' } : {}) }).end(text);
  });
  // Longer than a router keeps a connection that idles, so that it is not this side that closes it under a request.
  server.keepAliveTimeout = 80_000;
  server.on('error', (error) => die(error.message));
  server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(`${instance}: release ${releaseId} listens on ${server.address().port}`));
  process.on('SIGTERM', () => {
    if (faults.refuseStop) return void console.log(`${instance}: SIGTERM ignored: the fault refuseStop is set`);
    if (stopping) return;
    stopping = true;
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    onEnd();
  });
  return { server, faults, releaseId: shown };
}
