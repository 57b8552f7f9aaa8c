import { agentLayout } from '../domain/host/layout.ts';
import { FairleadError } from '../domain/failure.ts';
import type { Role } from '../domain/product/manifest.ts';
import { composeSettings } from './config/sections.ts';
import type { ConfigProblem, LoadedSettings, Settings, SettingValue } from './config/settings.ts';
import { readConfigFile, readEnvironmentFile, readFlags, type ReadFile } from './config/sources.ts';
import { check, masked, nonEmpty, quoted } from './config/values.ts';
import { settingTable } from './setting.ts';
import type { SettingDeclaration, SettingKey } from './setting.ts';

export type * from './config/settings.ts';
export type { ReadFile } from './config/sources.ts';

/**
 * Reads the settings: flags win over the environment, the environment over the configuration file, the file over the defaults.
 *
 * `--env-file`, else `FAIRLEAD_ENV_FILE`, names a file of `NAME=value` lines (dotenv, as Node's `util.parseEnv` reads them). It stands for what the environment does
 * not say, and must exist unless a `-` stands before its path, as in systemd's `EnvironmentFile=`.
 * The file is `--config`, else `FAIRLEAD_CONFIG` (both must exist), else `<root>/etc/fairlead/config.yaml` where there is one.
 * Looks at nothing but its arguments, so the same arguments give the same answer. An environment variable that is set and empty
 * counts as not set.
 *
 * @param onlyRole the role of a program that can be no other: it holds where nobody says one, and another is the one problem that is told; null for a program that is both.
 * @param argv flags only: `--role node` or `--role=node`
 * @returns the settings, or every problem there is
 */
export function loadSettings(env: Readonly<Record<string, string | undefined>>, argv: readonly string[], readFile: ReadFile, onlyRole: Role | null = null): LoadedSettings {
  const problems: ConfigProblem[] = [];
  const flags = readFlags(argv, problems);
  const { path: envFile, values: fromFile } = readEnvironmentFile(flags, env, readFile, problems);
  const named = flags.get('--config') ?? nonEmpty(env['FAIRLEAD_CONFIG']) ?? nonEmpty(fromFile['FAIRLEAD_CONFIG']);
  const namedBy = flags.has('--config') ? '--config' : 'FAIRLEAD_CONFIG';
  const root = flags.get('--root') ?? nonEmpty(env['FAIRLEAD_ROOT']) ?? nonEmpty(fromFile['FAIRLEAD_ROOT']) ?? '/';
  const configFile = named ?? `${agentLayout(root).configDir}/config.yaml`;
  const file = readConfigFile(configFile, named === undefined ? null : namedBy, readFile, problems);

  const raw = new Map<SettingKey, SettingValue>();
  for (const setting of settingTable) {
    const flag = flags.get(setting.flag);
    const variable = nonEmpty(env[setting.env]);
    const written = nonEmpty(fromFile[setting.env]);
    const line = file.get(setting.key);
    const found =
      flag !== undefined ? { text: flag, source: setting.flag } : variable !== undefined ? { text: variable, source: setting.env } : written !== undefined ? { text: written, source: `${envFile}: ${setting.env}` } : (line ?? { text: null, source: 'default' });
    if (found.text !== null) {
      const wrong = check(setting.kind, found.text);
      if (flag !== undefined && masked(setting, found.text) !== found.text) problems.push({ where: setting.flag, message: `holds a secret, and every user of the machine can read the arguments of a process: set ${setting.env}, or write it into a file` });
      if (wrong !== null) problems.push({ where: found.source, message: `${setting.key} is ${quoted(setting, found.text)}: ${wrong}` });
    }
    raw.set(setting.key, { key: setting.key, ...found });
  }
  // The sections are put together even from a wrong value, so that one answer names what is wrong and what is missing.
  const settings = composeSettings(raw, file.size === 0 && named === undefined ? null : configFile, problems, onlyRole ?? 'controller');
  if (onlyRole !== null && settings.role !== onlyRole) return { ok: false, problems: [otherRole(settings, onlyRole)] };
  return problems.length === 0 ? { ok: true, settings } : { ok: false, problems };
}

function otherRole({ role, values }: Settings, onlyRole: Role): ConfigProblem {
  const where = values.find(({ key }) => key === 'role')?.source ?? 'role';
  return { where, message: `role is ${role}, and this program is a ${onlyRole}'s: it can be nothing else. Say --role ${onlyRole}, or start the ${role}'s artifact` };
}

/** As `loadSettings`, for entry points. @throws FairleadError `config_invalid`, whose message lists every problem. */
export function settingsOrThrow(env: Readonly<Record<string, string | undefined>>, argv: readonly string[], readFile: ReadFile, onlyRole: Role | null = null): Settings {
  const loaded = loadSettings(env, argv, readFile, onlyRole);
  if (loaded.ok) return loaded.settings;
  throw new FairleadError({
    class: 'request',
    code: 'config_invalid',
    message: ['the configuration is not valid:', ...loaded.problems.map(({ where, message }) => `  ${where}: ${message}`)].join('\n'),
    hint: '`fairlead config show` prints every setting and where it comes from',
  });
}

/** The section, or an error that says which role has it. */
export function section<Name extends 'control' | 'api' | 'host'>(settings: Settings, name: Name): NonNullable<Settings[Name]> {
  const found = settings[name];
  if (found === null) {
    throw new FairleadError({
      class: 'request',
      code: 'wrong_role',
      message: `this process is the ${name} part, which role ${settings.role} does not have`,
      hint: `start it with --role ${name === 'host' ? 'node' : 'controller'}`,
    });
  }
  return found as NonNullable<Settings[Name]>;
}

/** The value as it may be shown: secrets masked. Null where nothing is set. */
export function shownValue(value: SettingValue): string | null {
  const declared: SettingDeclaration | undefined = settingTable.find(({ key }) => key === value.key);
  return value.text === null ? null : masked(declared, value.text);
}
