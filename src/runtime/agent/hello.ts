import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { createInspectionActivities } from '../../../activities/host/inspection.ts';
import { createFleetConnection } from '../../adapters/fleet-connection/index.ts';
import type { PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import type { ToldRelease } from '../../domain/fleet/session.ts';
import { stateAsSeen, type Finding } from '../../domain/host/drift.ts';
import type { HealingPolicy } from '../../domain/host/healing.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { ProductName, RunId } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { ActJournal } from './acts.ts';

const everyMs = 15_000;
const firstPauseMs = 500;
const longestPauseMs = 10_000;

interface Options {
  readonly host: HostDependencies;
  readonly apiUrl: string;
  readonly readKey: () => Promise<string>;
  readonly agentVersion: string;
  readonly bootId: string;
  readonly role: Role;
  readonly logger: PollerLogger;
  readonly acts: ActJournal;
  readonly policy: HealingPolicy;
  /** What the supervisor's last look found. */
  readonly findings: (product: ProductName) => readonly Finding[];
  /** What really runs, looked at now. */
  readonly observe: (product: ProductName) => Promise<ToldRelease>;
  /** Filled with the runs of which control says that they have ended, and whose intents lie here all the same. */
  readonly endedRuns: Set<RunId>;
}

/**
 * Tells control every 15 s what this host has and how it differs from what it is meant to be, and of what was done here that control has not heard of.
 * Control being away changes nothing here. It goes over the fleet connection, in sessions: a new one after the agent's start, after a lost connection, and
 * whenever what runs here was changed.
 */
export function createHello({ host, apiUrl, readKey, agentVersion, bootId, role, logger, acts, policy, findings, observe, endedRuns }: Options) {
  const { inspectHost } = createInspectionActivities(host);
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let away = false;
  let answered = false;
  let wanted = false;
  let renewing = false;
  let pauseMs = firstPauseMs;
  let saying: Promise<void> | null = null;

  const connection = createFleetConnection({
    apiUrl,
    host: host.host,
    bootId,
    readKey,
    lost: (why) => {
      logger.info({ apiUrl, why }, 'the fleet connection has ended; connecting again');
      // Not all hosts of a copy that has just died at the same moment.
      again(Math.random() * 1_000);
    },
    changed: (transport, why) => logger.warn({ apiUrl, transport, why }, transport === 'http' ? 'no WebSocket gets through to control; saying hello over HTTP' : 'the WebSocket gets through to control'),
  });

  async function say(): Promise<void> {
    if (renewing) {
      renewing = false;
      await connection.renew();
    }
    const products = await host.store.products();
    const recovered = (await Promise.all(products.map((product) => host.store.readRecovered(product)))).flat();
    const inspections = await Promise.all(products.map(inspect));
    const answer = await connection.say(async (begins) => {
      const releases = begins ? { releases: await Promise.all(products.map(observe)) } : {};
      return { role, agentVersion, bootId, products: inspections, recovered, ...releases };
    });
    const heard = [...((answer['acknowledgedRecoveries'] as RunId[] | undefined) ?? []), ...((answer['unknownRuns'] as RunId[] | undefined) ?? [])];
    for (const product of products as ProductName[]) for (const runId of heard) await host.store.forgetRecovered(product, runId);
    const heardActs = (answer['acknowledgedActs'] as string[] | undefined) ?? [];
    if (heardActs.length > 0) for (const product of products) await acts.forget(product, heardActs);
    for (const runId of (answer['endedRuns'] as RunId[] | undefined) ?? []) endedRuns.add(runId);
  }

  /** A host whose files somebody has broken tells so, instead of falling silent. */
  async function inspect(product: ProductName): Promise<HostInspection> {
    const drift = findings(product);
    const more = { drift, healing: policy, acts: await acts.read(product), sealingKey: await host.seal.publicKey() };
    try {
      const inspection = await inspectHost({ product });
      return { ...inspection, state: inspection.state && stateAsSeen(inspection.state, inspection.intent === null ? drift : []), ...more };
    } catch (error) {
      if (drift.length === 0) throw error;
      const { store, files, releases, router, verifier } = host;
      return {
        product,
        state: await store.readState(product).catch(() => null),
        currentReleaseId: await releases.current(product).catch(() => null),
        completeReleaseIds: await releases.listComplete(product),
        intent: await store.readIntent(product).catch(() => null),
        freeBytes: await files.freeBytes(product),
        router: router.kind,
        trustedKeyIds: await verifier.trustedKeyIds(),
        ...more,
      };
    }
  }

  async function round(): Promise<void> {
    let next = everyMs;
    try {
      await say();
      if (away) logger.info({ apiUrl }, 'control hears this host again');
      away = false;
      answered = true;
      pauseMs = firstPauseMs;
    } catch (error) {
      if (!away) logger.warn({ apiUrl, error: error instanceof Error ? error.message : String(error) }, 'control does not hear this host; saying hello again and again');
      away = true;
      next = pauseMs * (0.5 + Math.random() / 2);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
    if (wanted && !away) next = 0;
    wanted = false;
    if (!stopped) timer = setTimeout(start, next);
  }
  const start = (): void => {
    timer = null;
    saying = round().finally(() => {
      saying = null;
    });
  };

  function again(waitMs: number): void {
    if (stopped) return;
    if (saying) {
      wanted = true;
      return;
    }
    if (timer) clearTimeout(timer);
    timer = setTimeout(start, waitMs);
  }

  return {
    start,
    /** Something changed: tell control now instead of in 15 s. */
    soon: (): void => again(0),
    /** What runs here was changed: begin a new session, so that control sees it come back on what it runs now. */
    renew(): void {
      renewing = true;
      again(0);
    },
    async stop(): Promise<void> {
      stopped = true;
      if (timer) clearTimeout(timer);
      // First, so that nobody waits for an answer that is told again after the next start.
      await connection.close();
      await saying;
    },
    heard: () => !away,
    /** Whether control has answered since the start, and the last time as well. */
    answers: () => answered && !away,
  };
}
