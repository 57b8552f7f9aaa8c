import { parseEnv } from 'node:util';
import { parseDocument } from 'yaml';
import { isNetwork } from '../domain/access/outgoing.ts';
import type { HostId } from '../domain/ids.ts';
import { agentLayout } from '../domain/host/layout.ts';
import type { HealingPolicy } from '../domain/host/healing.ts';
import type { Role } from '../domain/product/manifest.ts';
import { FairleadError } from '../domain/failure.ts';
import { maskPassword, maskSecret } from './mask.ts';
import { settingTable } from './setting.ts';
import type { SettingDeclaration, SettingKey, SettingKind } from './setting.ts';
import type { ServiceManagerKind } from '../domain/host/state.ts';

/** A host and a port; port 0 asks for a free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface TemporalSettings {
  /** host:port of the frontend. */
  readonly address: string;
  readonly namespace: string;
  readonly uiUrl: string | null;
  /** What payloads are encrypted with; null where they are not. `seals`: whether what is sent is encrypted, or only what comes opened. */
  readonly codec: { readonly keyFile: string; readonly seals: boolean } | null;
}

/** Where the keys of the sealed settings are: the file, or, where it is given, the text. */
export interface SettingsKeySettings {
  readonly file: string;
  readonly text: string | null;
}

/** Where the API's process offers hosts the gateway. */
export interface GatewaySettings {
  readonly listen: Address;
  /** Null without encryption, on loopback. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null;
  readonly sealKeyFile: string;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
export type Profile = 'local' | 'remote';

/** What `workers/control.ts` needs. */
export interface ControlSettings {
  readonly profile: Profile;
  readonly features: { readonly scheduler: boolean; readonly recovery: boolean };
  /** How often the schedule looks at every certificate. Seconds. */
  readonly certificateSweepSeconds: number;
  /** How often the schedule looks for newer releases. Seconds. */
  readonly releaseCheckSeconds: number;
  readonly temporal: TemporalSettings;
  readonly databaseUrl: string;
  readonly settingsKeys: SettingsKeySettings;
  readonly artifactsDir: string;
  /** Where hosts reach the API; without a trailing slash. */
  readonly apiUrl: string;
  readonly stickyTimeoutMs: number;
  /** Null has it say nowhere that it is at work. */
  readonly healthListen: Address | null;
  /** Addresses and networks that may be asked although they are refused otherwise. */
  readonly outgoingAllow: readonly string[];
  readonly logLevel: LogLevel;
}

/** Who signs the audit, and how often. */
export interface AuditSettings {
  /** Ed25519, PEM; null where no checkpoints are signed. */
  readonly keyFile: string | null;
  readonly checkpointRows: number;
  readonly checkpointSeconds: number;
}

/** What `workers/api.ts` needs. */
export interface ApiSettings {
  readonly listen: Address;
  /** Where people and hosts reach it; without a trailing slash. */
  readonly url: string;
  readonly temporal: TemporalSettings;
  readonly workflowTaskTimeoutMs: number;
  readonly databaseUrl: string;
  readonly settingsKeys: SettingsKeySettings;
  readonly artifactsDir: string;
  /** Holds an admin key to register at the start, or null. */
  readonly adminKeyFile: string | null;
  /** Holds `<host>.key` files: agent keys to register at the start, or null. */
  readonly agentKeysDir: string | null;
  /** Null where hosts reach Temporal without it. */
  readonly gateway: GatewaySettings | null;
  /** Per minute and copy of the API; null is no limit. */
  /** Addresses and networks of proxies whose word about the client is taken. */
  readonly trustedProxies: readonly string[];
  readonly audit: AuditSettings;
  /** The service that does the updates instead; without a trailing slash. Null where this one does. */
  readonly updater: { readonly url: string; readonly tokenFile: string } | null;
  readonly rateLimits: { readonly perKey: number | null; readonly perAddress: number | null; readonly failures: number | null };
  readonly outgoingAllow: readonly string[];
  readonly logLevel: LogLevel;
}

/** What `workers/host.ts` needs. */
export interface HostSettings {
  readonly hostId: HostId;
  /** What the machine is in the fleet; the process itself is a node's either way. */
  readonly hostRole: Role;
  /** Prefix of every path of this host: absolute, without a trailing slash unless `/`. */
  readonly root: string;
  /** The controller's API; without a trailing slash. */
  readonly apiUrl: string;
  /** The key for the API, as it was given; null where it stands in `apiKeyFile`. */
  readonly apiKey: string | null;
  readonly apiKeyFile: string;
  readonly temporal: TemporalSettings;
  /** The way to Temporal, or null for the straight one to `temporal.address`. `tls` is null without encryption, on loopback. */
  readonly gateway: { readonly address: string; readonly tls: { readonly caFile: string | null } | null } | null;
  readonly ports: 'manifest' | 'free';
  readonly router: 'auto' | 'nginx' | 'embedded';
  /** What runs the instances. */
  readonly services: ServiceManagerKind;
  /** With services `compose`: the image of instances whose release has none of its own. */
  readonly composeImage: string | null;
  /** Where the routers of this host's products listen for clients. */
  readonly routerAddress: string;
  readonly healthListen: Address;
  /** How often the agent looks whether the host is what it is meant to be. Seconds. */
  readonly superviseSeconds: number;
  readonly heal: HealingPolicy;
  /** How long, beyond what its steps take, an update of Fairlead itself may not be heard of before the host takes itself back. Seconds. */
  readonly deadManSlackSeconds: number;
  readonly outgoingAllow: readonly string[];
  readonly logLevel: LogLevel;
}

/** Where a value came from: `--role`, `FAIRLEAD_ROLE`, `/etc/fairlead/config.yaml:3`, `default`. */
export interface SettingValue {
  readonly key: SettingKey;
  readonly text: string | null;
  readonly source: string;
}

export interface Settings {
  readonly role: Role;
  readonly profile: Profile;
  readonly configFile: string | null;
  /** Every setting with its source, in the table's order; for `config show`, through `shownValue`. */
  readonly values: readonly SettingValue[];
  /** Sections are made only for the role that uses them. */
  readonly control: ControlSettings | null;
  readonly api: ApiSettings | null;
  readonly host: HostSettings | null;
}

export interface ConfigProblem {
  /** `FAIRLEAD_ROLE`, `--role`, `/etc/fairlead/config.yaml:3`, or the setting that is missing. */
  readonly where: string;
  readonly message: string;
}

export type LoadedSettings = { readonly ok: true; readonly settings: Settings } | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Gives the text of a file, or null where there is none. Other errors are thrown and become a problem. */
export type ReadFile = (path: string) => string | null;

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
  const settings = compose(raw, file.size === 0 && named === undefined ? null : configFile, problems, onlyRole ?? 'controller');
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

function readFlags(argv: readonly string[], problems: ConfigProblem[]): Map<string, string> {
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

function readEnvironmentFile(flags: Map<string, string>, env: Readonly<Record<string, string | undefined>>, readFile: ReadFile, problems: ConfigProblem[]): { path: string | null; values: Readonly<Record<string, string | undefined>> } {
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

function readConfigFile(path: string, namedBy: string | null, readFile: ReadFile, problems: ConfigProblem[]): Map<SettingKey, { text: string | null; source: string }> {
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

function compose(raw: Map<SettingKey, SettingValue>, configFile: string | null, problems: ConfigProblem[], defaultRole: Role): Settings {
  const settle = (key: SettingKey, value: string | null, source = 'default'): string | null => {
    const given = raw.get(key);
    if (given !== undefined && given.text !== null) return given.text;
    raw.set(key, { key, text: value, source });
    return value;
  };
  const required = (key: SettingKey, why: string): string => {
    const given = raw.get(key)?.text ?? null;
    if (given !== null) return given;
    const declared = settingTable.find((setting) => setting.key === key)!;
    problems.push({ where: key, message: `${why}. Give ${declared.flag} VALUE, set ${declared.env}, or write ${key.replaceAll('.', ': { ')}: VALUE${key.includes('.') ? ' }' : ''} in the configuration file` });
    return '';
  };
  const role = settle('role', defaultRole) as Role;
  const profile = settle('profile', 'local') as Profile;
  const features = { scheduler: isOn(settle('features.scheduler', profile === 'remote' ? 'on' : 'off')), recovery: isOn(settle('features.recovery', 'on')) };
  const certificateSweepSeconds = Number(settle('scheduler.certificateSeconds', '3600'));
  const releaseCheckSeconds = Number(settle('scheduler.releaseSeconds', '900'));
  const root = withoutSlash(settle('host.root', '/') ?? '/') || '/';
  const logLevel = settle('log.level', 'info') as LogLevel;
  const listen = addressOf(settle('api.listen', '127.0.0.1:8420') ?? '');

  const url =
    role === 'node'
      ? required('api.url', "a node has to know its controller's address, and none is given")
      : (settle('api.url', `http://${listen.host === '0.0.0.0' ? '127.0.0.1' : listen.host}:${listen.port}`, 'default, from api.listen') ?? '');
  const apiUrl = withoutSlash(url);
  const temporalAddress =
    role === 'node' && apiUrl !== '' && URL.canParse(apiUrl)
      ? (settle('temporal.address', `${new URL(apiUrl).hostname}:7233`, 'default, from api.url') ?? '')
      : profile === 'remote'
        ? required('temporal.address', 'profile remote has no default for the Temporal server')
        : (settle('temporal.address', '127.0.0.1:7233') ?? '');
  const temporal: TemporalSettings = {
    address: temporalAddress,
    namespace: settle('temporal.namespace', 'default') ?? 'default',
    uiUrl: settle('temporal.uiUrl', null)?.replace(/\/+$/, '') ?? null,
    codec: codecSettings(settle),
  };
  const stickyTimeoutMs = Number(settle('worker.stickyTimeoutMs', '5000'));
  const workflowTaskTimeoutMs = Number(settle('worker.workflowTaskTimeoutMs', '5000'));
  const ports = settle('host.ports', 'manifest') as HostSettings['ports'];
  const router = settle('host.router', 'auto') as HostSettings['router'];
  const services = settle('host.services', 'embedded') as HostSettings['services'];
  const composeImage = settle('host.composeImage', null);
  // Development hosts share a machine and are nobody else's business; a real host serves its clients.
  const routerAddress = settle('host.routerAddress', ports === 'free' ? '127.0.0.1' : '0.0.0.0') ?? '';
  const healthListen = addressOf(settle('host.healthListen', '127.0.0.1:8421') ?? '');
  const superviseSeconds = Number(settle('host.superviseSeconds', '15'));
  const heal = settle('host.heal', 'heal') as HealingPolicy;
  const deadManSlackSeconds = Number(settle('host.deadManSlackSeconds', '60'));

  const networksOf = (key: SettingKey, example: string): string[] => {
    const networks = (settle(key, null) ?? '').split(',').filter((network) => network !== '');
    for (const network of networks) if (!isNetwork(network)) problems.push({ where: raw.get(key)?.source ?? key, message: `${key} names ${JSON.stringify(network)}: expected an address, or a network such as ${example}` });
    return networks;
  };
  const outgoingAllow = networksOf('outgoing.allow', '169.254.10.0/24');
  const trustedProxies = networksOf('api.trustedProxies', '10.1.0.0/16');
  const audit: AuditSettings = { keyFile: settle('audit.keyFile', null), checkpointRows: Number(settle('audit.checkpointRows', '1000')), checkpointSeconds: Number(settle('audit.checkpointSeconds', '300')) };
  const limitOf = (key: SettingKey, otherwise: string): number | null => Number(settle(key, otherwise)) || null;
  const rateLimits = { perKey: limitOf('api.rateLimitPerKey', '3000'), perAddress: limitOf('api.rateLimitPerAddress', '60000'), failures: limitOf('api.rateLimitFailures', '30') };

  const loopbackOnly = (key: SettingKey, { host: at }: Address, whose: string): void => {
    if (at === '' || isLoopback(at)) return;
    problems.push({ where: raw.get(key)?.source ?? key, message: `${key} is ${at}: ${whose} health endpoint has no keys and listens on loopback only (127.0.0.0/8, ::1, localhost)` });
  };

  let control: ControlSettings | null = null;
  let api: ApiSettings | null = null;
  let host: HostSettings | null = null;
  if (role === 'node') {
    const hostId = required('host.id', 'a node has to have a name in the fleet, and none is given') as HostId;
    const apiKeyFile = settle('api.keyFile', agentLayout(root).agentKeyFile) ?? '';
    const hostRole = settle('host.role', 'node') as Role;
    const gateway = settle('host.temporal', 'gateway') === 'direct' ? null : nodeGateway(apiUrl, settle, problems);
    host = { hostId, hostRole, root, apiUrl, apiKey: settle('api.key', null), apiKeyFile, temporal, gateway, ports, router, services, composeImage, routerAddress, healthListen, superviseSeconds, heal, deadManSlackSeconds, outgoingAllow, logLevel };
    loopbackOnly('host.healthListen', healthListen, "the agent's");
  } else {
    const gateway = controllerGateway(agentLayout(root).configDir, settle, required, problems);
    const databaseUrl = required('database.url', 'a controller keeps its runs and its audit in PostgreSQL, and none is given');
    const artifactsDir = settle('artifacts.dir', `${root === '/' ? '' : root}/var/lib/fairlead/artifacts`) ?? '';
    const settingsKeys = { file: settle('settings.keyFile', `${agentLayout(root).configDir}/settings.keys`) ?? '', text: settle('settings.keys', null) };
    const workerHealth = settle('worker.healthListen', null);
    const workerHealthListen = workerHealth === null ? null : addressOf(workerHealth);
    if (workerHealthListen !== null) loopbackOnly('worker.healthListen', workerHealthListen, "the control worker's");
    control = { profile, features, certificateSweepSeconds, releaseCheckSeconds, temporal, databaseUrl, settingsKeys, artifactsDir, apiUrl, stickyTimeoutMs, healthListen: workerHealthListen, outgoingAllow, logLevel };
    api = { listen, url: apiUrl, temporal, workflowTaskTimeoutMs, databaseUrl, settingsKeys, artifactsDir, adminKeyFile: settle('api.adminKeyFile', null), agentKeysDir: settle('api.agentKeysDir', null), gateway, rateLimits, trustedProxies, audit, updater: updaterOf(settle, required), outgoingAllow, logLevel };
  }
  return { role, profile, configFile, values: settingTable.map(({ key }) => raw.get(key) ?? { key, text: null, source: 'default' }), control, api, host };
}

function updaterOf(settle: Settle, required: (key: SettingKey, why: string) => string): ApiSettings['updater'] {
  const url = settle('updater.url', null);
  return url === null ? null : { url: withoutSlash(url), tokenFile: required('updater.tokenFile', 'the updater is asked with a token, and none is given') };
}

type Settle = (key: SettingKey, value: string | null, source?: string) => string | null;

function codecSettings(settle: Settle): TemporalSettings['codec'] {
  const keyFile = settle('temporal.codecKeyFile', null);
  const seals = isOn(settle('temporal.codec', 'on'));
  return keyFile === null ? null : { keyFile, seals };
}

function nodeGateway(apiUrl: string, settle: Settle, problems: ConfigProblem[]): HostSettings['gateway'] {
  const host = URL.canParse(apiUrl) ? new URL(apiUrl).hostname : '';
  const address = settle('gateway.address', host === '' ? null : `${host}:${gatewayPort}`, 'default, from api.url') ?? '';
  const caFile = settle('gateway.caFile', null);
  if (isOn(settle('gateway.tls', 'on'))) return { address, tls: { caFile } };
  if (address !== '' && !isLoopback(addressOf(address).host)) problems.push({ where: 'gateway.tls', message: `is off, and the gateway is at ${address}: the host's key would go over the network as it is. Without TLS only loopback will do` });
  return { address, tls: null };
}

function controllerGateway(configDir: string, settle: Settle, required: (key: SettingKey, why: string) => string, problems: ConfigProblem[]): GatewaySettings | null {
  const text = settle('gateway.listen', null);
  if (text === null) return null;
  const listen = addressOf(text);
  const sealKeyFile = settle('gateway.sealKeyFile', `${configDir}/gateway-seal.keys`) ?? '';
  if (isOn(settle('gateway.tls', 'on'))) {
    const why = 'hosts show their keys to the gateway, which needs a certificate for that';
    return { listen, tls: { certificateFile: required('gateway.certificateFile', why), keyFile: required('gateway.keyFile', why) }, sealKeyFile };
  }
  if (listen.host !== '' && !isLoopback(listen.host)) problems.push({ where: 'gateway.tls', message: `is off, and the gateway listens on ${listen.host}: hosts' keys would go over the network as they are. Without TLS only loopback will do` });
  return { listen, tls: null, sealKeyFile };
}

/** Null where `text` is fine, else what is expected instead. */
function check(kind: SettingKind, text: string): string | null {
  switch (kind.type) {
    case 'text':
      return kind.pattern === undefined || kind.pattern.test(text) ? null : `expected ${kind.expected ?? 'another text'}`;
    case 'choice':
      return kind.of.includes(text) ? null : `expected one of ${kind.of.join(', ')}`;
    case 'switch':
      return /^(on|off|true|false|1|0)$/.test(text) ? null : 'expected on or off';
    case 'integer': {
      const fits = /^\d{1,9}$/.test(text) && Number(text) >= kind.min && Number(text) <= kind.max;
      return fits ? null : `expected a whole number of ${kind.unit} from ${kind.min} to ${kind.max}`;
    }
    case 'address': {
      const { host, port } = addressOf(text);
      return host !== '' && port >= 0 && port <= 65_535 ? null : 'expected host:port, for example 127.0.0.1:7233';
    }
    case 'url': {
      const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : '';
      return kind.schemes.includes(scheme) ? null : `expected a URL that starts with ${kind.schemes.map((name) => `${name}://`).join(' or ')}`;
    }
    case 'path':
      return text.startsWith('/') ? null : 'expected an absolute path';
  }
}

function addressOf(text: string): Address {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text);
  return match === null ? { host: '', port: -1 } : { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}

function quoted(setting: SettingDeclaration, text: string): string {
  return JSON.stringify(masked(setting, text));
}

function masked(setting: SettingDeclaration | undefined, text: string): string {
  return setting?.secret === 'yes' ? maskSecret(text) : setting?.secret === 'password' ? maskPassword(text) : text;
}

const gatewayPort = 8422;
const isOn = (text: string | null): boolean => text === 'on' || text === 'true' || text === '1';
const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
const nonEmpty = (text: string | undefined): string | undefined => (text === undefined || text === '' ? undefined : text);
const withoutSlash = (text: string): string => text.replace(/\/+$/, '');
