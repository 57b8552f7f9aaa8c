import { createServer } from 'node:net';

/** Whether 127.0.0.1:`port` can be listened on now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * A free port on 127.0.0.1: the remembered one where it still is free, then the preferred one, else any. Nothing holds it until it is used.
 * @param taken ports that were given out before and are not listened on yet
 */
export async function choosePort(remembered: number | undefined, preferred: number | undefined, taken: ReadonlySet<number>): Promise<number> {
  for (const port of [remembered, preferred]) if (port !== undefined && !taken.has(port) && (await isFree(port))) return port;
  for (;;) {
    const port = await anyPort();
    if (!taken.has(port)) return port;
  }
}

function anyPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port was given'))));
    });
  });
}
