import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the range from which the kernel takes ports for outgoing connections (ip(7), ip_local_port_range, 32768 by default): a server that stops and
 * starts again must not find its port taken by somebody's connection.
 */
const first = 15_000;
const last = 32_767;

/** Whether 127.0.0.1:`port` can be listened on now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port of loopback that is free now and not in `taken`. Nothing holds it until it is used: two that look at the same time rarely find the same one. */
export async function freePort(taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (;;) {
    const port = randomInt(first, last + 1);
    if (!taken.has(port) && (await isFree(port))) return port;
  }
}
