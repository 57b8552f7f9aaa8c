import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDatabase, prepareEmbeddedPostgres, whatPostgresLacks } from '../../adapters/embedded-postgres/index.ts';
import { ensureDirectory, readIfThere, writeFileDurably } from '../../adapters/files/durable.ts';
import { developmentServerCommand, whatTemporalLacks } from '../../adapters/temporal-server/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { supervise } from '../processes.ts';
import type { ProcessPlan, Supervised } from '../processes.ts';
import { ensureTemporalCli } from '../toolchain.ts';
import { buildAgent } from '../build-agent.ts';
import { listHosts, whatApiLacks, whatControlLacks } from './client.ts';
import type { DevHost } from './client.ts';
import { ensureKeys } from './keys.ts';
import { devLayout } from './layout.ts';
import type { ClientFile, DevLayout } from './layout.ts';
import { lockDirectory } from './lock.ts';
import { agentPlan, apiPlan, controlPlan, marks, neutralEnvironment } from './plans.ts';
import type { DevAddresses, PlanContext } from './plans.ts';
import { choosePort } from './ports.ts';
import { switchOff } from './power.ts';
import { createDevState, readDevState } from './state.ts';
import type { DevStateStore } from './state.ts';
import { endLeftovers } from './takeover.ts';

export interface DevOptions {
  /** Absolute; made where it does not exist. */
  readonly dir: string;
  readonly hosts: number;
  /** How many of the hosts, from the first on, are controllers in the fleet. Default 0. */
  readonly controllers?: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Lines about what is done and what takes long. */
  readonly say: (line: string) => void;
  /** Ends a start that is under way: everything that was started is ended again. */
  readonly cancel?: AbortSignal;
  /** Keeps Temporal's runs in memory instead of a file, where they end with it; for measuring what the file costs. */
  readonly temporalInMemory?: boolean;
  /** Other programs in the place of Fairlead's own, and settings for every process; for tests that break them on purpose. */
  readonly replace?: { readonly agentFile?: string; readonly controlEntry?: string; readonly anyPorts?: boolean; readonly env?: Readonly<Record<string, string>> };
}

/** What a development instance is, once it is ready. */
export interface DevSummary {
  readonly dir: string;
  readonly api: string;
  readonly temporal: string;
  readonly temporalUi: string | null;
  readonly adminKeyFile: string;
  readonly publisherKeyFile: string;
  readonly logs: string;
  readonly hosts: readonly { readonly host: string; readonly root: string; readonly products: DevHost['products'] }[];
}

export interface RunningDev {
  readonly summary: DevSummary;
  /** Process ids as they are now, by name; null where one is being started again. */
  pids(): Record<string, number | null>;
  /** Ends everything in order: agents, what runs on the hosts, API, control, Temporal, PostgreSQL. Idempotent. */
  stop(): Promise<void>;
  /** Ends everything at once, for who cannot wait. */
  kill(): Promise<void>;
}

const repository = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const readyLimitMs = 60_000;

/**
 * Starts a whole Fairlead on this machine: PostgreSQL, Temporal, control, API and hosts, each a process of its own, with everything they
 * keep below one directory, so that the next start goes on with it. A `FAIRLEAD_DATABASE_URL` or `FAIRLEAD_TEMPORAL_ADDRESS` is used
 * instead of a server of its own. Hosts reach Temporal directly; with `FAIRLEAD_HOST_TEMPORAL=gateway` through the gateway, as they do in production.
 *
 * Resolves when it can be used: every host's agent has said hello. Whatever fails before that is ended again. From then on, whoever dies
 * is started again.
 *
 * @throws FairleadError `dev_running` where another one plays this directory; `process_not_ready` with the end of the log
 */
export async function startDev(options: DevOptions): Promise<RunningDev> {
  const layout = devLayout(options.dir);
  await ensureDirectory(layout.dir, 0o755);
  const unlock = await lockDirectory(layout.dir);
  const started: Supervised[] = [];
  let state: DevStateStore | null = null;
  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopping ??= stopInOrder(started, layout, options.say)
      .then(() => state?.forgetProcesses())
      .finally(unlock));
  try {
    state = createDevState(layout.stateFile, await readDevState(layout.stateFile));
    const summary = await startWithOtherPorts(options, layout, state, started);
    return {
      summary,
      pids: () => Object.fromEntries(started.map((process) => [process.plan.name, process.identity()?.pid ?? null])),
      stop,
      async kill() {
        await Promise.all(started.map((process) => process.kill()));
        await Promise.all((await hostRoots(layout)).map((root) => switchOff(root, 0)));
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ports are free when they are chosen, not when they are used: where somebody was faster, others are tried. */
async function startWithOtherPorts(options: DevOptions, layout: DevLayout, state: DevStateStore, started: Supervised[]): Promise<DevSummary> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startInOrder(options, layout, state, started);
    } catch (error) {
      if (attempt === 3 || !(error instanceof FairleadError) || !/address already in use|is in use/i.test(error.reason.message)) throw error;
      options.say('a port was taken by another program meanwhile; starting again with others');
      await stopInOrder(started.splice(0), layout, options.say);
    }
  }
}

async function startInOrder(options: DevOptions, layout: DevLayout, state: DevStateStore, started: Supervised[]): Promise<DevSummary> {
  const { env, say, cancel } = options;
  const ended = await endLeftovers(layout.dir, state.current());
  if (ended.length > 0) say(`took over from a fairlead dev that was killed: ended ${ended.join(', ')}`);
  await state.forgetProcesses();
  cancel?.throwIfAborted();

  const hosts = Array.from({ length: options.hosts }, (_, at) => `h${at + 1}`);
  const adminKey = await ensureKeys(layout, hosts);
  // Which router the hosts take is the one setting of its own that a development instance hands on.
  const router: Record<string, string> = env['FAIRLEAD_ROUTER'] ? { FAIRLEAD_ROUTER: env['FAIRLEAD_ROUTER'] } : {};
  const environment = { ...neutralEnvironment(env), ...router, ...options.replace?.env };
  const ports = await choosePorts(state, options.replace?.anyPorts ?? false);
  const launch = async (plan: ProcessPlan): Promise<Supervised> => {
    const process = await supervise(plan, { say, started: (identity) => state.rememberProcess(plan.name, identity, plan.stopSignal) });
    started.push(process);
    cancel?.throwIfAborted();
    return process;
  };

  // The two servers do not need each other, and building the agent needs neither.
  const [databaseUrl, temporal, agent] = await allOrFirstFailure([
    startPostgres(options, layout, state, ports.postgres, launch),
    startTemporal(options, layout, environment, ports, launch),
    options.replace?.agentFile ? Promise.resolve({ file: options.replace.agentFile, built: false }) : buildAgent(),
  ]);
  const throughGateway = (options.replace?.env?.['FAIRLEAD_HOST_TEMPORAL'] ?? env['FAIRLEAD_HOST_TEMPORAL']) === 'gateway';
  const addresses: DevAddresses = { api: { host: '127.0.0.1', port: ports.api, url: `http://127.0.0.1:${ports.api}` }, temporal, databaseUrl, gateway: throughGateway ? { address: `127.0.0.1:${ports.gateway}` } : null };
  const context: PlanContext = { layout, addresses, repository, environment, logLevel: env['FAIRLEAD_LOG_LEVEL'] || 'info' };

  const startedAt = new Date();
  const api = await launch(apiPlan(context));
  const control = await launch(controlPlan(context, options.replace?.controlEntry));
  await api.untilReady(() => whatApiLacks(addresses.api.url), readyLimitMs, cancel);
  const agents = await Promise.all(hosts.map((host, at) => launch(agentPlan(context, host, at < (options.controllers ?? 0) ? 'controller' : 'node', agent.file))));
  let seen: DevHost[] = [];
  for (const [at, process] of agents.entries()) {
    await process.untilReady(
      async () => {
        seen = await listHosts(addresses.api.url, adminKey).catch(() => []);
        return seen.some(({ host, lastSeenAt }) => host === hosts[at] && new Date(lastSeenAt) >= startedAt) ? null : `host ${hosts[at]} has not said hello to ${addresses.api.url}`;
      },
      readyLimitMs,
      cancel,
    );
  }
  await control.untilReady(async () => (control.identity() === null ? 'it is being started again' : whatControlLacks(addresses.api.url, adminKey)), readyLimitMs, cancel);

  const client: ClientFile = { apiUrl: addresses.api.url, keyFile: layout.adminKeyFile, publisherKeyFile: layout.publisherKeyFile, temporalUiUrl: temporal.uiUrl };
  await writeFileDurably(layout.clientFile, `${JSON.stringify(client, null, 2)}\n`, 0o644);
  return {
    dir: layout.dir,
    api: addresses.api.url,
    temporal: temporal.address,
    temporalUi: temporal.uiUrl,
    adminKeyFile: layout.adminKeyFile,
    publisherKeyFile: layout.publisherKeyFile,
    logs: join(layout.dir, 'logs'),
    hosts: hosts.map((host) => ({ host, root: layout.hostRoot(host), products: seen.find((known) => known.host === host)?.products ?? [] })),
  };
}

async function startPostgres({ env, say, cancel }: DevOptions, layout: DevLayout, state: DevStateStore, port: number, launch: (plan: ProcessPlan) => Promise<Supervised>): Promise<string> {
  const given = env['FAIRLEAD_DATABASE_URL'];
  if (given) return given;
  const shared = sharedDirectories(env);
  await sweepClusters(shared, layout, state.current().id);
  const postgres = await prepareEmbeddedPostgres({ directory: layout.postgresDir, id: state.current().id, sharedDirectories: shared, passwordFile: layout.postgresPasswordFile, port, say });
  // Says where the cluster lies, so that it can be told from one whose development instance is gone.
  await writeFileDurably(`${postgres.dataDir}.owner`, `${layout.stateFile}\n`, 0o644);
  const process = await launch({
    name: 'postgres',
    command: postgres.command,
    env: { ...postgres.env, ...marks(layout, 'postgres') },
    account: postgres.account,
    logFile: layout.logFile('postgres'),
    stopSignal: 'SIGINT',
    stopLimitMs: 15_000,
  });
  await process.untilReady(() => whatPostgresLacks(postgres.url, 2_000), readyLimitMs, cancel);
  await ensureDatabase(postgres.url);
  return postgres.url;
}

async function startTemporal(
  { env, say, cancel, temporalInMemory }: DevOptions,
  layout: DevLayout,
  environment: Readonly<Record<string, string>>,
  ports: { temporal: number; temporalUi: number },
  launch: (plan: ProcessPlan) => Promise<Supervised>,
): Promise<DevAddresses['temporal']> {
  const namespace = env['FAIRLEAD_TEMPORAL_NAMESPACE'] || 'default';
  const given = env['FAIRLEAD_TEMPORAL_ADDRESS'];
  if (given) {
    const lacking = await whatTemporalLacks(given, namespace, 10_000);
    if (lacking !== null) throw new FairleadError({ class: 'dependency', code: 'temporal_unreachable', message: `the Temporal server at ${given} (FAIRLEAD_TEMPORAL_ADDRESS): ${lacking}`, hint: 'unset it to have one started' });
    return { address: given, namespace, uiUrl: env['FAIRLEAD_TEMPORAL_UI_URL'] || null };
  }
  const cli = await ensureTemporalCli(env, say);
  const address = `127.0.0.1:${ports.temporal}`;
  const process = await launch({
    name: 'temporal',
    command: developmentServerCommand({ cli: cli.path, databaseFile: temporalInMemory === true ? null : layout.temporalFile, port: ports.temporal, uiPort: ports.temporalUi, namespace }),
    env: { ...environment, ...marks(layout, 'temporal') },
    logFile: layout.logFile('temporal'),
    stopSignal: 'SIGTERM',
    stopLimitMs: 15_000,
  });
  await process.untilReady(() => whatTemporalLacks(address, namespace, 2_000), readyLimitMs, cancel);
  return { address, namespace, uiUrl: `http://127.0.0.1:${ports.temporalUi}` };
}

async function stopInOrder(started: readonly Supervised[], layout: DevLayout, say: (line: string) => void): Promise<void> {
  const named = (test: (name: string) => boolean): Promise<void[]> => Promise.all(started.filter(({ plan }) => test(plan.name)).map((process) => process.stop()));
  await named((name) => name.startsWith('agent-'));
  const ended = await Promise.all((await hostRoots(layout)).map((root) => switchOff(root, 10_000)));
  const total = ended.reduce((sum, count) => sum + count, 0);
  if (total > 0) say(`ended ${total} processes of the hosts' instances and routers`);
  for (const name of ['api', 'control', 'temporal', 'postgres']) await named((other) => other === name);
}

/** Also hosts of an earlier start with more of them: their instances may still run. */
async function hostRoots(layout: DevLayout): Promise<string[]> {
  return (await readdir(layout.hostsDir).catch(() => [])).map((host) => layout.hostRoot(host));
}

/** @param anyPorts no well-known ports: many of these start side by side */
async function choosePorts(state: DevStateStore, anyPorts: boolean): Promise<{ api: number; gateway: number; temporal: number; temporalUi: number; postgres: number }> {
  const taken = new Set<number>();
  const choose = async (name: string, preferred?: number): Promise<number> => {
    const port = await choosePort(state.current().ports[name], anyPorts ? undefined : preferred, taken);
    taken.add(port);
    await state.rememberPort(name, port);
    return port;
  };
  return { api: await choose('api', 8420), gateway: await choose('gateway', 8422), temporal: await choose('temporal'), temporalUi: await choose('temporalUi', 8233), postgres: await choose('postgres') };
}

/** Where the database's user gets to when the home directory is closed to it, as that of root usually is. */
function sharedDirectories(env: DevOptions['env']): string[] {
  return [env['FAIRLEAD_SHARED_DIR'], '/var/lib/fairlead-dev', '/srv/fairlead-dev'].filter((directory): directory is string => directory !== undefined && directory !== '');
}

/** Removes clusters that were put into a shared directory and whose development instance has been deleted since. */
async function sweepClusters(shared: readonly string[], layout: DevLayout, id: string): Promise<void> {
  for (const directory of shared) {
    for (const name of await readdir(directory).catch(() => [])) {
      const cluster = /^cluster-([0-9a-f]{12})\.owner$/.exec(name)?.[1];
      if (cluster === undefined || cluster === id) continue;
      const owner = (await readIfThere(join(directory, name)))?.trim();
      const stateOfOwner = owner === undefined || owner === layout.stateFile ? null : await readIfThere(owner).catch(() => '');
      if (stateOfOwner !== null && (stateOfOwner === '' || stateOfOwner.includes(cluster))) continue;
      for (const ending of ['.owner', '.complete', '']) await rm(join(directory, `cluster-${cluster}${ending}`), { recursive: true, force: true });
    }
  }
}

/** As `Promise.all`, but waits for all to settle first: nothing may still be starting while what was started is ended. */
async function allOrFirstFailure<A, B, C>(work: [Promise<A>, Promise<B>, Promise<C>]): Promise<[A, B, C]> {
  const [a, b, c] = await Promise.allSettled(work);
  for (const result of [a, b, c]) if (result.status === 'rejected') throw result.reason;
  return [(a as PromiseFulfilledResult<A>).value, (b as PromiseFulfilledResult<B>).value, (c as PromiseFulfilledResult<C>).value];
}

