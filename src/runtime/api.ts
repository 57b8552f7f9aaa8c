import * as fs from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Connection } from '@temporalio/client';
import { createApi } from '../api/index.ts';
import { createFilesystemArtifactStore } from '../adapters/artifact-store/filesystem.ts';
import { inspectBundle } from '../adapters/bundle/inspect.ts';
import { errnoOf, readIfThere } from '../adapters/files/durable.ts';
import { createLogger, type Logger } from '../adapters/logger.ts';
import { createDatabase, createStores, migrate, pingDatabase, type Stores } from '../adapters/postgres/index.ts';
import { createTemporalRunStarter } from '../adapters/temporal/run-starter.ts';
import { FairleadError } from '../domain/failure.ts';
import type { RunId } from '../domain/ids.ts';
import { section, type ApiSettings } from './config.ts';
import { enter, stopOnSignal } from './entry.ts';
import { untilAvailable } from './until-available.ts';
import { version } from './version.ts';

const maxArtifactBytes = 8 * 2 ** 30;

/** Starts the HTTP API. It keeps nothing of its own; any number of copies may run. */
export async function startApi(settings: ApiSettings, logger: Logger): Promise<{ address: string; stop(): Promise<void> }> {
  const database = createDatabase(settings.databaseUrl, { poolSize: 10 });
  await untilAvailable('PostgreSQL', logger, () => migrate(database));
  const stores = createStores(database);
  await registerKeys(stores, settings);
  const connection = Connection.lazy({ address: settings.temporal.address });
  const api = createApi({
    settings: {
      version,
      releaseId: null,
      temporalUi: settings.temporal.uiUrl ? { url: settings.temporal.uiUrl, namespace: settings.temporal.namespace } : null,
      uploadDirectory: join(settings.artifactsDir, '.uploads'),
      maxArtifactBytes,
    },
    stores,
    artifactStore: createFilesystemArtifactStore(settings.artifactsDir),
    runs: createTemporalRunStarter({
      connection,
      address: settings.temporal.address,
      namespace: settings.temporal.namespace,
      hasReported: async (runId: RunId) => (await stores.runs.find(runId))?.endedAt != null,
      workflowTaskTimeoutMs: settings.workflowTaskTimeoutMs,
      workflowIdOf: async (runId: RunId) => (await stores.runs.find(runId))?.workflowId ?? null,
    }),
    database: { address: database.address, ping: () => pingDatabase(database) },
    inspect: async (file) => (await inspectBundle(file)).artifact,
    logger,
  });
  try {
    const address = await api.listen({ host: settings.listen.host, port: settings.listen.port });
    logger.info({ address, temporal: settings.temporal.address, database: database.address }, 'the API is at work');
    return {
      address,
      async stop() {
        await api.close();
        await connection.close();
        await database.close();
      },
    };
  } catch (error) {
    throw cannotListen(error, settings);
  }
}

/** Makes the keys known that the operator laid down in files: the first admin key, and the hosts'. Known ones are left alone. */
async function registerKeys({ keys }: Stores, { adminKeyFile, agentKeysDir }: ApiSettings): Promise<void> {
  const register = async (name: string, role: 'admin' | 'agent', text: string): Promise<void> => {
    if (text !== '' && (await keys.identify(text)) === null) await keys.create(name, role, text);
  };
  if (adminKeyFile) {
    const text = await readIfThere(adminKeyFile);
    if (text === null) {
      throw new FairleadError({ class: 'request', code: 'admin_key_file_missing', message: `There is no admin key at ${adminKeyFile}.`, hint: 'Write one there (fairlead keys create prints one), or leave FAIRLEAD_ADMIN_KEY_FILE unset.' });
    }
    await register('admin', 'admin', text.trim());
  }
  if (!agentKeysDir) return;
  for (const name of await fs.readdir(agentKeysDir)) {
    if (name.endsWith('.key')) await register(basename(name, '.key'), 'agent', (await fs.readFile(join(agentKeysDir, name), 'utf8')).trim());
  }
}

function cannotListen(error: unknown, { listen }: ApiSettings): unknown {
  const where = `${listen.host}:${listen.port}`;
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return new FairleadError(
        { class: 'host', code: 'port_in_use', message: `Port ${where} is in use: another program listens there.`, hint: `See which: ss -ltnp 'sport = :${listen.port}'. Or choose another with FAIRLEAD_API_LISTEN.` },
        { cause: error },
      );
    case 'EACCES':
      return new FairleadError({ class: 'host', code: 'port_forbidden', message: `This user may not listen on ${where}.`, hint: 'Ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with FAIRLEAD_API_LISTEN.' }, { cause: error });
    case 'EADDRNOTAVAIL':
      return new FairleadError({ class: 'host', code: 'address_unknown', message: `This machine has no address ${listen.host}.`, hint: 'Set FAIRLEAD_API_LISTEN to 127.0.0.1:PORT or 0.0.0.0:PORT.' }, { cause: error });
    default:
      return error;
  }
}

/** The API as a process: settings from flags and environment, until SIGTERM or SIGINT. */
export async function runApi(argv: readonly string[]): Promise<void> {
  await enter('api', argv, { FAIRLEAD_ROLE: 'controller' }, async (settings) => {
    const own = section(settings, 'api');
    const logger = createLogger({ name: 'api', level: own.logLevel });
    const api = await startApi(own, logger);
    stopOnSignal(
      async (signal) => {
        logger.info({ signal }, 'stopping: letting requests end');
        await api.stop();
      },
      (error) => logger.error({ error }, 'did not stop cleanly'),
    );
  });
}
