import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFilesystemArtifactStore } from '../../src/adapters/artifact-store/filesystem.ts';
import { createLogger } from '../../src/adapters/logger.ts';
import type { SettingSealing } from '../../src/adapters/setting-keys/file.ts';
import { createApi } from '../../src/api/index.ts';
import type { Api, ApiDependencies, ApiServerSettings, ApiStores } from '../../src/api/index.ts';
import { createCronerCalendar } from '../../src/adapters/calendar/croner.ts';
import { createDatabase, createFleetBus, createStores, migrate, pingDatabase } from '../../src/adapters/postgres/index.ts';
import type { Database } from '../../src/adapters/postgres/index.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { rolloutWorkflowId, type HostId, type ProductName, type ReleaseId, type RolloutId, type RunId } from '../../src/domain/ids.ts';
import type { RolloutCommand } from '../../src/domain/rollout/command.ts';
import type { RolloutInput } from '../../src/domain/rollout/names.ts';
import { standingNow, type RolloutStanding } from '../../src/domain/rollout/standing.ts';
import { requestedRollout } from '../../src/domain/rollout/state.ts';
import type { RunProgress, RunReport } from '../../src/domain/run/report.ts';
import type { PromotionRequest } from '../../src/domain/promotion/request.ts';
import type { ServiceInspection } from '../../src/domain/service/inspection.ts';
import type { CertificateRunRequest } from '../../src/domain/certificate/wish.ts';
import type { RestartRequest, ServiceRequest } from '../../src/domain/service/request.ts';
import type { UpdateRequest } from '../../src/domain/update/request.ts';
import type { PrefetchRequest, PrefetchStanding, PrefetchStart } from '../../src/domain/update/prefetch.ts';
import type { BundlePrefetcher } from '../../src/ports/bundle-prefetcher.ts';
import type { RolloutStarter } from '../../src/ports/rollout-starter.ts';
import { heldBy } from '../../src/ports/run-starter.ts';
import type { OrchestratorHealth, PendingActivity, RunStarter } from '../../src/ports/run-starter.ts';
import type { TestPostgres } from './postgres.ts';

/** A RunStarter that keeps runs in memory and holds to the port: one open run per host and product, one run per request id. */
export class MemoryRunStarter implements RunStarter {
  readonly started: UpdateRequest[] = [];
  readonly cancelled: { runId: string; reason: string }[] = [];
  readonly open = new Map<string, RunId>();
  readonly progressOf = new Map<string, RunProgress>();
  readonly pendingOf = new Map<string, PendingActivity[]>();
  /** Set to have every method fail as if Temporal were away. */
  away = false;
  private readonly byRequest = new Map<string, RunId>();

  async startUpdate(input: UpdateRequest): Promise<{ runId: RunId; workflowId: string }> {
    this.answer();
    const workflowId = `host/${input.host}/${input.product}`;
    const before = this.byRequest.get(input.requestId);
    if (before !== undefined) return { runId: before, workflowId };
    const holder = this.open.get(workflowId);
    if (holder !== undefined) {
      throw new FairleadError({ class: 'request', code: 'run_in_progress', message: `${workflowId} is ${heldBy(holder)}`, hint: `fairlead runs watch ${holder}` });
    }
    this.started.push(input);
    const runId = `run-${this.started.length}` as RunId;
    this.byRequest.set(input.requestId, runId);
    this.open.set(workflowId, runId);
    return { runId, workflowId };
  }
  startPromotion(input: PromotionRequest): Promise<{ runId: RunId; workflowId: string }> {
    return this.startUpdate({ ...input, strategy: 'rolling' });
  }
  readonly services: ServiceRequest[] = [];
  /** What hosts say of their services; a host that is not here does not answer. */
  readonly inspections = new Map<string, ServiceInspection>();
  async startServiceChange(input: Exclude<ServiceRequest, RestartRequest>): Promise<{ runId: RunId; workflowId: string }> {
    const started = await this.startUpdate({ ...input, strategy: 'rolling' });
    this.services.push(input);
    return started;
  }
  async joinRestart(input: RestartRequest): Promise<{ runId: RunId; workflowId: string; joined: boolean }> {
    this.answer();
    const workflowId = `restart/${input.host}/${input.product}/${input.service}`;
    const before = this.open.get(workflowId);
    const runId = before ?? (`restart-${this.services.length + 1}` as RunId);
    this.services.push(input);
    this.open.set(workflowId, runId);
    return { runId, workflowId, joined: before !== undefined };
  }
  readonly certificates: CertificateRunRequest[] = [];
  async startCertificate(input: CertificateRunRequest): Promise<{ runId: RunId; workflowId: string; joined: boolean }> {
    this.answer();
    const workflowId = `certificate/${input.host}/${input.product}`;
    const before = this.open.get(workflowId);
    if (before !== undefined && input.action === 'issue') throw new FairleadError({ class: 'request', code: 'run_in_progress', message: `${workflowId} is ${heldBy(before)}` });
    const runId = before ?? (`certificate-${this.certificates.length + 1}` as RunId);
    this.certificates.push(input);
    this.open.set(workflowId, runId);
    return { runId, workflowId, joined: before !== undefined };
  }
  async askServices(host: HostId): Promise<ServiceInspection | null> {
    return this.inspections.get(host) ?? null;
  }
  async progress(runId: RunId): Promise<RunProgress | null> {
    this.answer();
    return this.progressOf.get(runId) ?? null;
  }
  async result(): Promise<RunReport> {
    throw new Error('no route waits for a result');
  }
  async cancel(runId: RunId, reason: string): Promise<void> {
    this.answer();
    this.cancelled.push({ runId, reason });
  }
  async pending(runId: RunId): Promise<PendingActivity[]> {
    this.answer();
    return this.pendingOf.get(runId) ?? [];
  }
  async health(): Promise<OrchestratorHealth> {
    return { healthy: !this.away, address: '127.0.0.1:7233', detail: this.away ? 'connection refused' : 'serving', controlWorkers: this.away ? null : 1 };
  }
  private answer(): void {
    if (this.away) throw new FairleadError({ class: 'dependency', code: 'orchestrator_unavailable', message: 'Temporal at 127.0.0.1:7233 does not answer', hint: 'Start it.' }, { retryable: true });
  }
}

/** Prefetches that are under way until a test says otherwise. */
export class MemoryPrefetcher implements BundlePrefetcher {
  readonly started: PrefetchRequest[] = [];
  readonly standings = new Map<string, PrefetchStanding>();
  async startPrefetch(request: PrefetchRequest): Promise<PrefetchStart> {
    const { host, product, artifact, requestedBy } = request;
    const workflowId = `prefetch/${host}/${product}`;
    const before = this.standings.get(workflowId);
    if (before?.state === 'running' && before.sha256 === artifact.sha256) return { workflowId, joined: true, replaced: null };
    this.started.push(request);
    const { releaseId, sha256, sizeBytes } = artifact;
    this.standings.set(workflowId, { workflowId, releaseId, sha256, sizeBytes, requestedBy, requestedAt: '2026-11-21T03:00:00.000Z', endedAt: null, state: 'running', progress: { what: 'bytes downloaded', done: 1, total: sizeBytes }, waiting: null, reason: null });
    return { workflowId, joined: false, replaced: before?.state === 'running' ? before.releaseId : null };
  }
  async cancelPrefetch(host: HostId, product: ProductName): Promise<ReleaseId | null> {
    const workflowId = `prefetch/${host}/${product}`;
    const open = this.standings.get(workflowId);
    if (open?.state !== 'running') return null;
    this.standings.set(workflowId, { ...open, state: 'failed', endedAt: '2026-11-21T03:01:00.000Z', progress: null });
    return open.releaseId;
  }
  async findPrefetch(host: HostId, product: ProductName): Promise<PrefetchStanding | null> {
    return this.standings.get(`prefetch/${host}/${product}`) ?? null;
  }
}

/** Rollouts that are accepted and never begin. */
export class MemoryRolloutStarter implements RolloutStarter {
  readonly started: RolloutInput[] = [];
  readonly commands: { readonly rolloutId: RolloutId; readonly command: RolloutCommand; readonly commandId: string }[] = [];
  readonly toldOfFreezes: RolloutId[] = [];
  async startRollout(input: RolloutInput): Promise<{ workflowId: string }> {
    this.started.push(input);
    return { workflowId: rolloutWorkflowId(input.rolloutId) };
  }
  async command(rolloutId: RolloutId, command: RolloutCommand, commandId: string): Promise<RolloutStanding> {
    this.commands.push({ rolloutId, command, commandId });
    return standingNow(requestedRollout('2026-01-01T00:00:00.000Z'), '2026-01-01T00:00:01.000Z');
  }
  async standing(): Promise<null> {
    return null;
  }
  async freezeChanged(rolloutIds: readonly RolloutId[]): Promise<void> {
    this.toldOfFreezes.push(...rolloutIds);
  }
}

export interface TestApi {
  readonly app: Api;
  readonly stores: ApiStores;
  readonly database: Database;
  /** Its address: a second copy of the API may stand on it. */
  readonly databaseUrl: string;
  readonly runs: MemoryRunStarter;
  readonly rollouts: MemoryRolloutStarter;
  readonly prefetcher: MemoryPrefetcher;
  readonly adminKey: string;
  readonly agentKey: string;
  /** Every line that was logged. */
  readonly log: string[];
  readonly directory: string;
  end(): Promise<void>;
}

/** The API on a database of its own, with real stores and a RunStarter in memory. */
export async function startApi(postgres: TestPostgres, changes: { settings?: Partial<ApiServerSettings>; inspect?: ApiDependencies['inspect']; databaseUrl?: string; settingSealing?: SettingSealing; codec?: ApiDependencies['codec']; updater?: ApiDependencies['updater']; tracing?: ApiDependencies['tracing']; refuseUrl?: ApiDependencies['refuseUrl']; checkSignature?: ApiDependencies['checkSignature']; wrap?: (stores: ApiStores) => ApiStores } = {}): Promise<TestApi> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-api-'));
  const url = changes.databaseUrl ?? (await postgres.createDatabase());
  const database = createDatabase(url, { poolSize: 5, connectTimeoutMs: 20_000 });
  await migrate(database);
  const stores = createStores(database, changes.settingSealing);
  const runs = new MemoryRunStarter();
  const rollouts = new MemoryRolloutStarter();
  const prefetcher = new MemoryPrefetcher();
  const fleetBus = createFleetBus(url);
  const log: string[] = [];
  const app = createApi({
    settings: {
      version: '0.1.0',
      releaseId: 'f1',
      temporalUi: { url: 'http://127.0.0.1:8233/', namespace: 'default' },
      uploadDirectory: join(directory, 'uploads'),
      maxArtifactBytes: 4 * 2 ** 20,
      eventPollMs: 20,
      // Suites ask more than anybody should.
      rateLimits: { perKey: null, perAddress: null, failures: null },
      ...changes.settings,
    },
    stores: changes.wrap?.(stores) ?? stores,
    ...(changes.updater ? { updater: changes.updater } : {}),
    ...(changes.tracing ? { tracing: changes.tracing } : {}),
    ...(changes.refuseUrl ? { refuseUrl: changes.refuseUrl } : {}),
    ...(changes.checkSignature ? { checkSignature: changes.checkSignature } : {}),
    artifactStore: createFilesystemArtifactStore(join(directory, 'artifacts')),
    runs,
    rollouts,
    prefetcher,
    calendar: createCronerCalendar(),
    codec: changes.codec ?? null,
    gateway: () => ({ openPolls: 1, passed: [{ method: 'PollActivityTaskQueue', count: 1 }], refused: [{ method: 'StartWorkflowExecution', code: 'method_not_allowed', count: 1 }] }),
    fleetBus,
    machine: { schedules: async () => [{ id: 'releases', state: 'running', note: null, everySeconds: 900, lastStartedAt: new Date().toISOString(), nextAt: null }], memory: async () => ({ resident: 1, limit: null }), disk: async () => null },
    database: { address: database.address, ping: () => pingDatabase(database) },
    inspect: changes.inspect ?? (() => Promise.reject(new Error('this suite publishes nothing'))),
    logger: createLogger({ name: 'api', level: 'debug', destination: { write: (line) => void log.push(line) } }),
  });
  await app.ready();
  const adminKey = (await stores.keys.create('ci', 'admin')).text;
  const agent = await stores.keys.create('h1', 'agent');
  const agentKey = agent.text;
  await stores.keys.bind(agent.identity.id, 'h1' as HostId);
  return {
    app,
    stores,
    database,
    databaseUrl: url,
    runs,
    rollouts,
    prefetcher,
    adminKey,
    agentKey,
    log,
    directory,
    async end() {
      await app.close();
      await fleetBus.close();
      await database.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
