import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { agentLayout, hostLayout } from '../../domain/host/layout.ts';
import type { ProductName } from '../../domain/ids.ts';
import { hideSecrets, isSecretName } from '../../domain/secret-text.ts';
import { hiderOf } from './known.ts';

/** What this host's files hold that must not leave it. */
export interface HostSecrets {
  /** Without the secrets of the host's products and without what looks like one. Reads files that have changed. */
  conceal(text: string): Promise<string>;
  /** As `conceal`, by what is known already: for who cannot wait, such as the logger. */
  hide(text: string): string;
}

/**
 * The values of secret names in `.env.production` and in the instances' conf files of every product, and the agent's own key. They get into logs, answers of probes and
 * output of hooks, all of which reports keep as evidence.
 *
 * @param products whose files; asked each time
 */
export function createHostSecrets(root: string, products: () => Promise<readonly ProductName[]>): HostSecrets {
  const read = new Map<string, { readonly stamp: string; readonly secrets: readonly string[] }>();
  let hide = hiderOf([]);

  async function refresh(): Promise<void> {
    const files = new Set<string>([agentLayout(root).agentKeyFile]);
    for (const product of await products()) {
      const { configDir } = hostLayout(root, product);
      for (const name of await fs.readdir(configDir).catch(() => [])) if (name.endsWith('.conf') || name.startsWith('.env')) files.add(join(configDir, name));
    }
    let changed = false;
    for (const file of files) {
      const stat = await fs.stat(file, { bigint: true }).catch(() => null);
      const stamp = stat === null ? 'gone' : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
      if (read.get(file)?.stamp === stamp) continue;
      changed = true;
      // One that is gone leaves its secrets behind: what it said may still be in a log.
      const before = read.get(file)?.secrets ?? [];
      const text = stat === null ? '' : await fs.readFile(file, 'utf8').catch(() => '');
      const found = file === agentLayout(root).agentKeyFile ? [text.trim()] : Object.entries(parseEnv(text)).flatMap(([variable, value]) => (value !== undefined && isSecretName(variable) ? [value] : []));
      read.set(file, { stamp, secrets: [...new Set([...found, ...before])].slice(0, 500) });
    }
    if (changed) hide = hiderOf([...read.values()].flatMap(({ secrets }) => secrets));
  }

  return {
    conceal: async (text) => {
      await refresh().catch(() => undefined); // A disk that cannot be read: what was known is hidden all the same.
      return hideSecrets(hide(text));
    },
    hide: (text) => hide(text),
  };
}
