import { parseEnv } from 'node:util';
import { parseDocument } from 'yaml';
import { settingTable, type SettingKey } from '../setting.ts';
import type { ConfigProblem } from './settings.ts';
import { nonEmpty } from './values.ts';

/** Gives the text of a file, or null where there is none. Other errors are thrown and become a problem. */
export type ReadFile = (path: string) => string | null;

/** Of `--role node` and `--role=node` alike. */
export function readFlags(argv: readonly string[], problems: ConfigProblem[]): Map<string, string> {
  const known = new Set<string>(['--config', '--env-file', ...settingTable.map(({ flag }) => flag)]);
  const flags = new Map<string, string>();
  for (let at = 0; at < argv.length; at += 1) {
    const [name = '', ...rest] = (argv[at] ?? '').split('=');
    if (!known.has(name)) {
      problems.push({ where: name, message: `is no flag of this command; known are ${[...known].join(' ')}` });
      continue;
    }
    const value = rest.length > 0 ? rest.join('=') : argv[++at];
    if (value === undefined || (rest.length === 0 && value.startsWith('--'))) {
      problems.push({ where: name, message: 'needs a value' });
      if (value !== undefined) at -= 1;
    } else flags.set(name, value);
  }
  return flags;
}

/** The file that `--env-file` or FAIRLEAD_ENV_FILE names; `path` is null where none does. */
export function readEnvironmentFile(flags: Map<string, string>, env: Readonly<Record<string, string | undefined>>, readFile: ReadFile, problems: ConfigProblem[]): { path: string | null; values: Readonly<Record<string, string | undefined>> } {
  const given = flags.get('--env-file') ?? nonEmpty(env['FAIRLEAD_ENV_FILE']) ?? null;
  if (given === null) return { path: null, values: {} };
  const path = given.replace(/^-/, '');
  try {
    const text = readFile(path);
    if (text !== null) return { path, values: parseEnv(text) };
    if (path === given) problems.push({ where: flags.has('--env-file') ? '--env-file' : 'FAIRLEAD_ENV_FILE', message: `names ${path}, which does not exist` });
  } catch (error) {
    problems.push({ where: path, message: `cannot be read: ${error instanceof Error ? error.message : String(error)}` });
  }
  return { path, values: {} };
}

/** Settings of the YAML file, each with its line. @param namedBy who says that the file is there; null where it need not be */
export function readConfigFile(path: string, namedBy: string | null, readFile: ReadFile, problems: ConfigProblem[]): Map<SettingKey, { text: string | null; source: string }> {
  const values = new Map<SettingKey, { text: string | null; source: string }>();
  let text: string | null;
  try {
    text = readFile(path);
  } catch (error) {
    problems.push({ where: path, message: `cannot be read: ${error instanceof Error ? error.message : String(error)}` });
    return values;
  }
  if (text === null) {
    if (namedBy !== null) problems.push({ where: namedBy, message: `names ${path}, which does not exist` });
    return values;
  }
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const document = parseDocument(text);
  for (const error of document.errors) problems.push({ where: `${path}:${lineOf(error.pos[0])}`, message: error.message.split('\n')[0] ?? error.code });
  if (document.errors.length > 0) return values;
  const known = new Map<string, SettingKey>(settingTable.map(({ key }) => [key, key]));
  const sections = new Set<string>(settingTable.map(({ key }) => key.split('.').slice(0, -1).join('.')));
  const visit = (node: unknown, prefix: string): void => {
    const items = (node as { items?: readonly { key: { value?: unknown; range?: readonly [number, ...unknown[]] }; value: unknown }[] } | null)?.items;
    if (items === undefined || !Array.isArray(items)) {
      if (node !== null) problems.push({ where: path, message: `${prefix === '' ? 'the file' : prefix} has to be a mapping of settings` });
      return;
    }
    for (const { key: keyNode, value } of items) {
      const key = prefix === '' ? String(keyNode?.value) : `${prefix}.${String(keyNode?.value)}`;
      const where = `${path}:${lineOf(keyNode?.range?.[0] ?? 0)}`;
      const setting = known.get(key);
      if (setting !== undefined) {
        const scalar = (value as { value?: unknown } | null)?.value;
        if (['string', 'number', 'boolean'].includes(typeof scalar)) values.set(setting, { text: String(scalar), source: where });
        else problems.push({ where, message: `${key} has to be a single value` });
      } else if (sections.has(key)) visit(value, key);
      else problems.push({ where, message: `${key} is no setting; docs/configuration.md lists them` });
    }
  };
  visit(document.contents, '');
  return values;
}
