import { runToEnd } from './run.ts';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom PostgreSQL runs as: null for this process's own user; as root, for whom PostgreSQL refuses to run, the user `postgres`, which is
 * made where there is none.
 * @throws Error that says what to do
 */
export async function databaseAccount(say: (line: string) => void): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  const found = await existingAccount();
  if (found !== null) return found;
  say('PostgreSQL does not run as root: making the system user postgres');
  const made = await runToEnd(['useradd', '--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres']);
  const account = await existingAccount();
  if (account !== null) return account;
  throw new Error(`PostgreSQL does not run as root, and the user postgres could not be made: ${made.output.trim()}. Make it (adduser), or start fairlead as another user`);
}

/** The user `postgres`, or null where there is none. Changes nothing. */
export async function existingAccount(): Promise<Account | null> {
  const name = 'postgres';
  const [uid, gid] = await Promise.all([runToEnd(['id', '-u', name]), runToEnd(['id', '-g', name])]);
  return uid.code === 0 && gid.code === 0 ? { name, uid: Number(uid.output.trim()), gid: Number(gid.output.trim()) } : null;
}
