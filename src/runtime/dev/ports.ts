import { freePort, isFree } from '../../adapters/ports/free-port.ts';

/**
 * A free port on 127.0.0.1: the remembered one where it still is free, then the preferred one, else any. Nothing holds it until it is used.
 * @param taken ports that were given out before and are not listened on yet
 */
export async function choosePort(remembered: number | undefined, preferred: number | undefined, taken: ReadonlySet<number>): Promise<number> {
  for (const port of [remembered, preferred]) if (port !== undefined && !taken.has(port) && (await isFree(port))) return port;
  return freePort(taken);
}
