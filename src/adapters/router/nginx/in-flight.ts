import { connectionsTo, socketInodes, unixConnections } from '../../process/proc.ts';
import type { NginxFiles } from './layout.ts';
import { readPools } from './generations.ts';
import type { Pool } from './pools.ts';
import { findNginx } from './processes.ts';
import { readLink } from './ways.ts';

/**
 * Connections from nginx to the instance, each of which is one request, and requests of its pools that are on their way through nginx: those
 * may still become connections to it. What others have open to the instance (probes) is not counted.
 */
export async function countInFlight(files: NginxFiles, instance: string): Promise<number | null> {
  const pools = await readPools(files, await readLink(files.active));
  const own = pools.filter(({ members }) => members.some((member) => member.instance === instance));
  const port = own[0]?.members.find((member) => member.instance === instance)?.port;
  const workers = (await findNginx(files.directory)).filter(({ title }) => title !== 'master');
  if (port === undefined || workers.length === 0) return null;
  const held = await Promise.all(workers.map((worker) => socketInodes(worker.pid)));
  const connections = async (to: number) => (await connectionsTo(to)).filter(({ inode }) => held.some((inodes) => inodes.has(inode))).length;

  const unix = await unixConnections();
  const behind = (some: readonly Pool[]) => some.reduce((sum, { socket }) => sum + (unix.get(socket) ?? 0), 0);
  const working = await connections(port);
  if (behind(own) === 0) return working;
  const service = pools.filter((pool) => pool.service === own[0]?.service);
  const ports = new Set(service.flatMap(({ members }) => members.map((member) => member.port)));
  const counts = await Promise.all([...ports].map(connections));
  return working + Math.max(0, behind(service) - counts.reduce((sum, count) => sum + count, 0));
}
