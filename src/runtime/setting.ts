/**
 * The table of every setting: what it is called in the environment, on the command line and in the configuration file, how its text is
 * read, and what holds where nobody said anything. `config.ts` reads by it, `docs/configuration.md` is printed from it.
 */
export type SettingKind =
  | { readonly type: 'text'; readonly pattern?: RegExp; readonly expected?: string }
  | { readonly type: 'choice'; readonly of: readonly string[] }
  | { readonly type: 'switch' }
  | { readonly type: 'integer'; readonly min: number; readonly max: number; readonly unit: string }
  | { readonly type: 'address' }
  | { readonly type: 'url'; readonly schemes: readonly string[] }
  | { readonly type: 'path' };

export interface SettingDeclaration {
  /** Dotted path in the configuration file. */
  readonly key: string;
  readonly env: string;
  readonly flag: string;
  readonly kind: SettingKind;
  /** `yes` hides the value, `password` only the password within a URL. */
  readonly secret?: 'yes' | 'password';
  readonly about: string;
  /** What the documentation says of the value that holds without one; the rule itself is in `config.ts`. */
  readonly otherwise: string;
}

const row = (key: string, env: string, flag: string, kind: SettingKind, about: string, otherwise: string, secret?: 'yes' | 'password'): SettingDeclaration => ({
  key, env, flag, kind, about, otherwise, ...(secret === undefined ? {} : { secret }),
});

const http = ['http', 'https'] as const;

export const settingTable = [
  row('role', 'FAIRLEAD_ROLE', '--role', { type: 'choice', of: ['controller', 'node'] }, 'What this process is: the control plane, or a host that it deploys to.', 'controller'),
  row('profile', 'FAIRLEAD_PROFILE', '--profile', { type: 'choice', of: ['local', 'remote'] }, 'A set of defaults: `local` for one machine, `remote` for a control plane that other machines reach.', 'local'),
  row('features.scheduler', 'FAIRLEAD_SCHEDULER', '--scheduler', { type: 'switch' }, 'Whether schedules (release checks, renewals) are kept.', 'off in profile local, on in profile remote'),
  row('scheduler.certificateSeconds', 'FAIRLEAD_CERTIFICATE_SECONDS', '--certificate-seconds', { type: 'integer', min: 1, max: 86_400, unit: 'seconds' }, 'With features.scheduler: how often every certificate is looked at, and those that are due are renewed.', '3600'),
  row('scheduler.releaseSeconds', 'FAIRLEAD_RELEASE_SECONDS', '--release-seconds', { type: 'integer', min: 1, max: 86_400, unit: 'seconds' }, 'With features.scheduler: how often newer releases are looked for, and done about them what the update policies say.', '900'),
  row('features.recovery', 'FAIRLEAD_RECOVERY', '--recovery', { type: 'switch' }, 'Whether runs that a dead process left behind are looked for at the start.', 'on'),
  row('api.url', 'FAIRLEAD_API_URL', '--controller', { type: 'url', schemes: http }, 'Where hosts and people reach the controller. A node cannot do without it.', 'http:// and api.listen on a controller; none on a node'),
  row('api.listen', 'FAIRLEAD_API_LISTEN', '--api-listen', { type: 'address' }, 'Where the API listens.', '127.0.0.1:8420'),
  row('api.key', 'FAIRLEAD_API_KEY', '--api-key', { type: 'text' }, 'The key that a node shows to its controller. Prefer the file: an environment can be read by others.', 'read from api.keyFile', 'yes'),
  row('api.keyFile', 'FAIRLEAD_API_KEY_FILE', '--api-key-file', { type: 'path' }, 'The file that holds the key, 0600.', '<root>/etc/fairlead/agent.key on a node'),
  row('api.adminKeyFile', 'FAIRLEAD_ADMIN_KEY_FILE', '--admin-key-file', { type: 'path' }, 'A file with an admin key that the API registers when it starts.', 'none'),
  row('api.agentKeysDir', 'FAIRLEAD_AGENT_KEYS_DIR', '--agent-keys-dir', { type: 'path' }, 'A directory of <host>.key files: agent keys that the API registers when it starts.', 'none'),
  row('api.rateLimitPerKey', 'FAIRLEAD_RATE_LIMIT_PER_KEY', '--rate-limit-per-key', { type: 'integer', min: 0, max: 10_000_000, unit: 'requests a minute' }, 'How often a key may ask each copy of the API; a fifth of it at once. 0 is no limit. Health and metrics are never limited by it.', '3000'),
  row('api.rateLimitPerAddress', 'FAIRLEAD_RATE_LIMIT_PER_ADDRESS', '--rate-limit-per-address', { type: 'integer', min: 0, max: 10_000_000, unit: 'requests a minute' }, 'How often an address may ask each copy of the API, whatever its keys; a fifth of it at once. 0 is no limit.', '60000: room for 1,000 hosts behind one address'),
  row('api.rateLimitFailures', 'FAIRLEAD_RATE_LIMIT_FAILURES', '--rate-limit-failures', { type: 'integer', min: 0, max: 1_000_000, unit: 'failures a minute' }, 'How often an address, or keys that begin alike, may fail to authenticate before no key is looked up for them. Keys that were good within an hour are. 0 is no limit.', '30'),
  row('api.trustedProxies', 'FAIRLEAD_TRUSTED_PROXIES', '--trusted-proxies', { type: 'text', expected: 'addresses and networks with commas between them, such as 10.1.0.0/16', pattern: /^[0-9A-Fa-f.:/,]+$/ }, "Proxies in front of the API: from these, and no others, X-Forwarded-For is believed, so that limits and the audit name the client and not the proxy. Name every proxy on the way, and nothing that a client could come from.", 'none: the client is who connects'),
  row('audit.keyFile', 'FAIRLEAD_AUDIT_KEY_FILE', '--audit-key-file', { type: 'path' }, 'The key that signs checkpoints of the audit: Ed25519, PKCS#8 in PEM, 0600; the same on every copy of the API. Keep the public half, and copies of checkpoints, where the administrator of the database does not write.', 'none: no checkpoints, and a cut tail is missed only by the database itself'),
  row('audit.checkpointRows', 'FAIRLEAD_AUDIT_CHECKPOINT_ROWS', '--audit-checkpoint-rows', { type: 'integer', min: 1, max: 1_000_000, unit: 'rows' }, 'After how many new rows of the audit the next checkpoint is signed.', '1000'),
  row('audit.checkpointSeconds', 'FAIRLEAD_AUDIT_CHECKPOINT_SECONDS', '--audit-checkpoint-seconds', { type: 'integer', min: 1, max: 86_400, unit: 'seconds' }, 'After how long the next checkpoint is signed at the latest, where there are new rows. One is signed at the end of the process as well.', '300'),
  row('updater.url', 'FAIRLEAD_UPDATER_URL', '--updater-url', { type: 'url', schemes: http }, 'An updater service that does the updates instead of Fairlead: /api/updates/* asks it, for the same clients with the same keys.', 'none: Fairlead does them'),
  row('updater.tokenFile', 'FAIRLEAD_UPDATER_TOKEN_FILE', '--updater-token-file', { type: 'path' }, "The file that holds the token for it, 0600. Read again when it changes; no client ever sees it.", 'none'),
  row('outgoing.allow', 'FAIRLEAD_OUTGOING_ALLOW', '--outgoing-allow', { type: 'text', expected: 'addresses and networks with commas between them, such as 169.254.10.0/24', pattern: /^[0-9A-Fa-f.:/,]+$/ }, 'Addresses that gates and metrics may be asked at although they are link-local, a metadata service, unspecified or multicast.', 'none'),
  row('temporal.address', 'FAIRLEAD_TEMPORAL_ADDRESS', '--temporal-address', { type: 'address' }, 'The Temporal frontend, host:port.', "127.0.0.1:7233 in profile local; the controller's host with port 7233 on a node"),
  row('temporal.namespace', 'FAIRLEAD_TEMPORAL_NAMESPACE', '--temporal-namespace', { type: 'text', pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$/, expected: 'a namespace name of 2 to 64 letters, digits, dots, dashes' }, 'The Temporal namespace.', 'default'),
  row('temporal.uiUrl', 'FAIRLEAD_TEMPORAL_UI_URL', '--temporal-ui-url', { type: 'url', schemes: http }, "The Temporal Web UI, for the links in the API's answers.", 'none: answers carry no such link'),
  row('temporal.codecKeyFile', 'FAIRLEAD_TEMPORAL_CODEC_KEY_FILE', '--temporal-codec-key-file', { type: 'path' }, 'The keys that payloads are encrypted with before Temporal gets them: one `ID SECRET` on each line (32 bytes or more in base64), the first seals, every one opens. The same on every controller and every host, 0600.', 'none: payloads lie in Temporal as they are'),
  row('temporal.codec', 'FAIRLEAD_TEMPORAL_CODEC', '--temporal-codec', { type: 'switch' }, 'With temporal.codecKeyFile, on a controller: whether payloads are encrypted, or only opened; off while the keys are brought to hosts and controllers. A host answers as it was asked.', 'on'),
  row('gateway.listen', 'FAIRLEAD_GATEWAY_LISTEN', '--gateway-listen', { type: 'address' }, "Where the API's process offers hosts their way to Temporal. With it, hosts need none to Temporal itself.", 'none: hosts need `host.temporal` direct'),
  row('gateway.tls', 'FAIRLEAD_GATEWAY_TLS', '--gateway-tls', { type: 'switch' }, 'Whether hosts and gateway speak TLS. Without it both ends have to be on loopback.', 'on'),
  row('gateway.certificateFile', 'FAIRLEAD_GATEWAY_CERTIFICATE_FILE', '--gateway-certificate-file', { type: 'path' }, "The gateway's certificate and its chain, PEM. Read anew every minute.", 'none'),
  row('gateway.keyFile', 'FAIRLEAD_GATEWAY_KEY_FILE', '--gateway-key-file', { type: 'path' }, 'The private key that belongs to it, PEM, 0600.', 'none'),
  row('gateway.sealKeyFile', 'FAIRLEAD_GATEWAY_SEAL_KEY_FILE', '--gateway-seal-key-file', { type: 'path' }, 'The keys that seal task tokens to hosts: one `ID SECRET` on each line (32 bytes or more in base64), the first seals, every one opens. The same on every copy of the API, 0600.', '<root>/etc/fairlead/gateway-seal.keys on a controller'),
  row('gateway.address', 'FAIRLEAD_GATEWAY_ADDRESS', '--gateway-address', { type: 'address' }, 'Where a node finds the gateway.', "the controller's host with port 8422 on a node"),
  row('gateway.caFile', 'FAIRLEAD_GATEWAY_CA_FILE', '--gateway-ca-file', { type: 'path' }, "Who may vouch for the gateway's certificate, PEM.", 'those that Node trusts'),
  row('database.url', 'FAIRLEAD_DATABASE_URL', '--database-url', { type: 'url', schemes: ['postgres', 'postgresql'] }, 'PostgreSQL. A controller cannot do without it.', 'none', 'password'),
  row('settings.keyFile', 'FAIRLEAD_SETTINGS_KEY_FILE', '--settings-key-file', { type: 'path' }, 'The keys that settings (`fairlead settings`) are sealed with in PostgreSQL: one `ID SECRET` on each line (32 bytes or more in base64), the first seals, every one opens. The same on every copy of the API and of control, 0600. Read anew whenever it is used.', '<root>/etc/fairlead/settings.keys on a controller'),
  row('settings.keys', 'FAIRLEAD_SETTINGS_KEYS', '--settings-keys', { type: 'text' }, 'The same keys themselves, with commas between them. Prefer the file: an environment can be read by others.', 'read from settings.keyFile', 'yes'),
  row('artifacts.dir', 'FAIRLEAD_ARTIFACTS_DIR', '--artifacts-dir', { type: 'path' }, 'Where the controller keeps published bundles.', '<root>/var/lib/fairlead/artifacts'),
  row('host.id', 'FAIRLEAD_HOST_ID', '--host-id', { type: 'text', pattern: /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, expected: 'a name of at most 63 lower-case letters, digits, dots, dashes, underscores' }, "This host's name in the fleet. A node cannot do without it.", 'none'),
  row('host.role', 'FAIRLEAD_HOST_ROLE', '--host-role', { type: 'choice', of: ['controller', 'node'] }, 'What the machine is in the fleet: which artifact of a release it gets, and that nodes come after it where it is a controller.', 'node'),
  row('host.root', 'FAIRLEAD_ROOT', '--root', { type: 'path' }, "The prefix of every path of this host; a directory of its own makes a development host.", '/'),
  row('host.temporal', 'FAIRLEAD_HOST_TEMPORAL', '--host-temporal', { type: 'choice', of: ['gateway', 'direct'] }, 'How a node reaches Temporal: through the gateway, which lets it do its own work only, or straight at temporal.address, which lets it do everything; that is for development.', 'gateway'),
  row('host.ports', 'FAIRLEAD_PORTS', '--ports', { type: 'choice', of: ['manifest', 'free'] }, 'Whether instances and router use the ports of the product manifest, or free ones that are chosen once and kept.', 'manifest'),
  row('host.router', 'FAIRLEAD_ROUTER', '--router', { type: 'choice', of: ['auto', 'nginx', 'embedded'] }, 'What stands in front of the instances; `auto` takes nginx where it is installed.', 'auto'),
  row('host.services', 'FAIRLEAD_SERVICES', '--services', { type: 'choice', of: ['embedded', 'systemd', 'openrc', 'compose'] }, 'What runs the instances: the machine\'s own service manager, or `embedded`, plain processes that the agent starts.', 'embedded'),
  row('host.composeImage', 'FAIRLEAD_COMPOSE_IMAGE', '--compose-image', { type: 'text', expected: 'the name of an image', pattern: /^[a-z0-9][A-Za-z0-9._\/:@-]{0,254}$/ }, 'Where host.services is `compose`: the image that instances run in, unless their release carries an image.tar. It has to have the programs that the product needs.', 'none'),
  row('host.routerAddress', 'FAIRLEAD_ROUTER_ADDRESS', '--router-address', { type: 'text', expected: 'an IPv4 address', pattern: /^\d{1,3}(\.\d{1,3}){3}$/ }, 'Where routers listen for clients: 0.0.0.0, or 127.0.0.1 where the ports are free ones.', '0.0.0.0 or 127.0.0.1'),
  row('host.healthListen', 'FAIRLEAD_HEALTH_LISTEN', '--health-listen', { type: 'address' }, "Where the agent's own health endpoint listens. Loopback only.", '127.0.0.1:8421'),
  row('host.superviseSeconds', 'FAIRLEAD_SUPERVISE_SECONDS', '--supervise-seconds', { type: 'integer', min: 1, max: 3_600, unit: 'seconds' }, 'How often the agent looks whether the host still is what it is meant to be.', '15'),
  row('host.heal', 'FAIRLEAD_HEAL', '--heal', { type: 'choice', of: ['report', 'heal'] }, 'Whether what differs from what is meant is only reported, or put right as well where that is safe: modes of configuration files by the agent, the rest by a run of the active release, once an hour at most.', 'heal'),
  row('host.deadManSlackSeconds', 'FAIRLEAD_DEAD_MAN_SLACK_SECONDS', '--dead-man-slack-seconds', { type: 'integer', min: 10, max: 3_600, unit: 'seconds' }, "While Fairlead updates itself here: how much longer than its steps take a run may not be heard of before the host takes itself back to the last good release. Longer than controller and Temporal are away when they restart.", '60'),
  row('worker.workflowTaskTimeoutMs', 'FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS', '--workflow-task-timeout-ms', { type: 'integer', min: 500, max: 60_000, unit: 'ms' }, 'How long a step of deciding that a killed control worker had begun waits before another one takes it.', '5000'),
  row('worker.stickyTimeoutMs', 'FAIRLEAD_STICKY_TIMEOUT_MS', '--sticky-timeout-ms', { type: 'integer', min: 100, max: 60_000, unit: 'ms' }, 'How long the cached workflows of a control worker that died wait before another one takes them.', '5000'),
  row('worker.healthListen', 'FAIRLEAD_WORKER_HEALTH_LISTEN', '--worker-health-listen', { type: 'address' }, 'Where a control worker says on /health that it is at work. Loopback only.', 'none: it says so nowhere'),
  row('telemetry.otlpEndpoint', 'OTEL_EXPORTER_OTLP_ENDPOINT', '--otlp-endpoint', { type: 'url', schemes: http }, "An OpenTelemetry collector (OTLP over HTTP) that gets traces: from a request to the API through the workflow to what each host does. `/v1/traces` is added. The same on controllers and hosts; a collector that is away or slow delays nothing, and what it does not take is dropped. OpenTelemetry's own variables hold beside it, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_TRACES_SAMPLER.", 'none: no traces are made'),
  row('log.level', 'FAIRLEAD_LOG_LEVEL', '--log-level', { type: 'choice', of: ['trace', 'debug', 'info', 'warn', 'error', 'silent'] }, 'The least important lines that are still written.', 'info'),
] as const satisfies readonly SettingDeclaration[];

export type SettingKey = (typeof settingTable)[number]['key'];
