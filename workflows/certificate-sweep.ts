import { continueAsNew, ParentClosePolicy, proxyActivities, setCurrentDetails, startChild, workflowInfo } from '@temporalio/workflow';
import type { Done } from '../activities/host/index.ts';
import type { CertificateLook } from '../src/domain/certificate/look.ts';
import { planCertificate } from '../src/domain/certificate/plan.ts';
import type { CertificateRunRequest } from '../src/domain/certificate/wish.ts';
import { certificateWorkflowId, hostTaskQueue, type HostId, type ProductName } from '../src/domain/ids.ts';
import type { CertificatePlace, CertificateRow } from '../src/ports/certificate-registry.ts';
import { certRenewal } from './cert-renewal.ts';
import { isBegun } from './support/begin.ts';
import { controlCalls } from './support/control-calls.ts';
import { attributesOf } from './support/search-attributes.ts';
import { startDistribution } from './support/start-distribution.ts';

/** What a sweep has found, and begun. */
export interface SweepResult {
  readonly looked: number;
  /** `host/product` of the renewals that it started; of thousands, the first ones. */
  readonly started: readonly string[];
  /** Those whose host did not answer; they are looked at by the next sweep. Of thousands, the first ones. */
  readonly away: readonly string[];
}

/** Where a sweep goes on that was begun by the execution before this one. */
export interface SweepCourse {
  readonly after: CertificatePlace | null;
  readonly found: SweepResult;
  /** Certificates in one page. */
  readonly page: number;
  /** Pages in one execution. */
  readonly pages: number;
}

const atOnce = 20;
/** A row has up to 4 KB: a page stays well below the 2 MB that Temporal takes at once, and an execution's pages below what a history may hold. */
const usualCourse: SweepCourse = { after: null, found: { looked: 0, started: [], away: [] }, page: 200, pages: 5 };
const mostNames = 200;
const keep = (names: readonly string[], more: readonly string[]): readonly string[] => [...names, ...more].slice(0, mostNames);

/**
 * Looks at every certificate that control knows of, page by page, and starts a renewal for each that is due. Started by a schedule; may be triggered at any time. Of a
 * large fleet it is a chain of executions under one id, which the schedule takes for one.
 */
export async function certificateSweep(given: Partial<SweepCourse> = {}): Promise<SweepResult> {
  const { page, pages, ...course } = { ...usualCourse, ...given };
  let { after, found } = course;
  for (let count = 0; count < pages; count += 1) {
    const { certificates, orderers = [], next = null } = await controlCalls.listCertificates({ after, limit: page });
    const { started, away } = await sweepPage(certificates, orderers);
    found = { looked: found.looked + certificates.length, started: keep(found.started, started), away: keep(found.away, away) };
    setCurrentDetails(told(found));
    if (next === null) return found;
    after = next;
  }
  return continueAsNew<typeof certificateSweep>({ after, found, page, pages });
}

/** @param orderers of those whose certificate another host orders, where they are none of the page */
async function sweepPage(certificates: readonly CertificateRow[], orderers: readonly CertificateRow[]): Promise<Pick<SweepResult, 'started' | 'away'>> {
  const [started, away]: [string[], string[]] = [[], []];
  const left = [...certificates];
  const worker = async (): Promise<void> => {
    for (let row = left.shift(); row !== undefined; row = left.shift()) {
      const place = `${row.host}/${row.product}`;
      const look = await lookAt(row);
      if (look === null) away.push(place);
      else if (row.wish.orderedBy !== undefined) {
        const from = [...certificates, ...orderers].find(({ host, product }) => host === row.wish.orderedBy && product === row.product);
        if (from !== undefined && (await distributeIfMissing(from, row.host, look))) started.push(place);
      } else if (await startIfDue(row, look)) started.push(place);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return { started, away };
}

const listed = (names: readonly string[]): string => (names.length === 0 ? '' : `: ${names.join(', ')}`);
const told = ({ looked, started, away }: SweepResult): string => `${looked} looked at; ${started.length} begun${listed(started)}; ${away.length} did not answer${listed(away)}`;

async function lookAt({ host, product, wish, facts, plan }: CertificateRow): Promise<CertificateLook | null> {
  const { lookAtCertificate } = proxyActivities<{ lookAtCertificate(asked: { host: HostId; product: ProductName; wish: CertificateRow['wish']; known: unknown }): Promise<Done<CertificateLook>> }>({
    taskQueue: hostTaskQueue(host),
    scheduleToStartTimeout: '15s',
    startToCloseTimeout: '6m',
    heartbeatTimeout: '20s',
    summary: 'look at the certificate',
    retry: { maximumAttempts: 2 },
  });
  try {
    const { value } = await lookAtCertificate({ host, product, wish, known: facts === null || plan === null ? null : { serial: facts.serial, plan } });
    await controlCalls.noteCertificate({ host, product, look: value });
    return value;
  } catch {
    return null;
  }
}

/** A host that has another certificate than the one that orders for it has missed a distribution. */
async function distributeIfMissing({ host, product, wish, facts }: CertificateRow, missing: HostId, look: CertificateLook): Promise<boolean> {
  if (facts === null || look.activeReleaseId === null || look.facts?.fingerprintSha256 === facts.fingerprintSha256 || !wish.alsoOn?.includes(missing)) return false;
  return startDistribution({ action: 'renew', host, product, wish, requestedBy: 'schedule', requestId: `sweep-${workflowInfo().runId}-${host}-${product}` }, look.activeReleaseId);
}

async function startIfDue({ host, product, wish }: CertificateRow, look: CertificateLook): Promise<boolean> {
  const { runId } = workflowInfo();
  const releaseId = look.activeReleaseId;
  if (releaseId === null) return false;
  const request: CertificateRunRequest = { action: 'renew', host, product, releaseId, wish, originPort: null, force: false, requestedBy: 'schedule', requestId: `sweep-${runId}-${host}-${product}` };
  if (planCertificate(look, request).kind !== 'act') return false;
  // One may be under way, and be waiting to try again.
  return isBegun(() =>
    startChild(certRenewal, {
      workflowId: certificateWorkflowId(host, product),
      args: [request],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      memo: { requestId: request.requestId, requestedBy: request.requestedBy },
      staticSummary: `renewal of the certificate of ${product} on ${host}`,
      typedSearchAttributes: attributesOf({ host, product, release: releaseId }),
    }),
  );
}
