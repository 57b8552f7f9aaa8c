import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Context } from './context.ts';
import { CommandFailure, exitCodes, usageError } from './errors.ts';

export interface ConnectionOptions {
  readonly api?: string;
  readonly keyFile?: string;
  readonly dir?: string;
}

/** Which API a command talks to, and how that was found: the message about one that does not answer says so. */
export interface Connection {
  readonly url: string;
  readonly key: string;
  readonly foundBy: string;
  /** A development instance's own publisher key, or null. */
  readonly publisherKeyFile: string | null;
}

/** Adds `--api`, `--key-file`, `--dir` and `--json`. */
export function withConnection(command: Command): Command {
  return command
    .option('--api <url>', 'address of the API (or FAIRLEAD_API_URL)')
    .option('--key-file <file>', 'file that holds the API key (or FAIRLEAD_API_KEY_FILE, FAIRLEAD_API_KEY)')
    .option('--dir <dir>', 'a development instance (default ./.fairlead/dev)')
    .option('--json', 'print JSON');
}

/**
 * Finds the API: options win over the environment, the environment over a development instance's `client.json`.
 * @throws CommandFailure that says where was looked
 */
export function findConnection(options: ConnectionOptions, { env, cwd }: Pick<Context, 'env' | 'cwd'>): Connection {
  const named = options.dir === undefined ? null : readClient(resolve(cwd, options.dir), true);
  const address = options.api !== undefined ? { url: options.api, by: '--api' } : named === null && env['FAIRLEAD_API_URL'] ? { url: env['FAIRLEAD_API_URL'], by: 'FAIRLEAD_API_URL' } : null;
  const usual = join(cwd, '.fairlead/dev');
  const client = named ?? (address === null ? readClient(usual, false) : null);
  const url = address?.url ?? client?.apiUrl;
  if (url === undefined) {
    throw usageError('no API is known: neither --api nor FAIRLEAD_API_URL is given, and there is no development instance in ./.fairlead/dev', 'start one: fairlead dev\nor name one: --api https://… --key-file FILE');
  }
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw usageError(`${address?.by ?? 'client.json'} is ${JSON.stringify(url)}, which is no http address`);
  const foundBy = address?.by ?? join(client?.dir ?? usual, 'client.json');
  return { url: url.replace(/\/+$/, ''), key: findKey(options, env, client?.keyFile ?? null, cwd), foundBy, publisherKeyFile: client?.publisherKeyFile ?? null };
}

function findKey(options: ConnectionOptions, env: Context['env'], keyFile: string | null, cwd: string): string {
  if (options.keyFile !== undefined) return readKey(resolve(cwd, options.keyFile), '--key-file');
  // A development instance that was named keeps its own key: one in the environment belongs to another API.
  if (keyFile !== null) return readKey(keyFile, 'client.json');
  if (env['FAIRLEAD_API_KEY']) return env['FAIRLEAD_API_KEY'];
  if (env['FAIRLEAD_API_KEY_FILE']) return readKey(resolve(cwd, env['FAIRLEAD_API_KEY_FILE']), 'FAIRLEAD_API_KEY_FILE');
  throw usageError('no API key is given', 'give --key-file FILE, or set FAIRLEAD_API_KEY_FILE or FAIRLEAD_API_KEY');
}

function readKey(path: string, by: string): string {
  try {
    const key = readFileSync(path, 'utf8').trim();
    if (key !== '') return key;
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `the key file ${path} (${by}) cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  throw usageError(`the key file ${path} (${by}) is empty`);
}

function readClient(dir: string, demanded: boolean): { dir: string; apiUrl: string; keyFile: string; publisherKeyFile: string } | null {
  const path = join(dir, 'client.json');
  try {
    const found = JSON.parse(readFileSync(path, 'utf8')) as { apiUrl: string; keyFile: string; publisherKeyFile: string };
    return { dir, apiUrl: found.apiUrl, keyFile: found.keyFile, publisherKeyFile: found.publisherKeyFile };
  } catch (error) {
    if (!demanded && (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw usageError(`${path} ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read'}`, `start the development instance: fairlead dev --dir ${dir}`);
  }
}
