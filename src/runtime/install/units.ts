import { createHash } from 'node:crypto';
import { quoteWord } from '../../adapters/service-manager/systemd/units.ts';
import { quoteForShell } from '../../domain/shell-word.ts';
import type { Role } from '../../domain/product/manifest.ts';

/** What runs Fairlead itself on a machine. */
export type InitSystem = 'systemd' | 'openrc';

export interface OwnService {
  readonly role: Role;
  /** Prefix of the host's paths, as in `hostLayout`. */
  readonly root: string;
  /** argv, whose first word is an absolute path. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** How long it may take to end when it is told to, in seconds. */
  readonly stopSeconds: number;
}

/** `fairlead-agent` or `fairlead-control`; for a host in a directory of its own with a hash of the directory in front, as its instances have. */
export function ownServiceName({ role, root }: Pick<OwnService, 'role' | 'root'>): string {
  const prefix = root === '/' ? '' : `h${createHash('sha256').update(root).digest('hex').slice(0, 8)}-`;
  return `${prefix}fairlead-${role === 'node' ? 'agent' : 'control'}`;
}

const describe = ({ role, root }: OwnService): string => `Fairlead ${role === 'node' ? 'agent' : 'control plane'}${root === '/' ? '' : ` of ${root}`}`;
const writtenBy = '# Written by fairlead host install, which writes it anew.';

/**
 * The unit of systemd. It is not shut in: an agent writes units, releases and configuration, and runs the hooks of releases.
 *
 * KillMode=process, because instances of the embedded service manager and the routers are children of the agent and outlive it.
 */
export function renderOwnUnit(service: OwnService): string {
  const node = service.role === 'node';
  return `${[
    `${writtenBy} Yours goes into a drop-in: systemctl edit ${ownServiceName(service)}.`,
    '[Unit]',
    `Description=${describe(service).replaceAll('%', '%%')}`,
    'Wants=network-online.target',
    'After=network-online.target',
    // Whatever made it end, it has to come back: nobody else brings the host back.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${service.command.map((word, at) => quoteWord(at === 0 ? word : word.replaceAll('$', '$$$$'))).join(' ')}`,
    ...Object.entries(service.environment).map(([name, value]) => `Environment=${quoteWord(`${name}=${value}`)}`),
    'Restart=always',
    'RestartSec=2s',
    'SuccessExitStatus=143',
    ...(node ? ['KillMode=process'] : ['KillMode=mixed']),
    `TimeoutStopSec=${service.stopSeconds}s`,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ].join('\n')}\n`;
}

/**
 * The init script of OpenRC (openrc-run(8), supervise-daemon(8)). supervise-daemon ends its child alone, so that instances and routers outlive the
 * agent.
 */
export function renderOwnInitScript(service: OwnService): string {
  const [program = '', ...rest] = service.command;
  const name = ownServiceName(service);
  // command_args is evaluated by a shell once more.
  const q = quoteForShell;
  return `${[
    '#!/sbin/openrc-run',
    `${writtenBy} Settings of yours go into /etc/conf.d/${name}.`,
    `name=${q(describe(service))}`,
    'supervisor=supervise-daemon',
    `command=${q(program)}`,
    `command_args=${q(rest.map(q).join(' '))}`,
    ...Object.entries(service.environment).map(([variable, value]) => `export ${variable}=${q(value)}`),
    `pidfile=${q(`/run/${name}.pid`)}`,
    `output_log=${q(`/var/log/${name}.log`)}`,
    `error_log=${q(`/var/log/${name}.log`)}`,
    'respawn_delay=2',
    'respawn_max=0',
    `retry=TERM/${service.stopSeconds}/KILL/5`,
    // What /etc/rc.conf may have OpenRC kill at a stop: whatever is left in the control group.
    ...(service.role === 'node' ? ['rc_cgroup_cleanup=no'] : []),
    '',
    'depend() {',
    '  use net dns',
    '  after firewall',
    '}',
  ].join('\n')}\n`;
}
