import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceAddInstanceBody, ServiceReloadBody, ServiceRemoveInstanceBody, ServiceRestartBody, ServiceRunAccepted, ServiceStatusAnswer, ServiceStatusQuery } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { withExtras } from '../../domain/host/instances.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { ProductName, ReleaseId } from '../../domain/ids.ts';
import { serviceInstances, type ServiceInspection } from '../../domain/service/inspection.ts';
import { planService } from '../../domain/service/plan.ts';
import type { ServiceRequest } from '../../domain/service/request.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders, requestIdOf } from '../idempotency.ts';
import { linksOf } from '../links.ts';
import { noteStarted } from '../note-started.ts';
import { problemContent } from '../problems.ts';
import { summaryOf } from '../run-summary.ts';
import { knownHost, requireProduct } from '../unknown.ts';

const tags = ['services'];
const heldByOthers = problemContent('Another run holds the host; `holdingRunId` and `links` name it');

/** What a request says beside what every request says. */
type Wanted = ServiceRequest extends infer Request ? (Request extends ServiceRequest ? Omit<Request, 'releaseId' | 'requestedBy' | 'requestId'> : never) : never;

/** The services of one host. Nothing is changed in here: a run does that, on the host. */
export function serviceRoutes(app: Api, dependencies: ApiDependencies): void {
  const { stores, runs, settings } = dependencies;

  app.get(
    '/api/services/status',
    {
      schema: {
        tags,
        summary: 'The instances of a product on a host, as they are now',
        description: 'The host is asked. Where it does not answer within seconds, what it told last is given with `asked: false`, and what runs is `unknown`.',
        querystring: ServiceStatusQuery,
        response: { 200: ServiceStatusAnswer },
      },
    },
    async ({ query, log }) => {
      const host = await knownHost(stores, query.host);
      await requireProduct(stores, query.product, host);
      const told = inspectionOf(host, query.product);
      const [now, latest] = await Promise.all([host.status === 'pending' ? null : runs.askServices(query.host, query.product), stores.runs.list({ host: query.host, product: query.product, limit: 20 })]);
      const state = now ? now.state : (told?.state ?? null);
      const intent = now ? now.intent : (told?.intent ?? null);
      const open = latest.filter((run) => run.endedAt === null);
      // The one that changes the host before those that wait for their turn.
      const run = open.find(({ runId }) => runId === intent?.runId) ?? open[0];
      const progress = run === undefined ? null : await runs.progress(run.runId).catch((error: unknown) => (log.warn({ err: error }, 'a run could not be asked for its progress'), null));
      const shown = state === null ? [] : serviceInstances(state, intent, now?.processes ?? null, query.service ?? null);
      if (query.service !== undefined && shown.length === 0) {
        const reason = refusalOf(now ?? (await toldServices(host, query.product)), { action: 'restart', host: query.host, product: query.product, service: query.service });
        if (reason !== null) throw new FairleadError(reason);
      }
      return {
        host: query.host,
        product: query.product,
        hostStatus: host.status,
        asked: now !== null,
        observedAt: now === null ? host.lastSeenAt : new Date().toISOString(),
        activeReleaseId: state?.activeReleaseId ?? null,
        instances: shown,
        stranded: intent?.stranded ?? null,
        run: run === undefined ? null : summaryOf(run),
        progress: progress as ServiceStatusAnswer['progress'],
        links: run === undefined ? null : linksOf(settings, run.runId, run.workflowId),
      };
    },
  );

  app.post(
    '/api/services/restart',
    {
      schema: {
        tags,
        summary: 'Restart the instances of a service, one at a time',
        description: 'Requests that come in a short time make one restart, at the end, and all of them get its run. One that comes while the restart is going on gets the next one. The run waits for its turn where another run holds the host.',
        headers: MutationHeaders,
        body: ServiceRestartBody,
        response: { 202: ServiceRunAccepted },
      },
    },
    async (request, reply) => {
      const { host, product, service, instances, bakeSeconds } = request.body;
      const accepted = await accept(request, reply, { action: 'restart', host, product, service, ...given({ instances, bakeSeconds }) });
      return reply.code(202).header('location', accepted.links.self).send(accepted);
    },
  );

  app.post(
    '/api/services/reload',
    {
      schema: {
        tags,
        summary: 'Have the instances of a service take up their configuration without a restart',
        headers: MutationHeaders,
        body: ServiceReloadBody,
        response: { 202: ServiceRunAccepted, 409: heldByOthers },
      },
    },
    async (request, reply) => {
      const { host, product, service, instances, bakeSeconds, orRestart } = request.body;
      const accepted = await accept(request, reply, { action: 'reload', host, product, service, ...given({ instances, bakeSeconds, orRestart }) });
      return reply.code(202).header('location', accepted.links.self).send(accepted);
    },
  );

  app.post(
    '/api/services/add-instance',
    {
      schema: {
        tags,
        summary: 'Add an instance to a service on one host',
        description: 'It gets a conf file, is started, proven and let into the router, and stays through updates until it is removed. Asked again, the run ends `unchanged`.',
        headers: MutationHeaders,
        body: ServiceAddInstanceBody,
        response: { 202: ServiceRunAccepted, 409: heldByOthers },
      },
    },
    async (request, reply) => {
      const { host, product, service, name, port } = request.body;
      const accepted = await accept(request, reply, { action: 'add-instance', host, product, service, short: name, ...given({ port }) });
      return reply.code(202).header('location', accepted.links.self).send(accepted);
    },
  );

  app.post(
    '/api/services/remove-instance',
    {
      schema: {
        tags,
        summary: 'Remove an instance that was added',
        description: 'It is drained, stopped and forgotten. Its conf file is kept beside, as `<instance>.conf.removed`.',
        headers: MutationHeaders,
        body: ServiceRemoveInstanceBody,
        response: { 202: ServiceRunAccepted, 409: heldByOthers },
      },
    },
    async (request, reply) => {
      const { host, product, service, name } = request.body;
      const accepted = await accept(request, reply, { action: 'remove-instance', host, product, service, short: name });
      return reply.code(202).header('location', accepted.links.self).send(accepted);
    },
  );

  async function accept(request: FastifyRequest, reply: FastifyReply, wanted: Wanted): Promise<ServiceRunAccepted> {
    const answer = await answerOnce<ServiceRunAccepted>(stores.idempotency, request, reply, async () => {
      const host = await knownHost(stores, wanted.host);
      await requireProduct(stores, wanted.product, host);
      const told = await toldServices(host, wanted.product);
      const reason = refusalOf(told, wanted);
      if (reason !== null) throw new FairleadError(reason);
      const asked = { ...wanted, releaseId: told.state?.activeReleaseId as ReleaseId, requestedBy: actorOf(callerOf(request)), requestId: requestIdOf(request) } as ServiceRequest;
      const started = asked.action === 'restart' ? await runs.joinRestart(asked) : { ...(await runs.startServiceChange(asked)), joined: false };
      const { host: _host, product: _product, releaseId: _release, requestedBy: _by, requestId, ...detail } = asked;
      const kind = asked.action === 'restart' || asked.action === 'reload' ? 'restart' : 'scale';
      const noted = await noteStarted(dependencies, request, { ...started, kind, asked, event: 'run.service_requested', detail: { ...detail, joined: started.joined }, key: requestId });
      return { status: 202, body: { ...noted, service: asked.service, action: asked.action, joined: started.joined } };
    });
    return answer.body;
  }

  /** What the host told last, with the declaration of its active release from the catalogue. What runs is not known here: the run asks. */
  async function toldServices(host: HostRow, product: ProductName): Promise<ServiceInspection> {
    const told = inspectionOf(host, product);
    const state = told?.state ?? null;
    const active = state?.activeReleaseId ?? null;
    const manifest = active === null ? null : ((await stores.releases.find(product, active, host.role))?.manifest ?? null);
    return { product, state, intent: told?.intent ?? null, manifest: manifest && withExtras(manifest, state?.extras), processes: {} };
  }
}

/** Why a request cannot be carried out whatever the host says; null where that is the run's question, also because a release is not in the catalogue any more. */
function refusalOf(told: ServiceInspection, wanted: Wanted): FairleadError['reason'] | null {
  if (told.state?.activeReleaseId && told.manifest === null) return null;
  const decision = planService({ ...told, intent: null }, { ...wanted, releaseId: '' as ReleaseId, requestedBy: '', requestId: '' } as ServiceRequest);
  return decision.kind === 'refuse' && settled.has(decision.reason.code) ? decision.reason : null;
}

/** Refusals that what a host told seconds ago is good enough for. Which instances there are may have changed since. */
const settled: ReadonlySet<string> = new Set(['nothing_installed', 'unknown_service', 'instance_name_invalid', 'instance_declared', 'reload_undeclared']);

const inspectionOf = (host: HostRow, product: ProductName): HostInspection | undefined => host.products.find((each) => each.product === product);

type Given<Values> = { [Name in keyof Values]: Exclude<Values[Name], undefined> };
/** Without what is undefined. */
const given = <Values extends Record<string, unknown>>(values: Values): Partial<Given<Values>> => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Given<Values>>;
