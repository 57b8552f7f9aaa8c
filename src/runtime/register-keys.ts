import * as fs from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readIfThere } from '../adapters/files/durable.ts';
import { FairleadError } from '../domain/failure.ts';
import type { HostId } from '../domain/ids.ts';
import type { KeyRole, KeyStore } from '../ports/control-stores.ts';
import type { ApiSettings } from './config.ts';

/**
 * Makes the keys known that the operator laid down in files: the first admin key, and the hosts', each of which is the key of the host that its file is named
 * after and of no other. Known ones are left alone, revoked ones stay revoked.
 */
export async function registerKeys(keys: KeyStore, { adminKeyFile, agentKeysDir }: Pick<ApiSettings, 'adminKeyFile' | 'agentKeysDir'>): Promise<void> {
  const register = async (name: string, role: KeyRole, text: string): Promise<void> => {
    if (text === '') return;
    try {
      const identity = (await keys.identify(text)) ?? (await keys.create(name, role, { text })).identity;
      if (role === 'agent') await keys.bind(identity.id, name as HostId);
    } catch (error) {
      // A file that nobody removed must not bring a revoked key back, nor keep the API from starting.
      if (!(error instanceof FairleadError) || error.reason.code !== 'key_revoked') throw error;
    }
  };
  if (adminKeyFile) {
    const text = await readIfThere(adminKeyFile);
    if (text === null) {
      throw new FairleadError({
        class: 'request',
        code: 'admin_key_file_missing',
        message: `There is no admin key at ${adminKeyFile}.`,
        hint: `Make one: fairlead keys text --role admin > ${adminKeyFile}, or leave FAIRLEAD_ADMIN_KEY_FILE unset.`,
      });
    }
    await register('admin', 'admin', text.trim());
  }
  if (!agentKeysDir) return;
  for (const name of await fs.readdir(agentKeysDir)) {
    if (name.endsWith('.key')) await register(basename(name, '.key'), 'agent', (await fs.readFile(join(agentKeysDir, name), 'utf8')).trim());
  }
}
