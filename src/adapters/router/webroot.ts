import * as fs from 'node:fs/promises';
import { ensureDirectory } from '../files/durable.ts';

/** Where a certificate authority asks for a challenge (RFC 8555 section 8.3). */
export const challengePath = '/.well-known/acme-challenge';

/** Makes the folders below which challenges are answered. They can be entered by the workers of the router, and listed by nobody else. @returns `webroot` */
export async function makeWebroot(webroot: string): Promise<string> {
  await ensureDirectory(`${webroot}${challengePath}`, 0o711);
  // The umask must not decide who may enter them.
  for (const directory of [webroot, `${webroot}/.well-known`, `${webroot}${challengePath}`]) await fs.chmod(directory, 0o711);
  return webroot;
}

/** The text of a challenge, or null. A token is base64url (RFC 8555 section 8.3): nothing else is looked up. */
export async function readChallenge(webroot: string, path: string): Promise<string | null> {
  const token = path.startsWith(`${challengePath}/`) ? path.slice(challengePath.length + 1) : '';
  if (!/^[A-Za-z0-9_-]{1,255}$/.test(token)) return null;
  return fs.readFile(`${webroot}${challengePath}/${token}`, 'utf8').catch(() => null);
}
