import type { FastifyRequest } from 'fastify';
import type { RunAccepted, UpdateDownloadAnswer, UpdateDownloadCancelAnswer, UpdateStatusAnswer } from '../../contract/index.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import { hostWorkflowId, type ProductName } from '../../domain/ids.ts';
import { planUpdate } from '../../domain/update/plan.ts';
import type { UpdateRequest } from '../../domain/update/request.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import { noteChange } from '../auditing.ts';
import { heldBundle } from '../held-bundle.ts';
import { answerOnce, requestIdOf } from '../idempotency.ts';
import { linksOf, temporalUiOf } from '../links.ts';
import { noteStarted } from '../note-started.ts';
import { pageOf } from '../page.ts';
import { planAnswer } from '../plan-answer.ts';
import { summaryOf } from '../run-summary.ts';
import { withinScope } from '../scopes.ts';
import { knownArtifact, knownHost, requireProduct } from '../unknown.ts';
import { checkForUpdate } from '../update-check.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { updateSchemas } from './update-schemas.ts';

/** Updates of one host. Nothing is changed in here: a run does that, on the host. */
export function updateRoutes(app: Api, dependencies: ApiDependencies): void {
  const { stores, runs, prefetcher, settings, artifactStore } = dependencies;

  app.post(
    '/api/updates/check',
    { schema: updateSchemas.check },
    async ({ body }) => {
      const host = await knownHost(stores, body.host);
      await requireProduct(stores, body.product, host);
      return checkForUpdate(host, body.product, await stores.releases.list({ product: body.product, limit: 200 }), await stores.policies.list());
    },
  );

  app.get(
    '/api/updates/status',
    { schema: updateSchemas.status },
    async ({ query, log }) => {
      const host = await knownHost(stores, query.host);
      await requireProduct(stores, query.product, host);
      const inspection = inspectionOf(host, query.product);
      const latest = await stores.runs.list({ host: query.host, product: query.product, limit: 20 });
      // The host's workflow id lets one run at a time change it; restarts of services may wait for their turn behind it.
      const unended = latest.filter((run) => run.endedAt === null);
      const open = unended.find(({ runId, workflowId }) => runId === inspection?.intent?.runId || workflowId === hostWorkflowId(query.host, query.product)) ?? unended[0];
      const lastRun = latest.find((run) => run.endedAt !== null);
      const progress =
        open === undefined ? null : await runs.progress(open.runId).catch((error: unknown) => (log.warn({ err: error }, 'a run could not be asked for its progress'), null));
      const state = inspection?.state ?? null;
      const stranded = inspection?.intent?.stranded ?? null;
      return {
        host: host.host,
        product: query.product,
        hostStatus: host.status,
        lastSeenAt: host.lastSeenAt,
        phase: state?.phase ?? null,
        activeReleaseId: state?.activeReleaseId ?? null,
        lastGoodReleaseId: state?.lastGoodReleaseId ?? null,
        previousGoodReleaseId: state?.previousGoodReleaseId ?? null,
        failedReleaseIds: [...(state?.failedReleaseIds ?? [])],
        instances: Object.entries(state?.instances ?? {}).map(([name, { service, port, releaseId, admitted }]) => ({ name, service, port, releaseId, admitted })),
        stranded: stranded === null || !inspection?.intent ? null : { runId: inspection.intent.runId, reason: stranded },
        run: open === undefined ? null : summaryOf(open),
        progress: progress as UpdateStatusAnswer['progress'],
        lastRun: lastRun === undefined ? null : summaryOf(lastRun),
        links: open === undefined ? null : linksOf(settings, open.runId, open.workflowId),
        download: await prefetcher.findPrefetch(query.host, query.product).catch((error: unknown) => (log.warn({ err: error }, 'nobody could say what is on its way to the host'), null)),
      };
    },
  );

  app.post(
    '/api/updates/plan',
    { schema: updateSchemas.plan },
    async (request) => {
      const { body } = request;
      const host = await knownHost(stores, body.host);
      await requireProduct(stores, body.product, host);
      const artifact = await knownArtifact(stores, body.product, body.releaseId, body.role ?? host.role);
      const told = inspectionOf(host, body.product);
      const decision = planUpdate(told ?? freshHost(body.product), artifact, { ...body, requestedBy: actorOf(callerOf(request)), requestId: request.id });
      return planAnswer({ host: body.host, product: body.product, decision, activeReleaseId: told?.state?.activeReleaseId ?? null, observedAt: host.lastSeenAt });
    },
  );

  app.post(
    '/api/updates/download',
    { schema: updateSchemas.download },
    async (request, reply) => {
      const { body } = request;
      const answer = await answerOnce<UpdateDownloadAnswer>(stores.idempotency, request, reply, async () => {
        const host = await knownHost(stores, body.host);
        await requireProduct(stores, body.product, host);
        const artifact = await knownArtifact(stores, body.product, body.releaseId, body.role ?? host.role);
        const held = await heldBundle(artifactStore, artifact, host);
        const { manifest: _manifest, ...reference } = artifact;
        const { workflowId, joined, replaced } = await prefetcher.startPrefetch({ host: body.host, product: body.product, artifact: reference, requestedBy: actorOf(callerOf(request)), requestId: requestIdOf(request) });
        if (replaced !== null) noteChange(request, { before: { onItsWay: replaced }, after: { onItsWay: body.releaseId } });
        const status = `/api/updates/status?${new URLSearchParams({ host: body.host, product: body.product }).toString()}`;
        return { status: 202, body: { ...held, transfer: { workflowId, joined, replaced, links: { status, temporalUi: temporalUiOf(settings, workflowId, null) } } } };
      });
      return reply.code(202).send(answer.body);
    },
  );

  app.delete(
    '/api/updates/download',
    { schema: updateSchemas.cancelDownload },
    async (request, reply) => {
      const { host, product } = request.query;
      const answer = await answerOnce<UpdateDownloadCancelAnswer>(stores.idempotency, request, reply, async () => {
        await requireProduct(stores, product, await knownHost(stores, host));
        const cancelled = await prefetcher.cancelPrefetch(host, product);
        if (cancelled === null) return { status: 200, body: { host, product, state: 'not_under_way' as const, releaseId: null } };
        noteChange(request, { before: { onItsWay: cancelled }, after: { onItsWay: null } });
        return { status: 202, body: { host, product, state: 'requested' as const, releaseId: cancelled } };
      });
      return reply.code(answer.status as 200 | 202).send(answer.body);
    },
  );

  app.post(
    '/api/updates/apply',
    { schema: updateSchemas.apply },
    async (request, reply) => {
      const { body } = request;
      const { reason: _audited, ...wanted } = body;
      const answer = await answerOnce(stores.idempotency, request, reply, async () => {
        const host = await knownHost(stores, body.host);
        await requireProduct(stores, body.product, host);
        await knownArtifact(stores, body.product, body.releaseId, body.role ?? host.role);
        return { status: 202, body: await start(request, { ...wanted, requestedBy: actorOf(callerOf(request)), requestId: requestIdOf(request) }, 'run.requested') };
      });
      return reply.code(202).header('location', answer.body.links.self).send(answer.body);
    },
  );

  app.post(
    '/api/updates/rollback',
    { schema: updateSchemas.rollback },
    async (request, reply) => {
      const { body } = request;
      const answer = await answerOnce(stores.idempotency, request, reply, async () => {
        const host = await knownHost(stores, body.host);
        await requireProduct(stores, body.product, host);
        const state = inspectionOf(host, body.product)?.state ?? null;
        const target = state?.previousGoodReleaseId ?? null;
        if (state === null || target === null) throw nothingBefore(body.host, body.product);
        if (state.failedReleaseIds.includes(target)) throw condemned(target, body.host);
        await knownArtifact(stores, body.product, target, host.role);
        const update: UpdateRequest = { ...body, releaseId: target, strategy: 'rolling', requestedBy: actorOf(callerOf(request)), requestId: requestIdOf(request) };
        return { status: 202, body: await start(request, update, 'run.rollback_requested') };
      });
      return reply.code(202).header('location', answer.body.links.self).send(answer.body);
    },
  );

  app.get(
    '/api/updates/history',
    { schema: updateSchemas.history },
    async (request) => {
      const { rows, nextBefore } = await pageOf({ ...request.query, ...(await withinScope(request, stores)) }, (filter) => stores.runs.list(filter), (run) => run.runId);
      return { runs: rows.map(summaryOf), nextBefore };
    },
  );

  async function start(request: FastifyRequest, update: UpdateRequest, event: string): Promise<RunAccepted> {
    const started = await runs.startUpdate(update);
    const detail = { releaseId: update.releaseId, strategy: update.strategy, allowFailed: update.allowFailed ?? false };
    return noteStarted(dependencies, request, { ...started, kind: 'update-apply', asked: update, event, detail });
  }
}

const inspectionOf = (host: HostRow, product: ProductName): HostInspection | undefined => host.products.find((each) => each.product === product);

/** A host that never had the product tells nothing of it. How much room there is is the run's question. */
const freshHost = (product: ProductName): HostInspection => ({
  product,
  state: null,
  currentReleaseId: null,
  completeReleaseIds: [],
  intent: null,
  freeBytes: Number.MAX_SAFE_INTEGER,
  router: 'embedded',
  trustedKeyIds: [],
});

const nothingBefore = (host: string, product: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'nothing_to_roll_back_to',
    message: `${host}/${product} knows no good release before the active one.`,
    hint: `Choose a release yourself: fairlead update apply --host ${host} --product ${product} --release RELEASE`,
  });

const condemned = (releaseId: string, host: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'release_condemned',
    message: `Release ${releaseId} failed on ${host} and is no rollback target.`,
    hint: 'Choose another release, or apply this one with allowFailed.',
  });
