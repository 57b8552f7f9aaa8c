import { isNetwork } from '../../domain/access/outgoing.ts';
import type { HealingPolicy } from '../../domain/host/healing.ts';
import { agentLayout } from '../../domain/host/layout.ts';
import type { HostId } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import { settingTable, type SettingKey } from '../setting.ts';
import type { Address, ApiSettings, AuditSettings, ConfigProblem, ControlSettings, GatewaySettings, HostSettings, LogLevel, Profile, Settings, SettingValue, TemporalSettings } from './settings.ts';
import { addressOf, isLoopback, isOn, withoutSlash } from './values.ts';

const gatewayPort = 8422;

/** Gives what was said, else `value`, which is noted with its source. */
type Settle = (key: SettingKey, value: string | null, source?: string) => string | null;

/**
 * Puts the sections together from what was said, and from defaults where nothing was; those are noted in `raw`.
 * @param problems gets what is missing, and what does not go together
 */
export function composeSettings(raw: Map<SettingKey, SettingValue>, configFile: string | null, problems: ConfigProblem[], defaultRole: Role): Settings {
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
  const otlpEndpoint = settle('telemetry.otlpEndpoint', null);
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
    host = { hostId, hostRole, root, apiUrl, apiKey: settle('api.key', null), apiKeyFile, temporal, gateway, ports, router, services, composeImage, routerAddress, healthListen, superviseSeconds, heal, deadManSlackSeconds, outgoingAllow, otlpEndpoint, logLevel };
    loopbackOnly('host.healthListen', healthListen, "the agent's");
  } else {
    const gateway = controllerGateway(agentLayout(root).configDir, settle, required, problems);
    const databaseUrl = required('database.url', 'a controller keeps its runs and its audit in PostgreSQL, and none is given');
    const artifactsDir = settle('artifacts.dir', `${root === '/' ? '' : root}/var/lib/fairlead/artifacts`) ?? '';
    const settingsKeys = { file: settle('settings.keyFile', `${agentLayout(root).configDir}/settings.keys`) ?? '', text: settle('settings.keys', null) };
    const workerHealth = settle('worker.healthListen', null);
    const workerHealthListen = workerHealth === null ? null : addressOf(workerHealth);
    if (workerHealthListen !== null) loopbackOnly('worker.healthListen', workerHealthListen, "the control worker's");
    control = { profile, features, certificateSweepSeconds, releaseCheckSeconds, temporal, databaseUrl, settingsKeys, artifactsDir, apiUrl, stickyTimeoutMs, healthListen: workerHealthListen, outgoingAllow, otlpEndpoint, logLevel };
    api = { listen, url: apiUrl, temporal, workflowTaskTimeoutMs, databaseUrl, settingsKeys, artifactsDir, adminKeyFile: settle('api.adminKeyFile', null), agentKeysDir: settle('api.agentKeysDir', null), gateway, rateLimits, trustedProxies, audit, updater: updaterOf(settle, required), outgoingAllow, otlpEndpoint, logLevel };
  }
  return { role, profile, configFile, values: settingTable.map(({ key }) => raw.get(key) ?? { key, text: null, source: 'default' }), control, api, host };
}

function updaterOf(settle: Settle, required: (key: SettingKey, why: string) => string): ApiSettings['updater'] {
  const url = settle('updater.url', null);
  return url === null ? null : { url: withoutSlash(url), tokenFile: required('updater.tokenFile', 'the updater is asked with a token, and none is given') };
}

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
