import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { generatePublisherKey } from '../../adapters/bundle/signature.ts';
import { ensureDirectory, readIfThere, writeFileDurably } from '../../adapters/files/durable.ts';
import { makeKeyText, readKeyText } from '../../adapters/postgres/key-text.ts';
import { agentLayout } from '../../domain/host/layout.ts';
import type { KeyRole } from '../../ports/control-stores.ts';
import type { DevLayout } from './layout.ts';

/**
 * Makes what is missing of the keys: one for the admin, one for each host's agent, one that seals task tokens, one that seals settings, one that signs the audit, and a publisher's pair. Each secret lies in one file
 * of mode 0600. The hosts are given the public half, so that they demand signatures as hosts in production do.
 *
 * @returns the admin's key
 */
export async function ensureKeys(layout: DevLayout, hosts: readonly string[]): Promise<string> {
  const admin = await ensureKey(layout.adminKeyFile, 'admin');
  await ensurePair(layout.publisherKeyFile, layout.publisherPublicFile);
  await ensurePair(layout.auditKeyFile, layout.auditPublicFile);
  for (const file of [layout.gatewaySealKeyFile, layout.settingsKeyFile]) if ((await readIfThere(file)) === null) await writeFileDurably(file, `k1 ${randomBytes(32).toString('base64')}\n`, 0o600);
  await mkdir(layout.agentKeysDir, { recursive: true, mode: 0o700 });
  for (const host of hosts) {
    const files = agentLayout(layout.hostRoot(host));
    await ensureDirectory(files.configDir, 0o755);
    await ensureDirectory(files.trustedPublishersDir, 0o755);
    await ensureKey(files.agentKeyFile, 'agent');
    await pointAt(join(layout.agentKeysDir, `${host}.key`), files.agentKeyFile);
    await copyFile(layout.publisherPublicFile, join(files.trustedPublishersDir, 'development.pub'));
  }
  return admin;
}

async function ensureKey(path: string, role: KeyRole): Promise<string> {
  const found = (await readIfThere(path))?.trim();
  if (found !== undefined && readKeyText(found)?.role === role) return found;
  const made = makeKeyText(role);
  await writeFileDurably(path, `${made}\n`, 0o600);
  return made;
}

async function ensurePair(keyFile: string, publicFile: string): Promise<void> {
  // The public half is written last: a pair without it is made anew.
  if ((await readIfThere(publicFile)) !== null && (await readIfThere(keyFile)) !== null) return;
  const pair = generatePublisherKey();
  await writeFileDurably(keyFile, pair.privateKeyPem, 0o600);
  await writeFileDurably(publicFile, pair.publicKeyPem, 0o644);
}

async function pointAt(link: string, target: string): Promise<void> {
  if ((await readlink(link).catch(() => null)) === target) return;
  await rm(link, { force: true });
  await symlink(target, link);
}
