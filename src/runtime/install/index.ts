import { existsSync, readFileSync } from 'node:fs';
import { chmod, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseDocument } from 'yaml';
import { ensureDirectory, readIfThere, writeFileDurably } from '../../adapters/files/durable.ts';
import { FairleadError } from '../../domain/failure.ts';
import { agentLayout } from '../../domain/host/layout.ts';
import type { CommandRunner } from '../../ports/command-runner.ts';
import { agentCommand, agentEnvironment } from '../agent-command.ts';
import { loadSettings, type Settings } from '../config.ts';
import { findHome, lastingHome } from '../home.ts';
import { settingTable } from '../setting.ts';
import { ownServiceName, renderOwnInitScript, renderOwnUnit, type InitSystem, type OwnService } from './units.ts';

export interface InstallOptions {
  /** Null looks for the one that runs this machine. */
  readonly manager: InitSystem | null;
  /** Flags of `serve`: what is given is written into the configuration file, what is in the file already stays. */
  readonly argv: readonly string[];
  readonly commands: CommandRunner;
  /** Where systemd and OpenRC look; the machine's own by default. */
  readonly unitDir?: string;
  readonly initDir?: string;
  readonly runDir?: string;
}

export interface InstallStep {
  readonly what: string;
  readonly result: 'done' | 'unchanged';
}

export interface Installed {
  readonly service: string;
  readonly manager: InitSystem;
  readonly steps: readonly InstallStep[];
  /** What a person types next, with why. */
  readonly next: readonly { readonly command: string; readonly why: string }[];
}

/**
 * Makes Fairlead a service of this machine: its configuration file (0600), its unit or init script, enabled but not started. Asked twice, it
 * changes nothing.
 * @throws FairleadError `config_invalid` with every problem, before anything is written; `init_system_unknown`, `service_name_taken`, `install_failed`
 */
export async function installHost({ manager: wanted, argv, commands, unitDir = '/etc/systemd/system', initDir = '/etc/init.d', runDir = '/run' }: InstallOptions): Promise<Installed> {
  const manager = wanted ?? findInitSystem(runDir);
  const role = flagValue(argv, '--role') ?? 'node';
  const root = flagValue(argv, '--root') ?? '/';
  // The agent's is where every command looks; a control plane on the same machine must not share it.
  const configFile = flagValue(argv, '--config') ?? `${agentLayout(root).configDir}/${role === 'controller' ? 'control' : 'config'}.yaml`;
  const given = ['--role', role, ...without(without(argv, '--role'), '--config')];
  const first = load(given, configFile);
  const settings = first.role === 'node' && first.values.find(({ key }) => key === 'host.services')?.source === 'default' ? load([...given, '--services', manager], configFile) : first;
  const service = ownService(settings, root, configFile);
  const name = ownServiceName(service);
  const file = manager === 'systemd' ? join(unitDir, `${name}.service`) : join(initDir, name);
  const there = await readIfThere(file);
  if (there !== null && !there.includes('# Written by fairlead host install')) {
    throw new FairleadError({ class: 'host', code: 'service_name_taken', message: `${file} is there already and was not written by fairlead host install; it was left as it is.`, hint: `Move it away, and ask again.` });
  }
  const steps: InstallStep[] = [];
  const step = (what: string, changed: boolean): boolean => {
    steps.push({ what, result: changed ? 'done' : 'unchanged' });
    return changed;
  };
  const before = await readIfThere(configFile);
  const configured = step(`configuration ${configFile} (0600)`, await put(configFile, configText(before ?? '', settings), 0o600, 0o750));
  const text = manager === 'systemd' ? renderOwnUnit(service) : renderOwnInitScript(service);
  const written = step(`${manager === 'systemd' ? 'unit' : 'init script'} ${file}`, await put(file, text, manager === 'systemd' ? 0o644 : 0o755, 0o755));
  const enable = await enableService(manager, name, written, commands);
  step(`${name} starts with the machine`, enable);
  return { service: name, manager, steps, next: await nextSteps(manager, name, settings, configured || written, commands) };
}

/** The settings as the service will see them: from the file and the flags, with nothing of this environment. A file that is not there yet is empty. */
function load(argv: readonly string[], configFile: string): Settings {
  const loaded = loadSettings({ FAIRLEAD_CONFIG: configFile }, argv, (path) => (existsSync(path) ? readFileSync(path, 'utf8') : ''));
  if (loaded.ok) return loaded.settings;
  throw new FairleadError({ class: 'request', code: 'config_invalid', message: ['it would not start:', ...loaded.problems.map(({ where, message }) => `  ${where}: ${message}`)].join('\n'), hint: 'docs/configuration.md lists every setting; each is a flag of this command' });
}

function flagValue(argv: readonly string[], flag: string): string | null {
  const at = argv.findLastIndex((word) => word === flag || word.startsWith(`${flag}=`));
  if (at === -1) return null;
  return argv[at] === flag ? (argv[at + 1] ?? null) : (argv[at]?.slice(flag.length + 1) ?? null);
}

function without(argv: readonly string[], flag: string): string[] {
  return argv.filter((word, at) => word !== flag && argv[at - 1] !== flag && !word.startsWith(`${flag}=`));
}

function findInitSystem(runDir: string): InitSystem {
  // What sd_booted(3) asks, and what OpenRC makes once it runs.
  if (existsSync(join(runDir, 'systemd/system'))) return 'systemd';
  if (existsSync(join(runDir, 'openrc/softlevel'))) return 'openrc';
  throw new FairleadError({ class: 'request', code: 'init_system_unknown', message: `Neither systemd nor OpenRC runs this machine (there is neither ${runDir}/systemd/system nor ${runDir}/openrc/softlevel).`, hint: 'name the one that will: --manager systemd or --manager openrc' });
}

/** The agent is started as it is, without the watching parent that `serve` has: here the machine watches. */
function ownService(settings: Settings, root: string, configFile: string): OwnService {
  const base = { role: settings.role, root, stopSeconds: 45 };
  const found = findHome();
  if (found === null) throw new FairleadError({ class: 'host', code: 'home_unknown', message: 'There is no bin/fairlead beside this program, so that no unit could name it.', hint: 'Ask by the bin/fairlead of a release or of a checkout.' });
  // By `current`, where that is how this release is reached: the unit then starts whatever release Fairlead itself was updated to.
  const home = lastingHome(found);
  if (settings.role === 'node') return { ...base, command: agentCommand(home.agentEntry, ['--config', configFile]), environment: agentEnvironment };
  return { ...base, command: [home.command, 'serve', '--config', configFile], environment: {} };
}

/** The file with what was given by flags in it; comments and everything else of it stay. */
function configText(before: string, settings: Settings): string {
  const document = parseDocument(before);
  let changed = before === '';
  for (const { key, source, text } of settings.values) {
    const declared = settingTable.find((setting) => setting.key === key)!;
    if (source !== declared.flag || text === null) continue;
    const path = key.split('.');
    const value = declared.kind.type === 'integer' ? Number(text) : text;
    if (String(document.getIn(path) ?? '') === text) continue;
    document.setIn(path, value);
    changed = true;
  }
  return changed ? String(document) : before;
}

/** @returns whether something had to be changed */
async function put(file: string, text: string, mode: number, directoryMode: number): Promise<boolean> {
  if ((await readIfThere(file)) !== text) {
    await ensureDirectory(dirname(file), directoryMode);
    await writeFileDurably(file, text, mode);
    return true;
  }
  if (((await stat(file)).mode & 0o777) === mode) return false;
  await chmod(file, mode);
  return true;
}

async function enableService(manager: InitSystem, name: string, written: boolean, commands: CommandRunner): Promise<boolean> {
  const run = (...argv: string[]) => commands.run(argv, { timeoutMs: 30_000, env: { LC_ALL: 'C' } });
  const demand = async (...argv: string[]): Promise<void> => {
    const { exitCode, summary } = await run(...argv);
    if (exitCode !== 0) throw new FairleadError({ class: 'host', code: 'install_failed', message: `The files of ${name} are written, but it could not be enabled: ${summary}`, hint: 'This needs root. Asked again, it goes on from here.' }, { retryable: true });
  };
  if (manager === 'systemd') {
    if (written) await demand('systemctl', 'daemon-reload');
    if ((await run('systemctl', 'is-enabled', '--quiet', `${name}.service`)).exitCode === 0) return false;
    await demand('systemctl', 'enable', '--quiet', `${name}.service`);
    return true;
  }
  const shown = await run('rc-update', 'show', 'default');
  if (shown.exitCode === 0 && shown.stdout.split('\n').some((line) => line.split('|')[0]?.trim() === name)) return false;
  await demand('rc-update', 'add', name, 'default');
  return true;
}

async function nextSteps(manager: InitSystem, name: string, settings: Settings, changed: boolean, commands: CommandRunner): Promise<Installed['next'][number][]> {
  const next: { command: string; why: string }[] = [];
  const { host } = settings;
  if (host !== null && host.apiKey === null && (await readIfThere(host.apiKeyFile)) === null) {
    next.push({ command: `fairlead nodes enroll ${host.hostId}`, why: `on the controller; it prints what to type here to get this host's own key into ${host.apiKeyFile}` });
  }
  const runs = (await commands.run(manager === 'systemd' ? ['systemctl', 'is-active', '--quiet', `${name}.service`] : ['rc-service', name, 'status'], { timeoutMs: 10_000 })).exitCode === 0;
  const control = (verb: string) => (manager === 'systemd' ? `systemctl ${verb} ${name}` : `rc-service ${name} ${verb}`);
  if (!runs) next.push({ command: control('start'), why: 'it is not running' });
  else if (changed) next.push({ command: control('restart'), why: 'it still runs with what was before; instances run on' });
  return next;
}
