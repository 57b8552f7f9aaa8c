import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { PromotionBody, PromotionPlanBody, RunAccepted, UpdatePlanAnswer } from '../../contract/index.ts';
import { refuseRole } from '../../domain/access/may.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { HostInspection } from '../../domain/host/state.ts';
import type { HostId, ProductName, ReleaseId } from '../../domain/ids.ts';
import { planPromotion } from '../../domain/promotion/plan.ts';
import type { PromotionCertificate, PromotionRequest } from '../../domain/promotion/request.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import { wishOf } from '../certificate-wish.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders, requestIdOf } from '../idempotency.ts';
import { noteStarted } from '../note-started.ts';
import { problemContent } from '../problems.ts';
import { knownArtifact, knownHost, requireProduct } from '../unknown.ts';
import { planAnswer } from '../plan-answer.ts';

const tags = ['promotions'];

/** From the setup phase to the installed one. Nothing is changed in here: a run does that, on the host. */
export function promotionRoutes(app: Api, dependencies: ApiDependencies): void {
  const { stores, runs } = dependencies;

  app.post(
    '/api/promotions/plan',
    { schema: { tags, summary: 'What a promotion would do, without doing it', description: 'With a certificate, nothing is asked of its CA.', body: PromotionPlanBody, response: { 200: UpdatePlanAnswer } } },
    async ({ body }) => {
      const { host, inspection, releaseId } = await demandRelease(body.host, body.product);
      const artifact = await knownArtifact(stores, body.product, releaseId, host.role);
      const certificate = await certificateOf(body, host);
      const decision = planPromotion(inspection, artifact, { host: body.host, product: body.product, releaseId, ...(certificate === undefined ? {} : { certificate }), requestedBy: '', requestId: '' });
      return planAnswer({ host: body.host, product: body.product, decision, activeReleaseId: releaseId, observedAt: host.lastSeenAt, certificate });
    },
  );

  app.post(
    '/api/promotions',
    {
      schema: {
        tags,
        summary: 'Start the promotion of a host',
        description: 'Asked again after it succeeded, the run ends `unchanged`.',
        headers: MutationHeaders,
        body: PromotionBody,
        response: { 202: RunAccepted, 409: problemContent('Another run holds the host; `holdingRunId` and `links` name it') },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const answer = await answerOnce(stores.idempotency, request, reply, async () => {
        const { host, releaseId } = await demandRelease(body.host, body.product);
        const { certificate: wanted, ...promoted } = body;
        if (wanted !== undefined) demandAdministrator(request);
        const certificate = await certificateOf(body, host);
        const asked: PromotionRequest = { ...promoted, ...(certificate === undefined ? {} : { certificate }), releaseId: body.releaseId ?? releaseId, role: host.role, requestedBy: actorOf(callerOf(request)), requestId: requestIdOf(request) };
        await knownArtifact(stores, body.product, asked.releaseId, host.role);
        const started = await runs.startPromotion(asked);
        return { status: 202, body: await noteStarted(dependencies, request, { ...started, kind: 'promotion', asked, event: 'run.promotion_requested', detail: { releaseId: asked.releaseId, ...(asked.certificate === undefined ? {} : { names: asked.certificate.wish.names, issuer: asked.certificate.wish.issuer.name }) } }) };
      });
      return reply.code(202).header('location', answer.body.links.self).send(answer.body);
    },
  );

  /** What is asked for, with all that was left out; undefined where none is. */
  async function certificateOf({ host: hostId, product, certificate }: z.output<typeof PromotionPlanBody>, host: HostRow): Promise<PromotionCertificate | undefined> {
    if (certificate === undefined) return undefined;
    return { wish: await wishOf(stores, { host: hostId, product, ...certificate }, host), originPort: certificate.originPort };
  }

  async function demandRelease(hostId: HostId, product: ProductName): Promise<{ host: HostRow; inspection: HostInspection; releaseId: ReleaseId }> {
    const host = await knownHost(stores, hostId);
    await requireProduct(stores, product, host);
    const inspection = host.products.find((each) => each.product === product);
    const releaseId = inspection?.state?.activeReleaseId;
    if (inspection && releaseId) return { host, inspection, releaseId };
    throw new FairleadError({
      class: 'request',
      code: 'nothing_installed',
      message: `${hostId}/${product} has no release that could be promoted.`,
      hint: `Install one first: fairlead update apply --host ${hostId} --product ${product}`,
    });
  }
}

/** An issuer names files of the host and, for DNS, a command that its agent runs. */
function demandAdministrator(request: FastifyRequest): void {
  const refused = refuseRole(callerOf(request), { roles: ['admin'] });
  if (refused !== null) throw new FairleadError(refused);
}
