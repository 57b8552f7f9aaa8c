import type { FastifyBaseLogger } from 'fastify';
import type { HostHelloAnswer, HostHelloBody } from '../../contract/index.ts';
import { isInMaintenance } from '../../domain/fleet/host-state.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { HostId, RunId } from '../../domain/ids.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { createHealing } from '../healing.ts';

/** How often an agent tells of itself; seconds. */
export const nextHelloSeconds = 15;

export interface HelloHandler {
  /**
   * Takes down what a host tells, whichever way it came, and answers it. Told twice, nothing stands there twice.
   * @param actor who told it, for the audit
   */
  take(host: HostId, actor: string, body: HostHelloBody, log: FastifyBaseLogger): Promise<HostHelloAnswer>;
  /** Resolves when nothing is under way that a hello has led to. */
  settled(): Promise<void>;
}

/** What control does with the word of a host: one handler for the fleet connection and for `POST /api/hosts/:id/hello`. */
export function createHelloHandler(dependencies: Pick<ApiDependencies, 'stores' | 'runs'>): HelloHandler {
  const { stores } = dependencies;
  const healing = createHealing(dependencies);
  const repairing = new Set<Promise<void>>();

  /** The audit first: if the answer is lost after it, the host tells again, and nothing is written twice. */
  async function noteRecovered(host: HostId, actor: string, recovered: HostHelloBody['recovered']): Promise<Pick<HostHelloAnswer, 'acknowledgedRecoveries' | 'unknownRuns'>> {
    const acknowledgedRecoveries: RunId[] = [];
    const unknownRuns: RunId[] = [];
    for (const { runId, at, detail } of recovered) {
      const run = await stores.runs.find(runId);
      // A host may tell about its own runs only.
      if (run === null || run.host !== host) {
        unknownRuns.push(runId);
        continue;
      }
      const entry = { at: new Date().toISOString(), event: 'run.recovered', actor: `${actor} on ${host}`, subject: run.workflowId, runId, detail: { recoveredAt: at, ...detail } };
      await stores.audit.append(entry, `run.recovered:${runId}`);
      await stores.runs.markRecovered(runId, at, detail);
      acknowledgedRecoveries.push(runId);
    }
    return { acknowledgedRecoveries, unknownRuns };
  }

  /** Private keys are sealed for it: whoever could change it unseen could read them. */
  async function noteSealingKey(host: HostId, actor: string, bootId: string, before: HostRow | null, products: readonly HostInspection[]): Promise<void> {
    const [was, now] = [sealingKeyOf(before?.products ?? []), sealingKeyOf(products)];
    if (now === null || now === was) return;
    const entry = { at: new Date().toISOString(), event: was === null ? 'host.sealing_key_told' : 'host.sealing_key_changed', actor: `${actor} on ${host}`, subject: `host/${host}`, runId: null, detail: { was, now } };
    await stores.audit.append(entry, `host.sealing_key:${host}:${bootId}:${now}`);
  }

  /** Nobody asked for a repair: where a person works on the machine, it waits. */
  async function repair(host: HostId, before: Parameters<typeof healing.start>[1], products: readonly HostInspection[], log: FastifyBaseLogger): Promise<void> {
    if (before?.state && isInMaintenance(before.state, new Date().toISOString())) return;
    await healing.start(host, before, products, log);
  }

  return {
    async take(host, actor, { role, agentVersion, bootId, recovered, products: told }, log) {
      const products: readonly HostInspection[] = told;
      const before = await stores.hosts.find(host);
      await noteSealingKey(host, actor, bootId, before, products);
      const { acknowledgedActs, endedRuns } = await healing.note(host, before, products);
      await stores.hosts.hello({ host, role, agentVersion, bootId, products });
      const { acknowledgedRecoveries, unknownRuns } = await noteRecovered(host, actor, recovered);
      // Not waited for: the agent does not need to know, and Temporal may be away.
      const starting: Promise<void> = repair(host, before, products, log).finally(() => repairing.delete(starting));
      repairing.add(starting);
      return { host, serverTime: new Date().toISOString(), nextHelloSeconds, acknowledgedRecoveries, acknowledgedActs, endedRuns, unknownRuns };
    },
    settled: async () => void (await Promise.all(repairing)),
  };
}

const sealingKeyOf = (products: readonly HostInspection[]): string | null => products.find(({ sealingKey }) => sealingKey !== undefined)?.sealingKey ?? null;
