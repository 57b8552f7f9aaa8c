import * as fs from 'node:fs/promises';
import { isMissing, readIfThere } from '../../files/durable.ts';
import { connectionsAt } from '../../process/proc.ts';
import type { NginxFiles } from './layout.ts';
import { parseListens } from './parse.ts';
import { pause } from './processes.ts';

/** How long clients are told to leave their connections before a reload that would close them. */
const turnoverMs = 1_000;

/**
 * Has the clients leave their connections before a reload closes them: for a second every answer says `Connection: close` (RFC 9112 section
 * 9.6), so that connections in use are not idle ones when the reload comes. Without clients there is nothing to wait for.
 */
export async function turnOver(files: NginxFiles): Promise<void> {
  const ports = parseListens((await readIfThere(files.active)) ?? '');
  if ((await Promise.all(ports.map(connectionsAt))).flat().length === 0) return;
  await fs.rename(files.loweredFlag, files.closingFlag).catch(() => fs.writeFile(files.closingFlag, ''));
  await pause(turnoverMs);
}

/** Clients keep their connections again. */
export async function lowerFlag(files: NginxFiles): Promise<void> {
  await fs.rename(files.closingFlag, files.loweredFlag).catch((error) => (isMissing(error) ? undefined : fs.rm(files.closingFlag, { force: true })));
}
