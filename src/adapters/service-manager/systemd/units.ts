import { createHash } from 'node:crypto';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { InstanceName, ProductName, ServiceName } from '../../../domain/ids.ts';
import { shortNameOf, type InstanceRef, type InstanceSpec, type StopSpec } from '../../../ports/service-manager.ts';
import { isOwnAgent } from '../own-agent.ts';

/**
 * The text of the units, pure. A product is a target; each service is a template that is wanted by the target; what depends on the release that an
 * instance runs is a drop-in of the instance (systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5)).
 */
export interface UnitNames {
  readonly target: string;
  readonly template: string;
  readonly unit: string;
}

/** On a real host `powernode-backend@default.service`. Hosts in directories of their own share the machine's systemd, so that theirs begin with a hash of the directory. */
export function unitNames(root: string, ref: InstanceRef): UnitNames {
  const prefix = root === '/' ? '' : `h${createHash('sha256').update(root).digest('hex').slice(0, 8)}-`;
  const service = `${prefix}${ref.product}-${ref.service}`;
  return { target: `${prefix}${ref.product}.target`, template: `${service}@.service`, unit: `${service}@${shortNameOf(ref)}.service` };
}

/** Where systemd looks for each of them, and what makes instance and target start with the machine, as `systemctl enable` would write it. */
export function unitFiles(unitDir: string, names: UnitNames) {
  const dropInDir = `${unitDir}/${names.unit}.d`;
  const wantsDir = `${unitDir}/${names.target}.wants`;
  const bootDir = `${unitDir}/multi-user.target.wants`;
  return {
    target: `${unitDir}/${names.target}`,
    template: `${unitDir}/${names.template}`,
    dropInDir,
    dropIn: `${dropInDir}/${dropInName}`,
    wantsDir,
    wanted: `${wantsDir}/${names.unit}`,
    bootDir,
    bootWanted: `${bootDir}/${names.target}`,
  };
}

export const dropInName = '50-fairlead.conf';

/** Which release an invocation of the unit was started from: `<invocation id> <releaseId>`, written by the unit itself at each start. */
export const invocationFile = (root: string, { product, instance }: Pick<InstanceRef, 'product' | 'instance'>): string => `${hostLayout(root, product).runtimeDir}/${instance}.invocation`;

/** The first line of a generated file. Two pairs of product and service can make one unit name (`a-b` and `c`, `a` and `b-c`): this tells them apart. */
export const ownerLine = (root: string, product: ProductName, service?: ServiceName): string => `# fairlead: ${service === undefined ? product : `${product}/${service}`} of ${root}`;

export function renderTarget(root: string, { product }: Pick<InstanceRef, 'product'>): string {
  return lines(
    ownerLine(root, product),
    '# Written by Fairlead. Yours goes into a drop-in beside it: systemctl edit.',
    '[Unit]',
    `Description=${product}: all instances on this host`,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  );
}

/** Everything that instances of a service have in common. It starts nothing by itself: the command is in the drop-in of each instance. */
export function renderTemplate(root: string, ref: Pick<InstanceRef, 'product' | 'service'>, names: Pick<UnitNames, 'target'>): string {
  const layout = hostLayout(root, ref.product);
  // A `%` of the root must not become a specifier, and `%i` must: so it is put in afterwards.
  const perInstance = (pathOf: (instance: InstanceName) => string) => escapeSpecifiers(pathOf(`${ref.service}-\u0000` as InstanceName)).replaceAll('\u0000', '%i');
  // As the unit that `fairlead host install` writes, it is not shut in: it writes units, releases (its own among them) and configuration, and runs the hooks of releases.
  const isAgent = isOwnAgent(ref);
  return lines(
    ownerLine(root, ref.product, ref.service),
    '# Written by Fairlead; each instance has its command and release in a drop-in. Yours goes into another one: systemctl edit.',
    '[Unit]',
    `Description=${ref.product} ${ref.service} (%i)`,
    `PartOf=${names.target}`,
    // Order only: what brings the network up is wanted by those who need it.
    'After=network-online.target',
    ...(isAgent ? ['StartLimitIntervalSec=0'] : ['StartLimitIntervalSec=60s', 'StartLimitBurst=5']),
    '',
    '[Service]',
    'Type=exec',
    `EnvironmentFile=-${perInstance(layout.configFile)}`,
    // A file, not the journal: evidence and recovery need it where journald is away, and it drops lines above its rate limit.
    `StandardOutput=append:${perInstance(layout.logFile)}`,
    'StandardError=inherit',
    `Restart=${isAgent ? 'always' : 'on-failure'}`,
    'RestartSec=2s',
    // What many runtimes exit with when they are told to end by SIGTERM.
    'SuccessExitStatus=143',
    // The main process is asked to end; what it leaves behind, in whatever session, is killed.
    ...(isAgent ? ['KillMode=process'] : ['KillMode=mixed', ...sandboxOf(root, ref.product)]),
    '',
    '[Install]',
    `WantedBy=${names.target}`,
  );
}

/** What an instance can do without. Not MemoryDenyWriteExecute=, which breaks every just-in-time compiler, V8's too; not ProtectHome=, where many have their Node. */
function sandboxOf(root: string, product: ProductName): string[] {
  const below = (...directories: string[]) => directories.some((directory) => root === directory || root.startsWith(`${directory}/`));
  return [
    'NoNewPrivileges=yes',
    // A /tmp of its own would hide a host that lies there.
    ...(below('/tmp', '/var/tmp') ? [] : ['PrivateTmp=yes']),
    'ProtectSystem=full',
    ...(below('/usr', '/boot', '/efi', '/etc') ? [`ReadWritePaths=${quoteWord(root)}`] : []),
    // A release stays what its digests say.
    `ReadOnlyPaths=${quoteWord(`-${hostLayout(root, product).releasesDir}`)}`,
    'ProtectKernelTunables=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelLogs=yes',
    'ProtectControlGroups=yes',
    'ProtectClock=yes',
    'ProtectHostname=yes',
    'LockPersonality=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    // Node asks netlink for the network interfaces.
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'SystemCallArchitectures=native',
  ];
}

/** Notes which release this start is of. Where the note cannot be written (a full disk) the instance starts all the same. */
const noteScript = 'umask 077; printf "%s %s\\n" "$INVOCATION_ID" "$1" >"$2.new" && mv -f "$2.new" "$2"';

/**
 * What depends on the release.
 * @param command argv whose first word is an absolute path
 * @param env what the instance gets beside its conf file, which wins
 */
export function renderDropIn(root: string, spec: InstanceSpec, command: readonly string[], env: Readonly<Record<string, string>>): string {
  const [program = '', ...rest] = command;
  return lines(
    ownerLine(root, spec.product, spec.service),
    `# ${spec.instance} on release ${spec.releaseId}. Written by Fairlead at each start that it asks for.`,
    '[Service]',
    `WorkingDirectory=${escapeSpecifiers(spec.releaseDir)}`,
    ...Object.entries(env).map(([name, value]) => `Environment=${quoteWord(`${name}=${value}`)}`),
    `ExecStartPre=-+/bin/sh -c ${[noteScript, noteName, spec.releaseId, invocationFile(root, spec)].map(quoteArgument).join(' ')}`,
    `ExecStart=${[quoteWord(program), ...rest.map(quoteArgument)].join(' ')}`,
    ...stopSettings(spec),
  );
}

/** argv[0] of the note's shell. */
const noteName = 'fairlead-note';

const stopSettings = ({ stopSignal, stopSeconds }: Pick<StopSpec, 'stopSignal' | 'stopSeconds'>): string[] => [
  `KillSignal=${stopSignal}`,
  // Zero would mean no limit.
  `TimeoutStopSec=${Math.max(1, Math.round(stopSeconds * 1000))}ms`,
];

/** The drop-in with another way to stop; null where it has that one already. */
export function withStopSettings(dropIn: string, spec: Pick<StopSpec, 'stopSignal' | 'stopSeconds'>): string | null {
  const kept = dropIn.split('\n').filter((line) => line !== '' && !/^(KillSignal|TimeoutStopSec)=/.test(line));
  const next = lines(...kept, ...stopSettings(spec));
  return next === dropIn ? null : next;
}

/** `%` begins a specifier in most settings (systemd.unit(5), Specifiers). */
const escapeSpecifiers = (text: string): string => text.replaceAll('%', '%%');

/** One word, whatever it holds (systemd.syntax(7), Quoting). */
export function quoteWord(text: string): string {
  const plain = /^[\w@+=:,./%-]+$/;
  const escaped = escapeSpecifiers(text);
  if (plain.test(escaped)) return escaped;
  return `"${escaped.replaceAll(/["\\]/g, '\\$&').replaceAll(/[\u0000-\u001f\u007f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`;
}

/** One word of a command line after the program: there `$` begins a variable (systemd.service(5), Command Lines). */
const quoteArgument = (text: string): string => quoteWord(text.replaceAll('$', '$$$$'));

const lines = (...all: string[]): string => `${all.join('\n')}\n`;
