import { join } from 'node:path';

/** Where a development instance keeps its things. @param dir absolute */
export const devLayout = (dir: string) =>
  ({
    dir,
    stateFile: join(dir, 'dev.json'),
    clientFile: join(dir, 'client.json'),
    adminKeyFile: join(dir, 'admin.key'),
    publisherKeyFile: join(dir, 'publisher.key'),
    publisherPublicFile: join(dir, 'publisher.pub'),
    auditKeyFile: join(dir, 'audit.key'),
    auditPublicFile: join(dir, 'audit.pub'),
    gatewaySealKeyFile: join(dir, 'gateway-seal.keys'),
    settingsKeyFile: join(dir, 'settings.keys'),
    agentKeysDir: join(dir, 'agent-keys'),
    postgresDir: join(dir, 'postgres'),
    postgresPasswordFile: join(dir, 'postgres.password'),
    temporalFile: join(dir, 'temporal.db'),
    artifactsDir: join(dir, 'artifacts'),
    hostsDir: join(dir, 'hosts'),
    hostRoot: (host: string) => join(dir, 'hosts', host),
    logFile: (process: string) => join(dir, 'logs', `${process}.log`),
  }) as const;

export type DevLayout = ReturnType<typeof devLayout>;

/** `client.json`: by which commands find a development instance. No secret stands in it, only where they lie. */
export interface ClientFile {
  readonly apiUrl: string;
  readonly keyFile: string;
  readonly publisherKeyFile: string;
  readonly temporalUiUrl: string | null;
}
