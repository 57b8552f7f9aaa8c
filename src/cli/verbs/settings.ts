import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { Setting, SettingList, SettingsRotated, SettingUnset } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { exitCodes, usageError } from '../errors.ts';
import { renderPairs, renderTable } from '../table.ts';
import { apiCommand, everyPage } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerSettings(program: Command, context: Context): void {
  const settings = program.command('settings').description("control's secrets, sealed in the database; what is set is never shown again");
  const pathOf = (name: string): string => `/api/settings/${encodeURIComponent(name)}`;

  const set = settings.command('set').description('seal a value; it is read from standard input or a file, never from the arguments, which every user of the machine can read').argument('<name>', 'for example bearer.https@prometheus.internal:9090').option('--file <file>', 'the file that holds the value; - is standard input', '-');
  apiCommand(set, context, async (api, options: CommonOptions & { file: string }, name: string) => {
    const value = await valueOf(options.file, context);
    const setting = await api.put<Setting>(pathOf(name), { body: { value } });
    if (options.json) return printJson(context, setting);
    context.out(`${setting.name} is set (${setting.masked}), sealed by key ${setting.keyId}\n`);
  });

  apiCommand(settings.command('list').description('all settings, masked'), context, async (api, options: CommonOptions) => {
    const list = { settings: (await everyPage<SettingList>(api, '/api/settings')).flatMap(({ settings }) => settings), nextAfter: null };
    if (options.json) return printJson(context, list);
    context.out(renderTable(['NAME', 'VALUE', 'KEY', 'SET', 'BY'], list.settings.map(({ name, masked, keyId, setAt, setBy, problem }) => [name, masked ?? problem?.code ?? '-', keyId, setAt, setBy])));
    if (list.settings.length === 0) context.note('no settings');
    for (const { problem } of list.settings) if (problem !== null) context.note(`${problem.message}${problem.hint === null ? '' : `\n  ${problem.hint}`}`);
    if (list.settings.some(({ problem }) => problem !== null)) context.exitWith(exitCodes.failed);
  });

  apiCommand(settings.command('show').description('one setting, masked').argument('<name>'), context, async (api, options: CommonOptions, name: string) => {
    const setting = await api.get<Setting>(pathOf(name));
    if (options.json) return printJson(context, setting);
    context.out(renderPairs([['name', setting.name], ['value', setting.masked ?? '-'], ['sealed by key', setting.keyId], ['set', setting.setAt], ['by', setting.setBy]]));
    if (setting.problem === null) return;
    context.note(`${setting.problem.message}${setting.problem.hint === null ? '' : `\n  ${setting.problem.hint}`}`);
    context.exitWith(exitCodes.failed);
  });

  apiCommand(settings.command('unset').description('remove a setting').argument('<name>'), context, async (api, options: CommonOptions, name: string) => {
    const unset = await api.delete<SettingUnset>(pathOf(name));
    if (options.json) return printJson(context, unset);
    context.out(`${unset.name} is not set any more\n`);
  });

  apiCommand(settings.command('rotate').description('seal everything anew with the first key of the key file; after that the older keys can go'), context, async (api, options: CommonOptions) => {
    const rotated = await api.post<SettingsRotated>('/api/settings/rotate');
    if (options.json) return printJson(context, rotated);
    context.out(`sealed by key ${rotated.keyId}: ${rotated.resealed.length} anew, ${rotated.already} already\n`);
  });
}

/** Without the newline that an editor or `echo` puts at its end. */
async function valueOf(file: string, { cwd, note, terminal }: Context): Promise<string> {
  if (file === '-' && terminal && process.stdin.isTTY) note('type or paste the value, then Ctrl-D');
  const text = file === '-' ? await textOf(process.stdin) : await readFile(resolve(cwd, file), 'utf8');
  const value = text.replace(/\r?\n$/, '');
  if (value === '') throw usageError(`${file === '-' ? 'standard input' : file} is empty`, 'fairlead settings set NAME < FILE');
  return value;
}
