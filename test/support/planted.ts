import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/** A secret that looks like nothing in particular: only who knows it can find it. */
export const madeUp = (): string => `${randomBytes(9).toString('hex')}/+${randomBytes(9).toString('base64url')}`;
/** For places that take no other characters. */
export const madeUpPlain = (): string => randomBytes(18).toString('hex');

/** How a secret may have been written, each with its name. Made apart from what hides them, so that the two do not err alike. */
export function writings(secret: string): [form: string, bytes: Buffer][] {
  const forms = new Map<string, string>([['as it is', secret]]);
  const add = (form: string, text: string): void => void (text.length >= 8 && ![...forms.values()].includes(text) && forms.set(form, text));
  add('URL-encoded', encodeURIComponent(secret));
  add('JSON', JSON.stringify(secret).slice(1, -1));
  add('hex', Buffer.from(secret).toString('hex'));
  for (const encoding of ['base64', 'base64url'] as const) {
    add(encoding, Buffer.from(secret).toString(encoding).replace(/=+$/, ''));
    // Behind a user's name of any length, as in Basic authentication; the characters at both ends mix with their neighbours.
    for (const user of ['a', 'ab']) add(`${encoding} behind ${user.length}`, Buffer.from(`${user}${secret}`).toString(encoding).replace(/=+$/, '').slice(3, -2));
  }
  return [...forms].map(([form, text]) => [form, Buffer.from(text, 'latin1')]);
}

/** Where a secret was found: `API key (base64) in logs/api.log`. */
export function findSecrets(secrets: Readonly<Record<string, string>>, places: ReadonlyMap<string, Buffer>): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) =>
    writings(secret).flatMap(([form, bytes]) =>
      [...places].flatMap(([place, content]) => {
        const at = content.indexOf(bytes);
        return at === -1 ? [] : [`${name} (${form}) in ${place}: …${content.subarray(Math.max(0, at - 100), at).toString('latin1')}<HERE>`];
      }),
    ),
  );
}

/** Every file below a directory, by its path within it. */
export async function filesBelow(directory: string, leaveOut: (path: string) => boolean): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const visit = async (inside: string): Promise<void> => {
    for (const entry of await fs.readdir(join(directory, inside), { withFileTypes: true })) {
      const path = join(inside, entry.name);
      if (leaveOut(path)) continue;
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile()) found.set(path, await fs.readFile(join(directory, path)).catch(() => Buffer.alloc(0)));
    }
  };
  await visit('');
  return found;
}

/** The arguments of every process whose environment or arguments name the directory. */
export async function commandLines(directory: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const pid of (await fs.readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string): Promise<Buffer> => fs.readFile(`/proc/${pid}/${file}`).catch(() => Buffer.alloc(0));
    const line = await read('cmdline');
    if (line.includes(directory) || (await read('environ')).includes(directory)) found.set(`arguments of process ${pid}`, line);
  }
  return found;
}
