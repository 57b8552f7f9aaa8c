import * as fs from 'node:fs/promises';
import { ensureDirectory, exists, readIfThere, writeFileDurably } from '../../files/durable.ts';
import { poolFileText, type NginxConfig } from './commands.ts';
import type { NginxFiles } from './layout.ts';
import { slotNames, type Pool, type PoolFile } from './pools.ts';
import { pruneWays, readLink } from './ways.ts';

const keptGenerations = 4;

/** Everything that nginx needs before it is asked. The directory is open to be entered, because the workers of another user have it as theirs. */
export async function prepare(files: NginxFiles, config: NginxConfig): Promise<void> {
  await ensureDirectory(files.generation(config.generation), 0o755);
  await ensureDirectory(`${files.directory}/temp`, 0o711);
  await fs.chmod(files.directory, 0o711);
  if (!(await exists(files.loweredFlag)) && !(await exists(files.closingFlag))) await fs.writeFile(files.loweredFlag, '');
  await writeFileDurably(`${files.generation(config.generation)}/locations.conf`, config.locations, 0o644);
  await writeFileDurably(`${files.generation(config.generation)}/pools.json`, poolFileText(config), 0o644);
  await writeFileDurably(`${files.generation(config.generation)}/nginx.conf`, config.main, 0o644);
}

/** The newest generations stay, to be looked at. */
export async function prune(files: NginxFiles, current: string, before: string | null): Promise<void> {
  const names = await fs.readdir(files.generations);
  const aged = await Promise.all(names.map(async (name) => ({ name, at: (await fs.stat(files.generation(name))).mtimeMs })));
  const kept = new Set([current, before?.split('/')[1], ...aged.sort((a, b) => b.at - a.at).slice(0, keptGenerations).map(({ name }) => name)]);
  for (const { name } of aged) if (!kept.has(name)) await fs.rm(files.generation(name), { recursive: true, force: true });
  for (const name of await fs.readdir(files.directory)) {
    const generation = /^to-([0-9a-f]{16})-/.exec(name)?.[1];
    if (generation !== undefined && !kept.has(generation)) await fs.rm(`${files.directory}/${name}`, { force: true });
  }
  await pruneWays(files);
}

export async function readPools(files: NginxFiles, target: string | null): Promise<readonly Pool[]> {
  const text = target === null ? null : await readIfThere(`${files.directory}/${target.replace(/nginx\.conf$/, 'pools.json')}`);
  return text === null ? [] : (JSON.parse(text) as PoolFile).pools;
}

/** The pools of every generation that is kept, for what was written down under an older one. */
export async function allPools(files: NginxFiles): Promise<Pool[]> {
  const names = await fs.readdir(files.generations).catch(() => []);
  return (await Promise.all(names.map((name) => readPools(files, `generations/${name}/nginx.conf`)))).flat();
}

/** The pools that the generation's symlinks lead to. Where a service has no link that can be read, all of its own. */
export async function linkedPools(files: NginxFiles, target: string | null): Promise<Pool[]> {
  const generation = target?.split('/')[1] ?? '';
  const pools = await readPools(files, target);
  const services = [...new Set(pools.map(({ service }) => service))];
  const linked = new Map(await Promise.all(services.map(async (service) => [service, await slotsOf(files.link(generation, service))] as const)));
  return pools.filter(({ service, socket }) => linked.get(service)?.has(socket) ?? true);
}

/** The sockets that a link leads to; null where it leads nowhere. */
async function slotsOf(link: string): Promise<Set<string> | null> {
  const targets = await Promise.all(slotNames.map((slot) => readLink(`${link}/${slot}`)));
  const sockets = targets.flatMap((target) => (target === null ? [] : [target.split('/').at(-1) as string]));
  return sockets.length === 0 ? null : new Set(sockets);
}
