import { createServer, type Server } from 'node:http';
import type { Address } from '../config.ts';

/** Says on loopback whether the agent works. Nothing else listens on a host. */
export async function startHealthServer(listen: Address, describe: () => Record<string, unknown> & { readonly healthy: boolean }): Promise<Server> {
  const server = createServer((request, response) => {
    const known = request.method === 'GET' && /^\/health(\/(live|ready))?$/.test(request.url ?? '');
    const answer = known ? describe() : { healthy: false, error: 'only GET /health, /health/live and /health/ready are here' };
    const status = !known ? 404 : answer.healthy || request.url === '/health/live' ? 200 : 503;
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`);
  });
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen.port, listen.host, resolve);
  });
  return server;
}
