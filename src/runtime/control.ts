import * as fs from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NativeConnection, Runtime, Worker, bundleWorkflowCode, type ActivityInterceptorsFactory } from '@temporalio/worker';
import { ApplicationFailure } from '@temporalio/common';
import { createControlActivities } from '../../activities/control/runs.ts';
import { createLogger, type Logger } from '../adapters/logger.ts';
import { createDatabase, createStores, migrate } from '../adapters/postgres/index.ts';
import type { AroundActivity } from '../adapters/temporal/activity-poller.ts';
import { toApplicationFailure } from '../adapters/temporal/failure.ts';
import { controlTaskQueue } from '../domain/ids.ts';
import { asFairleadError } from '../domain/system-failure.ts';
import { section, type ControlSettings } from './config.ts';
import { enter, stopOnSignal } from './entry.ts';
import { untilAvailable } from './until-available.ts';

const projectDirectory = fileURLToPath(new URL('../../', import.meta.url));
/** About 0.4 MB each; fixed, because what the SDK derives from the heap overlooks the sandboxes' own memory. */
const maxCachedWorkflows = 500;

export interface ControlOptions {
  readonly settings: ControlSettings;
  readonly logger: Logger;
  /** For tests that kill the worker at a chosen moment. */
  readonly around?: AroundActivity;
}

/** Starts the control worker: database, Temporal, workflows and their control activities. `run` resolves when the worker has stopped. */
export async function startControl({ settings, logger, around }: ControlOptions): Promise<{ run: Promise<void>; stop(): void }> {
  const { temporal, databaseUrl, stickyTimeoutMs } = settings;
  Runtime.install({
    // The worker's own signal handling would stop it before the activities that write the report had their grace.
    shutdownSignals: [],
    telemetryOptions: { logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} } },
    logger: {
      log: (level, message, meta) => logger[levelOf(level)]({ ...meta }, message),
      trace: (message, meta) => logger.trace({ ...meta }, message),
      debug: (message, meta) => logger.debug({ ...meta }, message),
      info: (message, meta) => logger.info({ ...meta }, message),
      warn: (message, meta) => logger.warn({ ...meta }, message),
      error: (message, meta) => logger.error({ ...meta }, message),
    },
  });
  const codePath = await workflowBundle();
  const database = createDatabase(databaseUrl, { poolSize: 10 });
  await untilAvailable('PostgreSQL', logger, () => migrate(database));
  const stores = createStores(database);
  const connection = await untilAvailable('Temporal', logger, () => NativeConnection.connect({ address: temporal.address }));
  const worker = await untilAvailable('Temporal', logger, () =>
    Worker.create({
      connection,
      namespace: temporal.namespace,
      taskQueue: controlTaskQueue,
      identity: `control@${process.pid}`,
      workflowBundle: { codePath },
      activities: createControlActivities({ ...stores, now: () => new Date() }),
      interceptors: { activity: [failuresWithReasons(around)] },
      stickyQueueScheduleToStartTimeout: stickyTimeoutMs,
      maxCachedWorkflows,
      shutdownGraceTime: '20s',
      shutdownForceTime: '30s',
    }),
  );
  const run = worker
    .run()
    .finally(async () => {
      await connection.close().catch(() => undefined);
      await database.close();
    });
  logger.info({ taskQueue: controlTaskQueue, temporal: temporal.address, database: database.address }, 'control is at work');
  return {
    run,
    stop: () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    },
  };
}

/** Turns every error of a control activity into one that carries its reason; one that is away is tried again, whatever else it is. */
function failuresWithReasons(around: ControlOptions['around']): ActivityInterceptorsFactory {
  return (context) => ({
    inbound: {
      async execute(input, next) {
        const { activityType, attempt } = context.info;
        const beat = setInterval(() => context.heartbeat(), 1_000);
        try {
          return await (around ? around({ name: activityType, attempt, input: input.args[0] }, () => next(input)) : next(input));
        } catch (error) {
          if (error instanceof ApplicationFailure) throw error;
          throw toApplicationFailure(asFairleadError(error, activityType), attempt);
        } finally {
          clearInterval(beat);
        }
      },
    },
  });
}

/** Bundles the workflows, once for each version of their sources: a worker that starts again after a crash must be back in a moment. */
async function workflowBundle(): Promise<string> {
  const folders = ['workflows', 'src/domain'];
  const hash = createHash('sha256');
  for (const folder of folders) {
    const names = (await fs.readdir(join(projectDirectory, folder), { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
    for (const name of names) hash.update(name).update(await fs.readFile(join(projectDirectory, folder, name)));
  }
  hash.update(await fs.readFile(join(projectDirectory, 'package-lock.json')));
  const file = join(projectDirectory, 'dist', `workflows-${hash.digest('hex').slice(0, 16)}.js`);
  try {
    await fs.access(file);
    return file;
  } catch {
    const { code } = await bundleWorkflowCode({ workflowsPath: join(projectDirectory, 'workflows/index.ts'), logger: { ...silent } });
    await fs.mkdir(join(projectDirectory, 'dist'), { recursive: true });
    const temporary = `${file}.${process.pid}.tmp`;
    await fs.writeFile(temporary, code);
    await fs.rename(temporary, file);
    return file;
  }
}

const nothing = (): void => undefined;
const silent = { log: nothing, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: (message: string) => process.stderr.write(`${message}\n`) };

const levelOf = (level: string): 'trace' | 'debug' | 'info' | 'warn' | 'error' => {
  const lower = level.toLowerCase();
  return lower === 'trace' || lower === 'debug' || lower === 'warn' || lower === 'error' ? lower : 'info';
};

/** The control worker as a process: settings from flags and environment, until SIGTERM or SIGINT. */
export async function runControl(argv: readonly string[], hooks: Pick<ControlOptions, 'around'> = {}): Promise<void> {
  await enter('control', argv, { FAIRLEAD_ROLE: 'controller' }, async (settings) => {
    const control = section(settings, 'control');
    const logger = createLogger({ name: 'control', level: control.logLevel });
    const running = await startControl({ settings: control, logger, ...hooks });
    stopOnSignal(
      async (signal) => {
        logger.info({ signal }, 'stopping: letting activities end');
        running.stop();
        await running.run;
      },
      (error) => logger.error({ error }, 'did not stop cleanly'),
    );
    await running.run;
  });
}
