import { join } from 'node:path';
import { agentCommand, agentEnvironment } from '../agent-command.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { ProcessPlan } from '../processes.ts';
import type { DevLayout } from './layout.ts';
import { devMark, devProcessMark } from './takeover.ts';

/** The addresses that the processes of a development instance find each other by. */
export interface DevAddresses {
  readonly api: { readonly host: string; readonly port: number; readonly url: string };
  readonly temporal: { readonly address: string; readonly namespace: string; readonly uiUrl: string | null };
  readonly databaseUrl: string;
  /** Where hosts reach Temporal, host:port; null where they go straight to the server. */
  readonly gateway: { readonly address: string } | null;
}

export interface PlanContext {
  readonly layout: DevLayout;
  readonly addresses: DevAddresses;
  /** The checkout. */
  readonly repository: string;
  /** What the processes get beside their settings: this process's environment without settings of its own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly logLevel: string;
}

/** The environment without Fairlead's settings and Node's options: what was meant for this process is not meant for its children. */
export function neutralEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && !/^(FAIRLEAD_|NODE_OPTIONS$|NODE_CHANNEL_)/.test(entry[0])));
}

export const marks = (layout: DevLayout, name: string): Record<string, string> => ({ [devMark]: layout.dir, [devProcessMark]: name });

const node = (...argv: string[]): string[] => [process.execPath, '--disable-warning=ExperimentalWarning', ...argv];

export function controlPlan(context: PlanContext, entry = 'workers/control.ts'): ProcessPlan {
  return controllerProcess('control', entry, context, 35_000);
}

export function apiPlan(context: PlanContext): ProcessPlan {
  return controllerProcess('api', 'workers/api.ts', context, 15_000);
}

/**
 * @param role what the host is in the fleet
 * @param agentFile the agent as one file
 */
export function agentPlan(context: PlanContext, host: string, role: Role, agentFile: string): ProcessPlan {
  const { layout, addresses } = context;
  const name = `agent-${host}`;
  return {
    name,
    command: agentCommand(agentFile),
    env: {
      ...common(context, name),
      ...agentEnvironment,
      FAIRLEAD_ROLE: 'node',
      FAIRLEAD_HOST_ID: host,
      FAIRLEAD_HOST_ROLE: role,
      FAIRLEAD_ROOT: layout.hostRoot(host),
      FAIRLEAD_API_URL: addresses.api.url,
      ...(addresses.gateway === null
        ? { FAIRLEAD_HOST_TEMPORAL: 'direct', FAIRLEAD_TEMPORAL_ADDRESS: addresses.temporal.address }
        : { FAIRLEAD_HOST_TEMPORAL: 'gateway', FAIRLEAD_GATEWAY_ADDRESS: addresses.gateway.address, FAIRLEAD_GATEWAY_TLS: 'off' }),
      FAIRLEAD_PORTS: 'free',
      FAIRLEAD_ROUTER: context.environment['FAIRLEAD_ROUTER'] ?? 'auto',
      FAIRLEAD_HEALTH_LISTEN: '127.0.0.1:0',
    },
    logFile: layout.logFile(name),
    stopSignal: 'SIGTERM',
    // Longer than the agent gives the activities that it still works on.
    stopLimitMs: 30_000,
  };
}

function controllerProcess(name: string, entry: string, context: PlanContext, stopLimitMs: number): ProcessPlan {
  const { layout, addresses, repository } = context;
  return {
    name,
    command: node(join(repository, entry)),
    env: {
      ...common(context, name),
      FAIRLEAD_ROLE: 'controller',
      FAIRLEAD_ROOT: layout.dir,
      FAIRLEAD_DATABASE_URL: addresses.databaseUrl,
      FAIRLEAD_SETTINGS_KEY_FILE: layout.settingsKeyFile,
      FAIRLEAD_ARTIFACTS_DIR: layout.artifactsDir,
      FAIRLEAD_API_LISTEN: `${addresses.api.host}:${addresses.api.port}`,
      FAIRLEAD_API_URL: addresses.api.url,
      FAIRLEAD_ADMIN_KEY_FILE: layout.adminKeyFile,
      FAIRLEAD_AGENT_KEYS_DIR: layout.agentKeysDir,
      FAIRLEAD_AUDIT_KEY_FILE: layout.auditKeyFile,
      FAIRLEAD_TEMPORAL_ADDRESS: addresses.temporal.address,
      ...(addresses.gateway === null ? {} : { FAIRLEAD_GATEWAY_LISTEN: addresses.gateway.address, FAIRLEAD_GATEWAY_TLS: 'off', FAIRLEAD_GATEWAY_SEAL_KEY_FILE: layout.gatewaySealKeyFile }),
    },
    logFile: layout.logFile(name),
    stopSignal: 'SIGTERM',
    stopLimitMs,
  };
}

function common({ layout, addresses, environment, logLevel }: PlanContext, name: string): Record<string, string> {
  return {
    ...environment,
    ...marks(layout, name),
    FAIRLEAD_PROFILE: 'local',
    FAIRLEAD_LOG_LEVEL: logLevel,
    FAIRLEAD_TEMPORAL_NAMESPACE: addresses.temporal.namespace,
    ...(addresses.temporal.uiUrl === null ? {} : { FAIRLEAD_TEMPORAL_UI_URL: addresses.temporal.uiUrl }),
  };
}
