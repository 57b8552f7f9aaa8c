import * as fs from 'node:fs/promises';
import type { RouterState } from '../../../ports/router.ts';
import { ensureDirectory, errnoOf, exists, isMissing, replaceSymlinkDurably, syncDirectory } from '../../files/durable.ts';
import { slotTarget, wayTarget } from './commands.ts';
import type { NginxFiles } from './layout.ts';
import { chosenWays, slotNames, type Way } from './pools.ts';

/** Each is a hundred symlinks. */
const keptWays = 16;

/** Sends the requests of every service the way that they should go. @returns whether one was sent elsewhere before. */
export async function choose(files: NginxFiles, generation: string, state: RouterState): Promise<boolean> {
  let changed = false;
  const ways = chosenWays(files.directory, state);
  for (const way of ways) await makeWay(files, way);
  // All ways are there before the first link moves: the services of a product change sides close together.
  for (const way of ways) {
    const link = files.link(generation, way.service);
    if ((await readLink(link)) === wayTarget(way)) continue;
    await replaceSymlinkDurably(wayTarget(way), link);
    changed = true;
  }
  return changed;
}

/** Renamed into place when it is whole: a way that is there can be used. */
async function makeWay(files: NginxFiles, way: Way): Promise<void> {
  const directory = files.way(way.name);
  if (await exists(directory)) return;
  await ensureDirectory(files.ways, 0o755);
  const made = await fs.mkdtemp(`${files.ways}/.`);
  try {
    for (const [number, slot] of slotNames.entries()) await fs.symlink(slotTarget(way.slots[number] ?? null), `${made}/${slot}`);
    await fs.chmod(made, 0o755);
    await syncDirectory(made);
    await fs.rename(made, directory);
  } catch (error) {
    await fs.rm(made, { recursive: true, force: true });
    // Somebody else made the same.
    if (!(await exists(directory))) throw error;
  }
  await syncDirectory(files.ways);
}

/** The newest ways that nobody uses stay: an instance that is taken out for a moment comes back. */
export async function pruneWays(files: NginxFiles): Promise<void> {
  const links = (await fs.readdir(files.directory)).filter((name) => name.startsWith('to-'));
  const used = new Set(await Promise.all(links.map((name) => readLink(`${files.directory}/${name}`))));
  const unused = (await fs.readdir(files.ways)).filter((name) => !used.has(`ways/${name}`));
  const aged = await Promise.all(unused.map(async (name) => ({ name, at: await fs.stat(files.way(name)).then((stat) => stat.mtimeMs, () => 0) })));
  for (const { name } of aged.sort((a, b) => b.at - a.at).slice(keptWays)) await fs.rm(files.way(name), { recursive: true, force: true });
}

export async function readLink(path: string): Promise<string | null> {
  return fs.readlink(path).catch((error) => (isMissing(error) || ['EINVAL', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? null : Promise.reject(error)));
}
