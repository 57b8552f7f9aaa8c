import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { readIfThere } from '../../adapters/files/durable.ts';
import { inSpan } from '../../adapters/temporal/activity-span.ts';
import { createActivityPoller, type AroundActivity, type PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import { createAgentConnection } from '../../adapters/temporal/agent-connection.ts';
import type { HostSecrets } from '../../adapters/secrets/host.ts';
import { createInFlightJournal } from '../../adapters/temporal/in-flight.ts';
import { FairleadError } from '../../domain/failure.ts';
import { agentLayout } from '../../domain/host/layout.ts';
import { hostTaskQueue } from '../../domain/ids.ts';
import { pollerIdentity } from '../../domain/gateway/policy.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { Part } from '../bootstrap.ts';
import type { HostSettings } from '../config.ts';
import { ownReleaseId } from '../home.ts';
import { payloadCodecOf } from '../payload-codec.ts';
import type { RunId } from '../../domain/ids.ts';
import { tracingPart } from '../tracing-part.ts';
import { createActJournal } from './acts.ts';
import { createAwayWatch } from './away.ts';
import { bringUp } from './boot.ts';
import { startHealthServer } from './health.ts';
import { createHello } from './hello.ts';
import { composeHost, createHostActivities } from './host.ts';
import { takeAgentLock } from './lock.ts';
import { createObserve } from './observe.ts';
import { withRepairs } from './repair.ts';
import { createRouterSight } from './router-sight.ts';
import { createSight } from './sight.ts';
import { createSupervisor } from './supervisor.ts';
import { createCommandTraffic } from './traffic.ts';

export interface AgentOptions {
  readonly settings: HostSettings;
  readonly version: string;
  readonly role: Role;
  readonly logger: PollerLogger;
  /** Takes the host's secrets out of what leaves it; left out: nothing is taken out. */
  readonly secrets?: HostSecrets;
  readonly routerEntry: readonly string[];
  /** For tests that kill the agent at a chosen moment. */
  readonly around?: AroundActivity;
  readonly wrap?: (host: HostDependencies) => HostDependencies;
}

/** How many activities run at once. Those of one product wait for each other in any case. */
const maxConcurrent = 4;
const graceMs = 20_000;

/**
 * What a host's agent is made of: lock, instances, hello, supervisor, poller, health, in this order. Control, Temporal and the API may be away: the host's own
 * services come up all the same, and the agent connects when it can.
 */
export async function agentParts({ settings, version, role, logger, secrets, routerEntry, around, wrap }: AgentOptions): Promise<Part[]> {
  const { hostId, root, ports, router, services, composeImage, routerAddress, temporal, gateway, apiUrl, apiKey, apiKeyFile, healthListen, superviseSeconds, heal, deadManSlackSeconds, outgoingAllow, otlpEndpoint } = settings;
  const { lockFile, inFlightDir } = agentLayout(root);
  const readKey = async () => apiKey ?? (await readKeyFile(apiKeyFile));
  const composed = await composeHost({ hostId, root, ports, router, services, composeImage, routerAddress, apiUrl, readKey, routerEntry, outgoingAllow, deadManSlackSeconds, ...(secrets ? { conceal: secrets.conceal } : {}) });
  const host = wrap ? wrap(composed) : composed;
  const bootId = randomUUID();
  const connection = createAgentConnection(gateway === null ? temporal.address : { ...gateway, readKey: () => apiKey ?? keyInFile(apiKeyFile) });
  const own = createHostActivities(host);
  const { exclusively } = own;
  const traffic = createCommandTraffic(around);
  const acts = createActJournal(root);
  const endedRuns = new Set<RunId>();
  const sight = createSight(composed, createRouterSight({ root, kind: composed.router.kind, listenAddress: routerAddress }));
  const supervisor = createSupervisor({ host: composed, sight, traffic, acts, everyMs: superviseSeconds * 1000, policy: heal, logger, exclusively, endedRuns, tell: () => hello.soon() });
  const hello = createHello({ host: composed, apiUrl, readKey, agentVersion: version, bootId, role, logger, acts, policy: heal, findings: supervisor.findings, observe: createObserve(composed, sight), endedRuns });
  const awayWatch = createAwayWatch({ host: composed, traffic, acts, logger, exclusively, heard: hello.answers });
  const telling: AroundActivity = async (call, run) => {
    try {
      return await traffic.around(call, run);
    } finally {
      if (changesReleases.has(call.name)) hello.renew();
      else if (tellsControl.has(call.name)) hello.soon();
    }
  };
  const { parts: tracingParts, tracing } = await tracingPart(otlpEndpoint, 'agent', hostId);
  const poller = createActivityPoller({
    connection,
    namespace: temporal.namespace,
    taskQueue: hostTaskQueue(hostId),
    identity: pollerIdentity(hostId, version),
    sealedTokens: gateway !== null,
    codec: payloadCodecOf(temporal),
    ...(secrets ? { conceal: secrets.conceal } : {}),
    activities: withRepairs(own, host, supervisor.look),
    maxConcurrent,
    inFlight: createInFlightJournal(inFlightDir),
    logger,
    around: tracing === null ? telling : inSpan(tracing, hostId, telling),
  });
  return [
    ...tracingParts,
    { name: 'lock', start: () => takeAgentLock(lockFile) },
    {
      name: 'instances',
      start: async () => {
        await composed.handover.resume();
        await bringUp(composed, logger);
        await awayWatch.start();
        return () => awayWatch.stop(); // They outlive the agent.
      },
    },
    { name: 'temporal', start: async () => () => connection.close() },
    {
      name: 'hello',
      start: async () => {
        logger.info({ sealingKey: await composed.seal.publicKey() }, 'certificates that other hosts get are sealed for this key');
        hello.start();
        return () => hello.stop();
      },
    },
    {
      name: 'supervisor',
      start: async () => {
        supervisor.start();
        return () => supervisor.stop();
      },
    },
    {
      name: 'poller',
      start: async () => {
        await poller.start();
        return () => poller.stop(graceMs);
      },
    },
    {
      name: 'health',
      start: async () => {
        if (healthListen.port === 0) return null;
        const server = await startHealthServer(healthListen, () => ({ healthy: poller.polls() > 0, host: hostId, role, version, releaseId: ownReleaseId(), bootId, controlHears: hello.heard() }));
        return async () => void server.close();
      },
    },
    {
      name: 'agent',
      start: async () => {
        logger.info({ host: hostId, root, bootId, router: host.router.kind, services: host.services.kind }, 'agent is at work');
        return null;
      },
    },
  ];
}

async function readKeyFile(file: string): Promise<string> {
  const text = await readIfThere(file);
  if (text !== null && text.trim() !== '') return text.trim();
  throw new FairleadError({
    class: 'host',
    code: 'agent_key_missing',
    message: `This host has no key for the API: ${file} ${text === null ? 'is not there' : 'is empty'}.`,
    hint: `Enrol the host: fairlead nodes enroll HOST, on the controller, prints what to type here. The agent reads it anew for every request.`,
  });
}

/** As above, for a call that cannot wait; null where there is none now, of which hello tells. */
function keyInFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim() || null;
  } catch {
    return null;
  }
}

/** After these the host's inventory has changed, and the next plan should see it. */
const tellsControl: ReadonlySet<string> = new Set(['strandHost']);
/** After these control should see the host come back on what it runs now. */
const changesReleases: ReadonlySet<string> = new Set(['closeIntent', 'commitRelease']);
