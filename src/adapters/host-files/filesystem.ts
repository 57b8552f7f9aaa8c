import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseInstanceConfig, renderInstanceConfig } from '../../domain/host/instance-config.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { ProductName, RunId } from '../../domain/ids.ts';
import type { HostFiles } from '../../ports/host-files.ts';
import { freePort, isFree } from '../ports/free-port.ts';
import { ensureDirectory, exists, isMissing, readIfThere, removeFileDurably, syncDirectory, writeFileDurably } from '../files/durable.ts';

/** Configuration, folders and free room of one host. @param root prefix of every path. */
export function createHostFiles(root: string): HostFiles {
  const given = new Set<number>();
  return {
    async readInstanceConfig(product, instance) {
      const text = await readIfThere(hostLayout(root, product).configFile(instance));
      return text === null ? null : parseInstanceConfig(text);
    },
    async writeInstanceConfig(product, instance, values) {
      const { configDir, configFile } = hostLayout(root, product);
      await ensureDirectory(configDir, 0o750);
      await writeFileDurably(configFile(instance), renderInstanceConfig(values), 0o600);
    },
    async removeInstanceConfig(product, instance) {
      const { configDir, configFile } = hostLayout(root, product);
      if (await exists(configDir)) await removeFileDurably(configFile(instance));
    },
    async setAsideInstanceConfig(product, instance) {
      const { configDir, configFile } = hostLayout(root, product);
      const file = configFile(instance);
      if (!(await exists(file))) return;
      await fs.rename(file, `${file}.removed`);
      await syncDirectory(configDir);
    },
    isFreePort: (port) => isFree(port),
    async keepEnvironment(product, runId) {
      const { configDir, envFile } = hostLayout(root, product);
      await ensureDirectory(configDir, 0o750);
      const kept = keptEnvironment(envFile, runId);
      const text = await readIfThere(envFile);
      const before = await readIfThere(kept);
      if (before !== null) return parseInstanceConfig(before.slice(1));
      // The first byte tells an empty file from none.
      await writeFileDurably(kept, text === null ? '-' : `+${text}`, 0o600);
      return parseInstanceConfig(text ?? '');
    },
    async writeEnvironment(product, values) {
      await writeFileDurably(hostLayout(root, product).envFile, renderInstanceConfig(values), 0o600);
    },
    async restoreEnvironment(product, runId) {
      const { envFile } = hostLayout(root, product);
      const before = await readIfThere(keptEnvironment(envFile, runId));
      if (before === null) return;
      if (before.startsWith('-')) await removeFileDurably(envFile);
      else await writeFileDurably(envFile, before.slice(1), 0o600);
    },
    async forgetEnvironment(product, runId) {
      const { configDir, envFile } = hostLayout(root, product);
      if (await exists(configDir)) await removeFileDurably(keptEnvironment(envFile, runId));
    },
    async freePort() {
      const port = await freePort(given);
      given.add(port);
      return port;
    },
    async withChallenge(root, work) {
      const folder = '/.well-known/acme-challenge';
      // One that was put up by an agent that was killed meanwhile.
      for (const left of await fs.readdir(`${root}${folder}`)) if (left.startsWith('fairlead-')) await fs.rm(`${root}${folder}/${left}`, { force: true });
      const path = `${folder}/fairlead-${randomBytes(12).toString('hex')}`;
      const text = randomBytes(24).toString('hex');
      try {
        await fs.writeFile(`${root}${path}`, text);
        await fs.chmod(`${root}${path}`, 0o644);
        await work({ path, text });
      } finally {
        await fs.rm(`${root}${path}`, { force: true });
      }
    },
    async freeBytes(product) {
      const stat = await fs.statfs(await nearestExisting(hostLayout(root, product).releasesDir));
      return stat.bavail * stat.bsize;
    },
    async pruneDownloads(product, keep) {
      const { downloadsDir } = hostLayout(root, product);
      const names = await fs.readdir(downloadsDir).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
      const surplus = names.filter((name: string) => !keep.includes(name));
      for (const name of surplus) await fs.rm(join(downloadsDir, name), { force: true });
      if (surplus.length > 0) await syncDirectory(downloadsDir);
    },
    async prepareFolders(product: ProductName) {
      const layout = hostLayout(root, product);
      await ensureDirectory(layout.releasesDir);
      await ensureDirectory(layout.configDir, 0o750);
      await ensureDirectory(layout.logsDir, 0o750);
      await ensureDirectory(layout.stateRoot);
      for (const directory of [layout.fairleadDir, layout.downloadsDir, layout.backupsDir, layout.recoveryDir, layout.runtimeDir]) {
        await ensureDirectory(directory, 0o700);
      }
    },
  };
}

/** Hidden beside the file, so that it lies on the same file system and in nobody's way. */
const keptEnvironment = (envFile: string, runId: RunId): string => `${envFile}.before-${runId}`;

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) if (at === dirname(at) || (await exists(at))) return at;
}
