import { expiryEvent } from '../../src/domain/certificate/status.ts';
import type { CertificateLook } from '../../src/domain/certificate/look.ts';
import type { CertificatePlan } from '../../src/domain/certificate/plan.ts';
import type { LastTry } from '../../src/domain/certificate/status.ts';
import type { CertificateRunRequest, CertificateWish } from '../../src/domain/certificate/wish.ts';
import type { Reason } from '../../src/domain/failure.ts';
import { hostWorkflowId, type RunId } from '../../src/domain/ids.ts';
import type { CertificatePlace, CertificateRegistry, CertificateRow } from '../../src/ports/certificate-registry.ts';
import type { ControlDependencies } from './runs.ts';

interface Dependencies extends ControlDependencies {
  readonly certificates: CertificateRegistry;
}
/** What runs about certificates, and the sweep that starts them, need of PostgreSQL. Every one is idempotent. */
export function createCertificateRunActivities({ runs, audit, certificates, now }: Dependencies) {
  return {
    /** Registers the run, and what it is to get where nothing is known of that yet. */
    async openCertificateRun(input: { readonly runId: RunId; readonly workflowId: string; readonly request: CertificateRunRequest; readonly requestedAt: string }): Promise<{ readonly fence: number; readonly failures: number }> {
      const { runId, workflowId, request, requestedAt } = input;
      const { host, product, releaseId, requestedBy, wish } = request;
      await certificates.propose(host, product, wish);
      const { fence } = await runs.open({ runId, workflowId, kind: 'cert-renewal', host, product, toReleaseId: releaseId, requestedBy, requestedAt });
      return { fence, failures: (await certificates.find(host, product))?.failures ?? 0 };
    },

    /** The audit row that stands before the first word to the issuer. */
    async recordCertificateIntent(input: { readonly runId: RunId; readonly request: CertificateRunRequest; readonly plan: CertificatePlan }): Promise<void> {
      const { runId, request, plan } = input;
      const { action, host, product, requestedBy, requestId, wish } = request;
      const detail = { action, names: wish.names, issuer: wish.issuer.name, requestId, ...plan };
      await audit.append({ at: now().toISOString(), event: 'run.intended', actor: requestedBy, subject: hostWorkflowId(host, product), runId, detail }, `${runId}/intended`);
    },

    /** The audit row that stands before the first step back. */
    async recordCertificateUndo(input: { readonly runId: RunId; readonly request: CertificateRunRequest; readonly failedStep: string; readonly reason: Reason; readonly steps: readonly string[] }): Promise<void> {
      const { runId, request, failedStep, reason, steps } = input;
      const entry = { at: now().toISOString(), event: 'run.undo_intended', actor: 'fairlead', subject: hostWorkflowId(request.host, request.product), runId, detail: { failedStep, reason, steps } };
      await audit.append(entry, `${runId}/undo_intended`);
    },

    /** What a host was seen to have. */
    async noteCertificate({ host, product, look }: CertificatePlace & { readonly look: Pick<CertificateLook, 'facts' | 'plan'> }): Promise<void> {
      await certificates.noteLook(host, product, { facts: look.facts, plan: look.plan, lookedAt: now().toISOString() });
    },

    /** How a try ended, for the status and for when the next one begins. */
    async noteCertificateTry({ host, product, ...ended }: CertificatePlace & { readonly lastTry: LastTry; readonly failures: number; readonly nextTryAt: string | null; readonly wish?: CertificateWish }): Promise<void> {
      await certificates.noteTry(host, product, ended);
    },

    /**
     * The certificates that are looked at now, a page of them, and a row in the audit for each that comes close to its end, once for each of 14, 7, 3, 1 and 0 days;
     * also where its host does not answer. One whose next try lies ahead is left out.
     * @param asked.limit how many are read; left out: all of them @returns `next`: where the following page begins; null where this was the last one
     */
    async listCertificates({ after = null, limit }: { readonly after?: CertificatePlace | null; readonly limit?: number }): Promise<{ readonly certificates: readonly CertificateRow[]; readonly orderers: readonly CertificateRow[]; readonly next: CertificatePlace | null }> {
      const rows = await certificates.list({ ...(after === null ? {} : { after }), ...(limit === undefined ? {} : { limit }) });
      const last = rows.at(-1);
      const at = now();
      for (const row of rows) {
        const days = row.facts === null ? null : expiryEvent(row.facts, null, at.getTime());
        if (row.facts === null || days === null) continue;
        const { serial, notAfter, names } = row.facts;
        const detail = { serial, names, notAfter, daysLeft: days, lastTry: row.lastTry, nextTryAt: row.nextTryAt };
        await audit.append({ at: at.toISOString(), event: days === 0 ? 'certificate.expired' : 'certificate.expiring', actor: 'fairlead', subject: hostWorkflowId(row.host, row.product), runId: null, detail }, `certificate.expiring:${row.host}/${row.product}:${serial}:${days}`);
      }
      // One that was got and not seen since is looked at all the same: the host may have been lost between the two.
      const due = rows.filter(({ facts, wish, lastTry, nextTryAt }) => (facts !== null || wish.orderedBy !== undefined || lastTry?.succeeded === true) && (nextTryAt === null || Date.parse(nextTryAt) <= at.getTime()));
      // A receiving host's orderer may stand on another page.
      const orderers: CertificateRow[] = [];
      for (const { product, wish } of due) {
        if (wish.orderedBy === undefined || [...due, ...orderers].some((row) => row.host === wish.orderedBy && row.product === product)) continue;
        const orderer = await certificates.find(wish.orderedBy, product);
        if (orderer !== null) orderers.push(orderer);
      }
      return { certificates: due, orderers, next: last === undefined || limit === undefined || rows.length < limit ? null : { host: last.host, product: last.product } };
    },
  };
}

export type CertificateRunActivities = ReturnType<typeof createCertificateRunActivities>;
