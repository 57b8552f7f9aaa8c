import { resolve } from 'node:path';
import type { Command } from 'commander';
import { generatePublisherKey } from '../../adapters/bundle/signature.ts';
import { exists, writeFileDurably } from '../../adapters/files/durable.ts';
import { makeKeyText } from '../../adapters/postgres/key-text.ts';
import type { KeyCreated, KeyList, KeyRevoked, KeyRotated } from '../../contract/index.ts';
import { keyRoles, type KeyRole } from '../../domain/access/role.ts';
import { scopeText } from '../../domain/access/scope.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { apiCommand, everyPage, secondsOf } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerKeys(program: Command, context: Context): void {
  const keys = program.command('keys').description('API keys, and the key pairs of publishers');

  const create = keys
    .command('create')
    .description('make an API key; its text is shown this once')
    .argument('<name>', 'who uses it')
    .option('--role <role>', keyRoles.join(', '), 'admin')
    .option('--product <name...>', 'only these products')
    .option('--hosts <labels...>', 'only hosts with these labels: env=prod,site=east; one host is host=NAME')
    .option('--expires <duration>', 'how long it works: 12h, 30d; without it, until it is revoked');
  apiCommand(create, context, async (api, options: CommonOptions & { role: string; product?: string[]; hosts?: string[]; expires?: string }, name: string) => {
    const { role, product = [], hosts = [], expires } = options;
    const scope = product.length + hosts.length === 0 ? null : { products: product, hosts };
    const created = await api.post<KeyCreated>('/api/keys', { body: { name, role: knownRole(role), scope, expiresSeconds: expires === undefined ? null : secondsOf(expires, '--expires') } });
    if (options.json) return printJson(context, created);
    if (created.text === null) throw new CommandFailure(exitCodes.failed, `the key ${created.id} was made, but its text was lost on the way`, `revoke it and make another one: fairlead keys revoke ${created.id}`);
    context.out(`${created.text}\n`);
    context.note(`key ${created.id} (${created.name}, ${created.role}, ${scopeText(created.scope)}); it is not shown again`);
  });

  const rotate = keys.command('rotate').description('give a key another text, shown this once; the old one works for 24 hours still').argument('<id>').option('--end-old', 'every older text ends now');
  apiCommand(rotate, context, async (api, options: CommonOptions & { endOld?: boolean }, id: string) => {
    const rotated = await api.post<KeyRotated>(`/api/keys/${encodeURIComponent(id)}/rotate`, { body: options.endOld ? { graceSeconds: 0 } : {} });
    if (options.json) return printJson(context, rotated);
    if (rotated.text === null) throw new CommandFailure(exitCodes.failed, `key ${rotated.id} was rotated, but its text was lost on the way`, `the old text works until ${rotated.previousEndsAt}; once more: fairlead keys rotate ${rotated.id} --end-old`);
    context.out(`${rotated.text}\n`);
    context.note(`key ${rotated.id} (${rotated.name}, ${rotated.role}); the old text ${options.endOld ? 'opens nothing any more' : `works until ${rotated.previousEndsAt}`}`);
  });

  apiCommand(keys.command('list').description('all API keys, masked'), context, async (api, options: CommonOptions) => {
    const list: KeyList = { keys: (await everyPage<KeyList>(api, '/api/keys')).flatMap(({ keys }) => keys), nextAfter: null };
    if (options.json) return printJson(context, list);
    const rows = list.keys.flatMap((key) => {
      const ends = key.revokedAt === null ? (key.expiresAt ?? '-') : `revoked ${key.revokedAt}`;
      const shown = [key.id, key.name, key.role, key.host === null ? scopeText(key.scope) : `host ${key.host}`, key.masked, key.createdAt, key.lastUsedAt ?? 'never', ends];
      return key.previous === null ? [shown] : [shown, ['', '', '', 'the text before', key.previous.masked, '', '', key.previous.endsAt]];
    });
    context.out(renderTable(['ID', 'NAME', 'ROLE', 'FOR', 'KEY', 'CREATED', 'USED', 'ENDS'], rows));
  });

  apiCommand(keys.command('revoke').description('from now on the key opens nothing, nor does its text before a rotation').argument('<id>'), context, async (api, options: CommonOptions, id: string) => {
    const revoked = await api.delete<KeyRevoked>(`/api/keys/${encodeURIComponent(id)}`);
    if (options.json) return printJson(context, revoked);
    context.out(`key ${revoked.id} is revoked\n`);
  });

  keys
    .command('text')
    .description("make a key's text without an API, for FAIRLEAD_ADMIN_KEY_FILE or an agent's key file")
    .option('--role <role>', keyRoles.join(', '), 'admin')
    .action((options: { role: string }) => {
      context.out(`${makeKeyText(knownRole(options.role))}\n`);
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

function knownRole(text: string): KeyRole {
  const role = keyRoles.find((each) => each === text);
  if (role === undefined) throw usageError(`--role is ${JSON.stringify(text)}: expected ${keyRoles.join(', ')}`);
  return role;
}
