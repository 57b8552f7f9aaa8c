import { resolve } from 'node:path';
import type { Command } from 'commander';
import { generatePublisherKey } from '../../adapters/bundle/signature.ts';
import { exists, writeFileDurably } from '../../adapters/files/durable.ts';
import { makeKeyText } from '../../adapters/postgres/key-text.ts';
import type { KeyCreated, KeyList, KeyRevoked } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { apiCommand } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerKeys(program: Command, context: Context): void {
  const keys = program.command('keys').description('API keys, and the key pairs of publishers');

  apiCommand(keys.command('create').description('make an API key; its text is shown this once').argument('<name>', 'who uses it').option('--role <role>', 'admin or agent', 'admin'), context, async (api, options: CommonOptions & { role: string }, name: string) => {
    const created = await api.post<KeyCreated>('/api/keys', { body: { name, role: options.role } });
    if (options.json) return printJson(context, created);
    if (created.text === null) throw new CommandFailure(exitCodes.failed, `the key ${created.id} was made, but its text was lost on the way`, `revoke it and make another one: fairlead keys revoke ${created.id}`);
    context.out(`${created.text}\n`);
    context.note(`key ${created.id} (${created.name}, ${created.role}); it is not shown again`);
  });

  apiCommand(keys.command('list').description('all API keys, masked'), context, async (api, options: CommonOptions) => {
    const list = await api.get<KeyList>('/api/keys');
    if (options.json) return printJson(context, list);
    context.out(renderTable(['ID', 'NAME', 'ROLE', 'HOST', 'KEY', 'CREATED', 'REVOKED'], list.keys.map((key) => [key.id, key.name, key.role, key.host ?? '-', key.masked, key.createdAt, key.revokedAt ?? '-'])));
  });

  apiCommand(keys.command('revoke').description('from now on the key opens nothing').argument('<id>'), context, async (api, options: CommonOptions, id: string) => {
    const revoked = await api.delete<KeyRevoked>(`/api/keys/${encodeURIComponent(id)}`);
    if (options.json) return printJson(context, revoked);
    context.out(`key ${revoked.id} is revoked\n`);
  });

  keys
    .command('text')
    .description("make a key's text without an API, for FAIRLEAD_ADMIN_KEY_FILE or an agent's key file")
    .option('--role <role>', 'admin or agent', 'admin')
    .action((options: { role: string }) => {
      if (options.role !== 'admin' && options.role !== 'agent') throw usageError(`--role is ${JSON.stringify(options.role)}: expected admin or agent`);
      context.out(`${makeKeyText(options.role)}\n`);
    });

  keys
    .command('publisher')
    .description('make a key pair to sign bundles with: FILE (private, 0600) and FILE.pub')
    .argument('<file>')
    .option('--json', 'print JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const path = resolve(context.cwd, file);
      for (const taken of [path, `${path}.pub`]) if (await exists(taken)) throw new CommandFailure(exitCodes.refused, `${taken} exists already and is not overwritten`, 'name another file; hosts may trust that key');
      const pair = generatePublisherKey();
      await writeFileDurably(path, pair.privateKeyPem, 0o600);
      await writeFileDurably(`${path}.pub`, pair.publicKeyPem, 0o644);
      if (options.json) return printJson(context, { keyId: pair.keyId, privateKeyFile: path, publicKeyFile: `${path}.pub` });
      context.out(`${pair.keyId}\n`);
      context.note(`sign with it: fairlead release publish FILE --sign-key ${file}\ntrust it on a host: copy ${file}.pub into /etc/fairlead/publishers/`);
    });
}
