import type { FastifyReply, FastifyRequest } from 'fastify';
import { CertificateIssueBody, CertificateList, CertificateListQuery, CertificateRenewBody, CertificateRunAccepted } from '../../contract/index.ts';
import { certificateNameOf } from '../../domain/certificate/host-name.ts';
import { certificateStatus } from '../../domain/certificate/status.ts';
import type { CertificateRunRequest } from '../../domain/certificate/wish.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { ReleaseId } from '../../domain/ids.ts';
import type { CertificateRow } from '../../ports/certificate-registry.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import { wishOf } from '../certificate-wish.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { answerOnce, MutationHeaders, requestIdOf } from '../idempotency.ts';
import { linksOf } from '../links.ts';
import { pageOfAll } from '../page.ts';
import { noteStarted } from '../note-started.ts';
import { problemContent } from '../problems.ts';
import { demandScope, labelledAll, withinScope } from '../scopes.ts';
import { knownHost, requireProduct } from '../unknown.ts';

const tags = ['certificates'];
type Wanted = Omit<CertificateRunRequest, 'releaseId' | 'requestedBy' | 'requestId'>;

/** The certificates that products are served with. Nothing is changed in here: a run does that, on the host. */
export function certificateRoutes(app: Api, dependencies: ApiDependencies): void {
  const { stores, runs, settings } = dependencies;

  app.get(
    '/api/certificates',
    { schema: { tags, summary: 'Every certificate: its end, when it is renewed, and how the last try ended', querystring: CertificateListQuery, response: { 200: CertificateList } } },
    async (request) => {
      const { host, product } = request.query;
      const { within } = await withinScope(request, stores);
      const known = await stores.certificates.list({ ...(host === undefined ? {} : { host }), ...(product === undefined ? {} : { product }) });
      const { rows, nextAfter } = pageOfAll(known.filter((row) => (within?.products?.includes(row.product) ?? true) && (within?.hosts?.includes(row.host) ?? true)), request.query, (row) => `${row.host}/${row.product}`);
      const open = await stores.runs.list({ kind: 'cert-renewal', open: true, limit: 10_000, ...(host === undefined ? {} : { host }), ...(product === undefined ? {} : { product }) });
      return {
        certificates: rows.map((row) => {
          const run = open.find((each) => each.host === row.host && each.product === row.product);
          return { host: row.host, product: row.product, alsoOn: row.wish.alsoOn ?? [], orderedBy: row.wish.orderedBy ?? null, issuerName: row.wish.issuer.name, lookedAt: row.lookedAt, status: statusOf(row), run: run === undefined ? null : { runId: run.runId, links: linksOf(settings, run.runId, run.workflowId) } };
        }),
        nextAfter,
      };
    },
  );

  app.post(
    '/api/certificates/issue',
    {
      schema: {
        tags,
        summary: 'Get a certificate for a product on a host, and have it served',
        description: 'The first one adds TLS beside plain HTTP, which is redirected once TLS is proven. Later ones replace the present one; where that is for the same names and not due, the run ends `unchanged`. Renewals go by what was asked for here last, once it has succeeded. With `alsoOn`, the run gets it for `host`; once it is served there, the other hosts get it sealed for their keys, each in a run of its own: one host first, and the rest when that one serves it.',
        headers: MutationHeaders,
        body: CertificateIssueBody,
        response: { 202: CertificateRunAccepted, 409: problemContent('Another run gets a certificate there; `holdingRunId` and `links` name it') },
      },
    },
    async (request, reply) => {
      const { host, product, originPort, force } = request.body;
      const accepted = await accept(request, reply, async (row) => ({ action: 'issue', host, product, force, wish: await wishOf(stores, request.body, row), originPort }));
      return reply.code(202).header('location', accepted.links.self).send(accepted);
    },
  );

  app.post(
    '/api/certificates/renew',
    {
      schema: {
        tags,
        summary: 'Renew a certificate where it is due',
        description: 'The issuer is asked when it would like that. A run that waits to try again tries at once.',
        headers: MutationHeaders,
        body: CertificateRenewBody,
        response: { 202: CertificateRunAccepted },
      },
    },
    async (request, reply) => {
      const { host, product, force } = request.body;
      const accepted = await accept(request, reply, async () => {
        const known = await stores.certificates.find(host, product);
        if (known === null) throw new FairleadError({ class: 'request', code: 'certificate_missing', message: `No certificate of ${product} on host ${host} is known.`, hint: `Get the first one: fairlead cert issue --host ${host} --product ${product}` });
        const { orderedBy, alsoOn } = known.wish;
        if (orderedBy !== undefined) throw new FairleadError({ class: 'request', code: 'certificate_ordered_elsewhere', message: `The certificate of ${product} on host ${host} is ordered by ${orderedBy}, and brought to ${host}.`, hint: `Renew it there, which also brings it here where it is missing: fairlead cert renew --host ${orderedBy} --product ${product}` });
        if (alsoOn !== undefined && alsoOn.length > 0) demandScope(request, { products: { of: 'every', names: [product] }, hosts: await labelledAll(stores, alsoOn) });
        return { action: 'renew', host, product, force, wish: known.wish, originPort: null };
      });
      return reply.code(202).header('location', accepted.links.self).send(accepted);
    },
  );

  async function accept(request: FastifyRequest<{ Body: { host: HostRow['host']; product: CertificateRow['product'] } }>, reply: FastifyReply, want: (host: HostRow) => Promise<Wanted>): Promise<CertificateRunAccepted> {
    const answer = await answerOnce<CertificateRunAccepted>(stores.idempotency, request, reply, async () => {
      const host = await knownHost(stores, request.body.host);
      await requireProduct(stores, request.body.product, host);
      const releaseId = host.products.find(({ product }) => product === request.body.product)?.state?.activeReleaseId ?? null;
      if (releaseId === null) throw new FairleadError({ class: 'request', code: 'nothing_installed', message: `${host.host}/${request.body.product} has no active release that a certificate could be served for.`, hint: 'Install the product first.' });
      const asked: CertificateRunRequest = { ...(await want(host)), releaseId: releaseId as ReleaseId, requestedBy: actorOf(callerOf(request)), requestId: requestIdOf(request) };
      const started = await runs.startCertificate(asked);
      const { action, wish, force } = asked;
      const detail = { action, names: wish.names, issuer: wish.issuer.name, force, joined: started.joined };
      const noted = await noteStarted(dependencies, request, { ...started, kind: 'cert-renewal', asked, event: 'run.certificate_requested', detail, key: asked.requestId });
      return { status: 202, body: { ...noted, joined: started.joined } };
    });
    return answer.body;
  }
}

const statusOf = ({ wish, facts, plan, lastTry, nextTryAt }: CertificateRow) => certificateStatus({ certificate: certificateNameOf(wish.names), facts, plan, lastTry, nextTryAt, now: Date.now() });
