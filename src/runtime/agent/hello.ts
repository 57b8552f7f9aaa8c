import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { createInspectionActivities } from '../../../activities/host/inspection.ts';
import type { PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import { stateAsSeen, type Finding } from '../../domain/host/drift.ts';
import type { HealingPolicy } from '../../domain/host/healing.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { ProductName, RunId } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { ActJournal } from './acts.ts';

const everyMs = 15_000;
const soonMs = 1_000;

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
  /** Filled with the runs of which control says that they have ended, and whose intents lie here all the same. */
  readonly endedRuns: Set<RunId>;
}

/**
 * Tells control every 15 s what this host has and how it differs from what it is meant to be, and of what was done here that control has not heard of.
 * Control being away changes nothing here.
 */
export function createHello({ host, apiUrl, readKey, agentVersion, bootId, role, logger, acts, policy, findings, endedRuns }: Options) {
  const { inspectHost } = createInspectionActivities(host);
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let away = false;
  let answered = false;
  let wanted = false;
  let saying: Promise<void> | null = null;

  async function say(): Promise<void> {
    const products = await host.store.products();
    const recovered = (await Promise.all(products.map((product) => host.store.readRecovered(product)))).flat();
    const inspections = await Promise.all(products.map(inspect));
    const answer = await post(new URL(`/api/hosts/${host.host}/hello`, apiUrl), await readKey(), { role, agentVersion, bootId, products: inspections, recovered });
    const heard = [...((answer['acknowledgedRecoveries'] as RunId[] | undefined) ?? []), ...((answer['unknownRuns'] as RunId[] | undefined) ?? [])];
    for (const product of products as ProductName[]) for (const runId of heard) await host.store.forgetRecovered(product, runId);
    const heardActs = (answer['acknowledgedActs'] as string[] | undefined) ?? [];
    if (heardActs.length > 0) for (const product of products) await acts.forget(product, heardActs);
    for (const runId of (answer['endedRuns'] as RunId[] | undefined) ?? []) endedRuns.add(runId);
  }

  /** A host whose files somebody has broken tells so, instead of falling silent. */
  async function inspect(product: ProductName): Promise<HostInspection> {
    const drift = findings(product);
    const more = { drift, healing: policy, acts: await acts.read(product) };
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
    } catch (error) {
      if (!away) logger.warn({ apiUrl, error: error instanceof Error ? error.message : String(error) }, 'control does not hear this host; saying hello again every second');
      away = true;
      next = soonMs;
    }
    if (wanted) next = 0;
    wanted = false;
    if (!stopped) timer = setTimeout(start, next);
  }
  const start = (): void => {
    timer = null;
    saying = round().finally(() => {
      saying = null;
    });
  };

  return {
    start,
    /** Something changed: tell control now instead of in 15 s. */
    soon(): void {
      if (stopped) return;
      if (saying) {
        wanted = true;
        return;
      }
      if (timer) clearTimeout(timer);
      start();
    },
    async stop(): Promise<void> {
      stopped = true;
      if (timer) clearTimeout(timer);
      await saying;
    },
    heard: () => !away,
    /** Whether control has answered since the start, and the last time as well. */
    answers: () => answered && !away,
  };
}

function post(url: URL, key: string, body: object): Promise<Record<string, unknown>> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const request = send(url, { method: 'POST', headers, agent: false, timeout: 5_000 }, (response) => {
      let answer = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (answer += chunk));
      response.on('end', () => {
        if (response.statusCode !== 200) reject(new Error(`${url.href} answered ${response.statusCode}: ${answer.slice(0, 300)}`));
        else resolve(JSON.parse(answer) as Record<string, unknown>);
      });
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${url.href} did not answer within 5 s`)));
    request.on('error', reject);
    request.end(text);
  });
}
