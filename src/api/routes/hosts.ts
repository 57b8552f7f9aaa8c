import { HostDetail, HostHelloAnswer, HostHelloBody, HostList, HostParams } from '../../contract/index.ts';
import type { Host, HostDetail as HostDetailAnswer } from '../../contract/index.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { RunId } from '../../domain/ids.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { createHealing } from '../healing.ts';
import { knownHost } from '../unknown.ts';

const admins = { access: ['admin'] } as const;
const tags = ['hosts'];
const nextHelloSeconds = 15;

export function hostRoutes(app: Api, dependencies: ApiDependencies): void {
  const { stores } = dependencies;
  const healing = createHealing(dependencies);
  const repairing = new Set<Promise<void>>();
  app.addHook('onClose', async () => void (await Promise.all(repairing)));

  app.get('/api/hosts', { config: admins, schema: { tags, summary: 'Every host that ever said hello', response: { 200: HostList } } }, async () => ({ hosts: (await stores.hosts.list()).map(answerOf) }));

  app.get('/api/hosts/:id', { config: admins, schema: { tags, summary: 'A host, what it told, and what becomes of what differs there', params: HostParams, response: { 200: HostDetail } } }, async ({ params }): Promise<HostDetailAnswer> => {
    const row = await knownHost(stores, params.id);
    return { ...answerOf(row), healing: await healing.show(row) };
  });

  app.post(
    '/api/hosts/:id/hello',
    { config: { access: ['agent'] }, schema: { tags, summary: 'What an agent says at its start and every 15 seconds after', params: HostParams, body: HostHelloBody, response: { 200: HostHelloAnswer } } },
    async (request) => {
      const { params, body } = request;
      const { role, agentVersion, bootId, recovered } = body;
      const products: readonly HostInspection[] = body.products;
      const before = await stores.hosts.find(params.id);
      const { acknowledgedActs, endedRuns } = await healing.note(params.id, before, products);
      await stores.hosts.hello({ host: params.id, role, agentVersion, bootId, products });
      const acknowledgedRecoveries: RunId[] = [];
      const unknownRuns: RunId[] = [];
      for (const { runId, at, detail } of recovered) {
        const run = await stores.runs.find(runId);
        // A host may tell about its own runs only.
        if (run === null || run.host !== params.id) {
          unknownRuns.push(runId);
          continue;
        }
        // The audit first: if the answer is lost after it, the host tells again, and nothing is written twice.
        await stores.audit.append(
          { at: new Date().toISOString(), event: 'run.recovered', actor: `${actorOf(callerOf(request))} on ${params.id}`, subject: run.workflowId, runId, detail: { recoveredAt: at, ...detail } },
          `run.recovered:${runId}`,
        );
        await stores.runs.markRecovered(runId, at, detail);
        acknowledgedRecoveries.push(runId);
      }
      // Not waited for: the agent does not need to know, and Temporal may be away.
      const starting: Promise<void> = healing.start(params.id, before, products, request.log).finally(() => repairing.delete(starting));
      repairing.add(starting);
      return { host: params.id, serverTime: new Date().toISOString(), nextHelloSeconds, acknowledgedRecoveries, acknowledgedActs, endedRuns, unknownRuns };
    },
  );
}

/** The same members; only the contract's lists are not readonly. */
const answerOf = (row: HostRow): Host => row as Host;
