import type { HealingPolicy } from '../../domain/host/healing.ts';
import type { ServiceManagerKind } from '../../domain/host/state.ts';
import type { HostId } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { SettingKey } from '../setting.ts';

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
  /** Where traces go; null where none are made. */
  readonly otlpEndpoint: string | null;
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
  /** Addresses and networks of proxies whose word about the client is taken. */
  readonly trustedProxies: readonly string[];
  readonly audit: AuditSettings;
  /** The service that does the updates instead; without a trailing slash. Null where this one does. */
  readonly updater: { readonly url: string; readonly tokenFile: string } | null;
  /** Per minute and copy of the API; null is no limit. */
  readonly rateLimits: { readonly perKey: number | null; readonly perAddress: number | null; readonly failures: number | null };
  readonly outgoingAllow: readonly string[];
  /** Where traces go; null where none are made. */
  readonly otlpEndpoint: string | null;
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
  /** Where traces go; null where none are made. */
  readonly otlpEndpoint: string | null;
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
