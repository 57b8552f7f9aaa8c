import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { createDatabase, createStores } from '../../src/adapters/postgres/index.ts';
import { createActivityPoller } from '../../src/adapters/temporal/activity-poller.ts';
import { Connection } from '@temporalio/client';
import { hostTaskQueue, type HostId, type ProductName, type ReleaseId } from '../../src/domain/ids.ts';
import { createSimulatedHost, isFated, simulatedHostId, type SimulatedHost } from './simulated-host.ts';

/**
 * The agents of many hosts in one process, each with the poller of a real agent on its own queue. Started with an IPC channel; begins when it is told how, answers
 * `ready` once every agent asks for work, and a `tally` whenever it is asked for one. Ends with its parent.
 */
export interface FleetOrder {
  readonly temporal: string;
  readonly databaseUrl: string;
  readonly product: ProductName;
  readonly from: ReleaseId;
  readonly to: ReleaseId;
  /** Hosts `first` to `last` - 1. */
  readonly first: number;
  readonly last: number;
  readonly failShare: number;
  readonly waitMs: number;
}

export interface FleetTally {
  /** Activities that were taken up, by name; those of a second attempt counted once more in `again`. */
  readonly calls: Readonly<Record<string, number>>;
  readonly again: number;
  readonly hosts: readonly { readonly host: HostId; readonly begun: readonly ReleaseId[]; readonly mostRestarts: number; readonly active: ReleaseId | null }[];
  readonly complaints: readonly string[];
}

/** One HTTP/2 connection for so many long polls: a server may refuse more than some hundreds of streams on one. */
const pollsPerConnection = 200;
/** As agents do. */
const beatMs = 15_000;
const agentVersion = 'simulated';
/** As a real agent's. */
const maxConcurrent = 4;

async function play(order: FleetOrder): Promise<() => FleetTally> {
  const { product, to, waitMs } = order;
  const database = createDatabase(order.databaseUrl, { poolSize: 5 });
  const stores = createStores(database);
  const calls: Record<string, number> = {};
  const complaints: string[] = [];
  let again = 0;
  const complain = (what: unknown, message: string): void => void (complaints.length < 20 && complaints.push(`${message} ${JSON.stringify(what).slice(0, 300)}`));
  const hello = async (host: SimulatedHost): Promise<void> => {
    const inspection = host.inspection();
    await stores.hosts.hello({ host: host.host, role: 'node', agentVersion, bootId: `boot-${host.host}`, products: [inspection] });
    await stores.sessions.begin({ host: host.host, bootId: `boot-${host.host}`, transport: 'websocket', clientRef: '', role: 'node', releases: [{ product, releaseId: inspection.state?.activeReleaseId ?? null, artifactRole: 'node', artifactProfile: 'bench' }], agentVersion, copy: 'bench', remoteAddress: '127.0.0.1' }, null);
  };
  const hosts = Array.from({ length: order.last - order.first }, (_, offset) => {
    const at = order.first + offset;
    return createSimulatedHost({ host: simulatedHostId(at), product, releaseId: order.from, failsOn: isFated(at, order.failShare) ? to : null, waitMs, changed: hello });
  });
  for (let at = 0; at < hosts.length; at += 20) await Promise.all(hosts.slice(at, at + 20).map(hello));
  // The words of so many agents in one statement each: their beats are none of what is measured.
  const mine = [hosts[0]?.host ?? '', hosts.at(-1)?.host ?? ''] as HostId[];
  setInterval(() => {
    void database
      .query('beating for the simulated hosts', async (db) => {
        await db.updateTable('hosts').set({ last_seen_at: sql<Date>`now()` }).where('host', '>=', mine[0]!).where('host', '<=', mine[1]!).execute();
        await db.updateTable('fleet_sessions').set({ last_heard_at: sql<Date>`now()` }).where('host', '>=', mine[0]!).where('host', '<=', mine[1]!).where('ended_at', 'is', null).execute();
      })
      .catch((error: unknown) => complain(String(error), 'could not beat'));
  }, beatMs);

  const inFlight = { enter: async () => undefined, leave: async () => undefined, leftovers: async () => [] };
  const logger = { info: () => undefined, warn: (what: object, message: string) => (message === 'an attempt failed' ? undefined : complain(what, message)), error: complain };
  let connection: Connection | null = null;
  const pollers = hosts.map(({ host, activities }, at) => {
    // As `createAgentConnection`; without a pool of their own, connections to one address would be one.
    if (at % pollsPerConnection === 0) connection = Connection.lazy({ address: order.temporal, interceptors: [], channelArgs: { 'grpc.use_local_subchannel_pool': 1 } });
    return createActivityPoller({
      connection: connection as Connection,
      namespace: 'default',
      taskQueue: hostTaskQueue(host),
      identity: `agent@${host}#${agentVersion}`,
      activities,
      maxConcurrent,
      inFlight,
      logger,
      around: ({ name, attempt }, run) => {
        calls[name] = (calls[name] ?? 0) + 1;
        if (attempt > 1) again += 1;
        return run();
      },
    });
  });
  for (const [at, poller] of pollers.entries()) {
    await poller.start();
    // All at once would be a stampede that no fleet makes.
    if (at % 100 === 99) await sleep(50);
  }
  while (pollers.some((poller) => poller.polls() === 0)) await sleep(100);

  return () => ({
    calls,
    again,
    complaints,
    hosts: hosts.map((host) => ({ host: host.host, begun: [...host.begun.values()], mostRestarts: Math.max(0, ...host.restarts.values()), active: host.inspection().state?.activeReleaseId ?? null })),
  });
}

let tally: (() => FleetTally) | null = null;
process.on('message', (message: { order?: FleetOrder; tally?: true }) => {
  if (message.order) {
    play(message.order).then(
      (counted) => {
        tally = counted;
        process.send?.({ ready: true });
      },
      (error: unknown) => process.send?.({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  }
  if (message.tally) process.send?.({ tally: tally?.() });
});
process.once('disconnect', () => process.exit(0));
// A terminal sends it to the whole group; the parent ends this process when it has asked it for what it wants.
process.on('SIGINT', () => undefined);
