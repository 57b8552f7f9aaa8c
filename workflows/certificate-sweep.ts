import { ParentClosePolicy, proxyActivities, setCurrentDetails, startChild, workflowInfo } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Done } from '../activities/host/index.ts';
import type { CertificateLook } from '../src/domain/certificate/look.ts';
import { planCertificate } from '../src/domain/certificate/plan.ts';
import type { CertificateRunRequest } from '../src/domain/certificate/wish.ts';
import { certificateWorkflowId, hostTaskQueue, type HostId, type ProductName } from '../src/domain/ids.ts';
import type { CertificateRow } from '../src/ports/certificate-registry.ts';
import { certRenewal } from './cert-renewal.ts';
import { controlCalls } from './support/control-calls.ts';
import { attributesOf } from './support/search-attributes.ts';

/** What a sweep has found, and begun. */
export interface SweepResult {
  readonly looked: number;
  /** `host/product` of the renewals that it started. */
  readonly started: readonly string[];
  /** Those whose host did not answer; they are looked at by the next sweep. */
  readonly away: readonly string[];
}

const atOnce = 20;

/** Looks at every certificate that control knows of, and starts a renewal for each that is due. Started by a schedule; may be triggered at any time. */
export async function certificateSweep(): Promise<SweepResult> {
  const { certificates } = await controlCalls.listCertificates({});
  const [started, away]: [string[], string[]] = [[], []];
  const left = [...certificates];
  const worker = async (): Promise<void> => {
    for (let row = left.shift(); row !== undefined; row = left.shift()) {
      const place = `${row.host}/${row.product}`;
      const look = await lookAt(row);
      if (look === null) away.push(place);
      else if (await startIfDue(row, look)) started.push(place);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  setCurrentDetails(`${certificates.length} looked at; ${started.length} begun${started.length > 0 ? `: ${started.join(', ')}` : ''}; ${away.length} did not answer${away.length > 0 ? `: ${away.join(', ')}` : ''}`);
  return { looked: certificates.length, started, away };
}

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

async function startIfDue({ host, product, wish }: CertificateRow, look: CertificateLook): Promise<boolean> {
  const { runId } = workflowInfo();
  const releaseId = look.activeReleaseId;
  if (releaseId === null) return false;
  const request: CertificateRunRequest = { action: 'renew', host, product, releaseId, wish, originPort: null, force: false, requestedBy: 'schedule', requestId: `sweep-${runId}-${host}-${product}` };
  if (planCertificate(look, request).kind !== 'act') return false;
  try {
    await startChild(certRenewal, {
      workflowId: certificateWorkflowId(host, product),
      args: [request],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      memo: { requestId: request.requestId, requestedBy: request.requestedBy },
      staticSummary: `renewal of the certificate of ${product} on ${host}`,
      typedSearchAttributes: attributesOf({ host, product, release: releaseId }),
    });
    return true;
  } catch (error) {
    // One is under way, and may be waiting to try again.
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
