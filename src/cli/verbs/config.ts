import type { Command } from 'commander';
import { loadSettings, shownValue } from '../../runtime/config.ts';
import type { Settings } from '../../runtime/config.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { exitCodes } from '../errors.ts';
import { renderTable } from '../table.ts';
import { readIfThere } from './serve.ts';

export function registerConfig(program: Command, context: Context): void {
  const config = program.command('config').description('the settings of `serve`, from flags, environment and file');
  const verb = (name: string, description: string, show: (settings: Settings, json: boolean) => void): void => {
    config
      .command(name)
      .description(description)
      .option('--json', 'print JSON')
      .allowUnknownOption()
      .allowExcessArguments()
      .argument('[settings...]', 'flags as for `serve`')
      .action((argv: string[], options: { json?: boolean }) => {
        const loaded = loadSettings(context.env, argv, readIfThere);
        if (loaded.ok) return show(loaded.settings, options.json === true);
        if (options.json) printJson(context, { ok: false, problems: loaded.problems });
        for (const { where, message } of loaded.problems) context.note(`${where}: ${message}`);
        context.note(`${loaded.problems.length} ${loaded.problems.length === 1 ? 'problem' : 'problems'}; docs/configuration.md lists every setting`);
        context.exitWith(exitCodes.usage);
      });
  };
  verb('validate', 'says whether `serve` would start with them', (settings, json) => {
    if (json) printJson(context, { ok: true, role: settings.role, problems: [] });
    else context.out(`valid: role ${settings.role}, profile ${settings.profile}${settings.configFile === null ? '' : `, file ${settings.configFile}`}\n`);
  });
  verb('show', 'every setting and where it comes from; secrets masked', (settings, json) => {
    const rows = settings.values.map((value) => ({ setting: value.key, value: shownValue(value), source: value.source }));
    if (json) printJson(context, { role: settings.role, configFile: settings.configFile, settings: rows });
    else context.out(renderTable(['SETTING', 'VALUE', 'FROM'], rows.map(({ setting, value, source }) => [setting, value ?? '-', value === null ? '-' : source])));
  });
}
