import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { createCertificateDistributionActivities } from '../../activities/control/certificate-distributions.ts';
import { createCertificateRunActivities } from '../../activities/control/certificate-runs.ts';
import { createReleaseCheckActivities } from '../../activities/control/release-checks.ts';
import { createControlActivities } from '../../activities/control/runs.ts';
import { createRolloutHostActivities } from '../../activities/control/rollout-hosts.ts';
import { createRolloutActivities } from '../../activities/control/rollouts.ts';
import { createServiceRunActivities } from '../../activities/control/service-runs.ts';
import { createApi } from '../api/index.ts';
import { createFilesystemArtifactStore } from '../adapters/artifact-store/filesystem.ts';
import { inspectBundle } from '../adapters/bundle/inspect.ts';
import { createCronerCalendar } from '../adapters/calendar/croner.ts';
import { createHttpGateSource } from '../adapters/gate-source/http.ts';
import { createSettingCredentials } from '../adapters/outgoing/credentials.ts';
import { createOutgoingGet, refuseUrl } from '../adapters/outgoing/get.ts';
import type { Logger } from '../adapters/logger.ts';
import { createSessionObserver } from '../adapters/postgres/session-observer.ts';
import { createDatabase, createFleetBus, createStores, migrate, pingDatabase, type Database } from '../adapters/postgres/index.ts';
import type { AroundActivity } from '../adapters/temporal/activity-poller.ts';
import { createPrometheusSource } from '../adapters/metric-source/prometheus.ts';
import { createSettingSealing } from '../adapters/setting-keys/file.ts';
import { createScheduleReader } from '../adapters/temporal/schedule-reader.ts';
import { diskOf, memoryLimitBytes } from '../adapters/process/own-limits.ts';
import { keepSchedules } from '../adapters/temporal/schedules.ts';
import { inSpan } from '../adapters/temporal/activity-span.ts';
import { traceStarts } from '../adapters/temporal/trace-header.ts';
import { createTemporalRolloutStarter } from '../adapters/temporal/rollout-starter.ts';
import { createHttpUpdater } from '../adapters/updater/http.ts';
import { createHttpWebhookSender } from '../adapters/webhook/http.ts';
import { createTemporalBundlePrefetcher } from '../adapters/temporal/bundle-prefetcher.ts';
import type { ClientOptions } from '../adapters/temporal/client.ts';
import { createTemporalRunStarter } from '../adapters/temporal/run-starter.ts';
import { controlTaskQueue, type RunId } from '../domain/ids.ts';
import type { PayloadCodecService } from '../ports/payload-codec.ts';
import { auditPart } from './audit-part.ts';
import type { Part } from './bootstrap.ts';
import type { ApiSettings, ControlSettings } from './config.ts';
import { createControlWorker, installRuntime } from './control-worker.ts';
import { gatewayPart } from './gateway-part.ts';
import { ownReleaseId } from './home.ts';
import { payloadCodecOf } from './payload-codec.ts';
import { cannotListen } from './listen-failure.ts';
import { registerKeys } from './register-keys.ts';
import { tracingPart } from './tracing-part.ts';
import { untilAvailable } from './until-available.ts';
import { version } from './version.ts';
import { webhookPart } from './webhook-part.ts';

/**
 * The controller's composition: which stores, clients and servers each of its processes is made of, in the order in which they start. The one place
 * that knows every adapter of control; a host's are composed in `agent/host.ts`, since a node's artifact must not reach these.
 */
const maxArtifactBytes = 8 * 2 ** 30;

function databasePart(database: Database, logger: Logger): Part {
  return {
    name: 'database',
    start: async () => {
      await untilAvailable('PostgreSQL', logger, () => migrate(database));
      return () => database.close();
    },
  };
}

export async function apiParts(settings: ApiSettings, logger: Logger): Promise<Part[]> {
  const database = createDatabase(settings.databaseUrl, { poolSize: 10 });
  const stores = createStores(database, createSettingSealing(settings.settingsKeys));
  const connection = Connection.lazy({ address: settings.temporal.address });
  const { address, namespace, uiUrl } = settings.temporal;
  const codec = payloadCodecOf(settings.temporal);
  const gateway = settings.gateway === null ? null : gatewayPart(settings.gateway, settings.temporal, stores, logger);
  const audit = auditPart(settings.audit, stores.audit, logger);
  const { parts: tracingParts, tracing } = await tracingPart(settings.otlpEndpoint, 'api');
  const client: ClientOptions = { connection, address, namespace, codec, workflowTaskTimeoutMs: settings.workflowTaskTimeoutMs, ...(tracing === null ? {} : { interceptors: traceStarts(tracing) }) };
  return [
    ...tracingParts,
    databasePart(database, logger),
    audit.part,
    {
      name: 'keys',
      start: async () => {
        await registerKeys(stores.keys, settings);
        return null;
      },
    },
    { name: 'temporal', start: async () => () => connection.close() },
    ...(gateway === null ? [] : [gateway.part]),
    {
      name: 'http',
      start: async () => {
        const fleetBus = createFleetBus(settings.databaseUrl);
        const api = createApi({
          settings: { version, releaseId: ownReleaseId(), temporalUi: uiUrl ? { url: uiUrl, namespace } : null, uploadDirectory: join(settings.artifactsDir, '.uploads'), maxArtifactBytes, rateLimits: settings.rateLimits, trustedProxies: settings.trustedProxies },
          stores,
          checkSignature: audit.checkSignature,
          updater: settings.updater === null ? null : createHttpUpdater(settings.updater),
          artifactStore: createFilesystemArtifactStore(settings.artifactsDir),
          runs: createTemporalRunStarter({
            ...client,
            workflowIdOf: async (runId: RunId) => (await stores.runs.find(runId))?.workflowId ?? null,
            hasReported: async (runId: RunId) => (await stores.runs.find(runId))?.endedAt != null,
          }),
          prefetcher: createTemporalBundlePrefetcher(client),
          rollouts: createTemporalRolloutStarter(client),
          calendar: createCronerCalendar(),
          refuseUrl: (url) => refuseUrl(url, settings.outgoingAllow),
          codec: codec as PayloadCodecService | null,
          fleetBus,
          machine: {
            schedules: createScheduleReader(connection, settings.temporal),
            memory: async () => ({ resident: process.memoryUsage.rss(), limit: await memoryLimitBytes() }),
            disk: () => diskOf(settings.artifactsDir),
          },
          database: { address: database.address, ping: () => pingDatabase(database) },
          gateway: gateway?.figures ?? null,
          tracing,
          inspect: async (file) => (await inspectBundle(file)).artifact,
          logger,
        });
        const listening = await api.listen({ host: settings.listen.host, port: settings.listen.port }).catch((error: unknown) => Promise.reject(cannotListen(error, settings.listen)));
        logger.info({ address: listening, temporal: address, database: database.address }, 'the API is at work');
        return async () => {
          await api.close();
          await fleetBus.close();
        };
      },
    },
  ];
}

export interface ControlHooks {
  /** Called when the worker ends although nobody stopped it. */
  readonly failed: (error: unknown) => void;
  /** For tests that kill the worker at a chosen moment. */
  readonly around?: AroundActivity;
}

export async function controlParts(settings: ControlSettings, logger: Logger, { failed, around }: ControlHooks): Promise<Part[]> {
  const database = createDatabase(settings.databaseUrl, { poolSize: 10 });
  const codec = payloadCodecOf(settings.temporal);
  const { parts: tracingParts, tracing } = await tracingPart(settings.otlpEndpoint, 'control');
  const stores = createStores(database, createSettingSealing(settings.settingsKeys));
  const webhooks = webhookPart({ ...stores, sender: createHttpWebhookSender({ allowed: settings.outgoingAllow }), apiUrl: settings.apiUrl, now: () => new Date(), logger });
  let connection: NativeConnection;
  return [
    ...tracingParts,
    databasePart(database, logger),
    // Before Temporal, for while that is away somebody should be told; in every control worker, since whoever comes first takes the outbox's lock.
    webhooks,
    {
      name: 'temporal',
      start: async () => {
        installRuntime(logger);
        connection = await untilAvailable('Temporal', logger, () => NativeConnection.connect({ address: settings.temporal.address }));
        return () => connection.close();
      },
    },
    ...(settings.features.scheduler
      ? [
          {
            name: 'schedules',
            start: async () => {
              const { address, namespace } = settings.temporal;
              await untilAvailable('Temporal', logger, () => keepSchedules({ address, namespace, codec, certificateSweepSeconds: settings.certificateSweepSeconds, releaseCheckSeconds: settings.releaseCheckSeconds }));
              return null;
            },
          },
        ]
      : []),
    {
      name: 'worker',
      start: async () => {
        const get = createOutgoingGet(settings.outgoingAllow, undefined, createSettingCredentials(stores.settings));
        const dependencies = { ...stores, observer: createSessionObserver(stores.sessions, stores.hosts), calendar: createCronerCalendar(), metrics: createPrometheusSource(get), gates: createHttpGateSource(get), now: () => new Date() };
        const activities = { ...createControlActivities(dependencies), ...createServiceRunActivities(dependencies), ...createCertificateRunActivities(dependencies), ...createCertificateDistributionActivities(dependencies), ...createRolloutActivities(dependencies), ...createRolloutHostActivities(dependencies), ...createReleaseCheckActivities(dependencies) };
        const worker = await untilAvailable('Temporal', logger, () => createControlWorker(connection, settings, codec, activities, tracing === null ? around : inSpan(tracing, null, around), logger));
        const run = worker.run();
        run.catch(failed);
        logger.info({ taskQueue: controlTaskQueue, temporal: settings.temporal.address, database: database.address }, 'control is at work');
        return async () => {
          if (worker.getState() === 'RUNNING') worker.shutdown();
          await run.catch(() => undefined); // `failed` has told of it.
        };
      },
    },
  ];
}
