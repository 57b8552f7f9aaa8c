import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import type { Server } from 'node:http';
import { Connection } from '@temporalio/client';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { createActivityPoller, type AroundActivity, type PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import { createInFlightJournal } from '../../adapters/temporal/in-flight.ts';
import { agentLayout } from '../../domain/host/layout.ts';
import { hostTaskQueue } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { HostSettings } from '../config.ts';
import { bringUp } from './boot.ts';
import { startHealthServer } from './health.ts';
import { createHello } from './hello.ts';
import { composeHost, createHostActivities } from './host.ts';
import { takeAgentLock } from './lock.ts';

export interface AgentOptions {
  readonly settings: HostSettings;
  readonly version: string;
  readonly role: Role;
  readonly logger: PollerLogger;
  readonly routerEntry: readonly string[];
  /** For tests that kill the agent at a chosen moment. */
  readonly around?: AroundActivity;
  readonly wrap?: (host: HostDependencies) => HostDependencies;
}

/** How many activities run at once. Those of one product wait for each other in any case. */
const maxConcurrent = 4;
const graceMs = 20_000;

/**
 * Starts a host's agent: lock, instances, poller, hello, health, in this order; `stop` is the reverse. Control, Temporal and the API may be
 * away: the host's own services come up all the same, and the agent connects when it can.
 */
export async function startAgent({ settings, version, role, logger, routerEntry, around, wrap }: AgentOptions): Promise<{ stop(): Promise<void> }> {
  const { hostId, root, temporal, apiUrl, apiKey, apiKeyFile } = settings;
  const { lockFile, inFlightDir } = agentLayout(root);
  const readKey = async () => apiKey ?? (await fs.readFile(apiKeyFile, 'utf8')).trim();
  const releaseLock = await takeAgentLock(lockFile);
  const composed = await composeHost({ hostId, root, ports: settings.ports, router: settings.router, routerAddress: settings.routerAddress, apiUrl, readKey, routerEntry });
  const host = wrap ? wrap(composed) : composed;
  await bringUp(composed, logger);

  const connection = Connection.lazy({ address: temporal.address });
  const { activities } = createHostActivities(host);
  const bootId = randomUUID();
  const hello = createHello({ host: composed, apiUrl, readKey, agentVersion: version, bootId, role, logger });
  const telling: AroundActivity = async (call, run) => {
    try {
      return await (around ? around(call, run) : run());
    } finally {
      if (tellsControl.has(call.name)) hello.soon();
    }
  };
  const poller = createActivityPoller({
    connection,
    namespace: temporal.namespace,
    taskQueue: hostTaskQueue(hostId),
    identity: `agent@${hostId}#${version}`,
    activities,
    maxConcurrent,
    inFlight: createInFlightJournal(inFlightDir),
    logger,
    around: telling,
  });
  hello.start();
  await poller.start();
  let health: Server | null = null;
  if (settings.healthListen.port !== 0) {
    health = await startHealthServer(settings.healthListen, () => ({ healthy: poller.polls() > 0, host: hostId, role, version, bootId, controlHears: hello.heard() }));
  }
  logger.info({ host: hostId, root, bootId, router: host.router.kind, services: host.services.kind }, 'agent is at work');

  return {
    async stop() {
      health?.close();
      await hello.stop();
      await poller.stop(graceMs);
      await connection.close();
      await releaseLock();
    },
  };
}

/** After these the host's inventory has changed, and the next plan should see it. */
const tellsControl: ReadonlySet<string> = new Set(['closeIntent', 'strandHost', 'commitRelease']);
