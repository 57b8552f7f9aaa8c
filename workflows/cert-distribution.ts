import { CancellationScope, ParentClosePolicy, setCurrentDetails, sleep, startChild, workflowInfo } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { KnownMember } from '../activities/control/certificate-distributions.ts';
import { nextTryAt } from '../src/domain/certificate/backoff.ts';
import { deliveriesAtOnce, heldBack, mayGoOn, planDistribution, receivedWish, type DeliveryEnd, type DistributionRequest } from '../src/domain/certificate/distribution.ts';
import { certificateNameOf } from '../src/domain/certificate/host-name.ts';
import type { PairFacts } from '../src/domain/certificate/pair.ts';
import type { SealedPair, SealingKey } from '../src/domain/certificate/seal.ts';
import type { CertificateRunRequest } from '../src/domain/certificate/wish.ts';
import type { Reason } from '../src/domain/failure.ts';
import { certificateWorkflowId, type HostId, type ReleaseId } from '../src/domain/ids.ts';
import type { Waiting } from '../src/domain/run/report.ts';
import { certRenewal } from './cert-renewal.ts';
import { controlCalls } from './support/control-calls.ts';
import { isCancel, readFailure } from './support/failures.ts';
import { createHostCalls, defaultTiming, type RunTiming } from './support/host-calls.ts';
import { attributesOf } from './support/search-attributes.ts';

/** How a distribution ended, for each host that was to have the certificate. */
export interface DistributionEnd {
  readonly fingerprint: string | null;
  readonly hosts: readonly DeliveryEnd[];
}

const limits = { startToCloseMs: 60_000, maximumAttempts: 5 };
/** How long a host may be busy with a run about its certificate that is not ours. */
const turnWaitMs = 600_000;
const turnPauseMs = 5_000;

/**
 * Brings the certificate that one host has got, and serves, to the other hosts that are to serve it: sealed for each, so that no private key stands here in the clear;
 * one host first, then the rest. Each host has a run of its own, which proves it or goes back to what was there before. Twice is once: hosts that have it are left alone.
 */
export async function certDistribution(request: DistributionRequest, timing: Partial<RunTiming> = {}): Promise<DistributionEnd> {
  const { host, product, wish } = request;
  const distribution = workflowInfo().runId;
  const ends: DeliveryEnd[] = [];
  let waiting: Waiting | null = null;
  const call = createHostCalls(host, { ...defaultTiming, ...timing }, (next) => {
    waiting = next;
    show();
  });

  function show(): void {
    const told = ends.map((end) => `- ${end.host}: ${end.outcome}${end.reason === null ? '' : `, ${end.reason.message}`}`);
    setCurrentDetails([`Certificate ${wish.names[0]} of ${product}, from ${host} to ${(wish.alsoOn ?? []).join(', ')}`, waiting === null ? '' : `Waiting for ${waiting.for}, until ${waiting.until ?? 'it comes'}`, told.join('\n')].filter(Boolean).join('\n\n'));
  }

  function end(ended: DeliveryEnd): DeliveryEnd {
    ends.push(ended);
    show();
    return ended;
  }

  /** A host without a run of its own that would say so. */
  async function miss({ host: other, failures }: KnownMember, outcome: 'refused' | 'held_back', reason: Reason): Promise<DeliveryEnd> {
    const now = Date.now();
    const next = nextTryAt({ failures: failures + 1, reason, seed: `${other}/${product}/${wish.names[0]}`, now });
    await controlCalls.noteCertificateTry({ host: other, product, lastTry: { at: new Date(now).toISOString(), succeeded: false, reason }, failures: failures + 1, nextTryAt: next });
    return end({ host: other, outcome, reason });
  }

  /** What the ordering host serves now; null where there is nothing. */
  async function served(): Promise<PairFacts | null> {
    const { value } = await call('inspectCertificates', { product }, 'look at the certificate', limits);
    const found = value.certificates.find(({ certificate }) => certificate === certificateNameOf(wish.names));
    return found?.versions.find(({ version }) => version === found.active) ?? null;
  }

  async function seal(facts: PairFacts, wave: number, recipients: readonly { readonly host: HostId; readonly key: SealingKey }[]): Promise<ReadonlyMap<HostId, SealedPair>> {
    await controlCalls.recordSealing({ distribution, request, wave, fingerprint: facts.fingerprintSha256, recipients });
    const { value } = await call('sealCertificate', { product, names: wish.names, fingerprint: facts.fingerprintSha256, distribution, recipients }, `seal the certificate for ${recipients.map((each) => each.host).join(', ')}`, limits);
    return new Map(value.sealed.map((sealed) => [sealed.context.to, sealed]));
  }

  async function deliver(member: KnownMember, sealed: SealedPair): Promise<DeliveryEnd> {
    const input: CertificateRunRequest = {
      action: 'issue',
      host: member.host,
      product,
      releaseId: member.releaseId as ReleaseId,
      wish: receivedWish(wish, host),
      originPort: null,
      force: false,
      // What it is for is said by what was asked, not by what came: the receiving host holds one against the other.
      delivery: { sealed, context: { product, certificate: certificateNameOf(wish.names), fingerprint: sealed.context.fingerprint, distribution, from: host, to: member.host } },
      requestedBy: request.requestedBy,
      requestId: `${distribution}-${member.host}`,
    };
    for (const since = Date.now(); ; await sleep(turnPauseMs)) {
      try {
        const child = await startChild(certRenewal, {
          workflowId: certificateWorkflowId(member.host, product),
          args: [input],
          // A host that has begun comes to its end, or back, whatever happens to this workflow.
          parentClosePolicy: ParentClosePolicy.ABANDON,
          memo: { requestId: input.requestId, requestedBy: input.requestedBy },
          staticSummary: `certificate ${wish.names[0]} of ${product} on ${member.host}, from ${host}`,
          typedSearchAttributes: attributesOf({ host: member.host, product, release: input.releaseId }),
        });
        const { outcome, reason } = await child.result();
        return end({ host: member.host, outcome, reason });
      } catch (error) {
        if (isCancel(error, CancellationScope.current().consideredCancelled)) throw error;
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) return miss(member, 'refused', readFailure(error, 'deliver', member.host).reason);
        if (Date.now() - since >= turnWaitMs) return miss(member, 'refused', busy(member.host, product));
      }
    }
  }

  /** @returns how the wave ended */
  async function walk(facts: PairFacts, wave: number, members: readonly KnownMember[]): Promise<DeliveryEnd[]> {
    const ended: DeliveryEnd[] = [];
    let sealed: ReadonlyMap<HostId, SealedPair>;
    try {
      sealed = await seal(facts, wave, members.map((member) => ({ host: member.host, key: member.sealingKey as SealingKey })));
    } catch (error) {
      if (isCancel(error, CancellationScope.current().consideredCancelled)) throw error;
      const { reason } = readFailure(error, 'seal', host);
      return Promise.all(members.map((member) => miss(member, 'refused', reason)));
    }
    const left = [...members];
    const worker = async (): Promise<void> => {
      for (let member = left.shift(); member !== undefined; member = left.shift()) ended.push(await deliver(member, sealed.get(member.host) as SealedPair));
    };
    await Promise.all(Array.from({ length: Math.min(deliveriesAtOnce, members.length) }, worker));
    return ended;
  }

  const { members } = await controlCalls.readDistribution(request);
  const known = new Map(members.map((member) => [member.host, member]));
  const facts = await served();
  if (facts === null) {
    const reason: Reason = { class: 'host', code: 'certificate_missing', message: `${host}/${product} has no certificate ${wish.names[0]} that could be brought to others.`, hint: `Issue it there: fairlead cert issue --host ${host} --product ${product}` };
    for (const member of members) await miss(member, 'refused', reason);
  } else {
    const plan = planDistribution(members, facts.fingerprintSha256, request);
    for (const other of plan.there) end({ host: other, outcome: 'unchanged', reason: null });
    for (const { host: other, reason } of plan.refused) await miss(known.get(other) as KnownMember, 'refused', reason);
    for (const [at, wave] of plan.waves.entries()) {
      const ended = await walk(facts, at + 1, wave.map((member) => known.get(member.host) as KnownMember));
      if (mayGoOn(ended)) continue;
      for (const member of plan.waves.slice(at + 1).flat()) await miss(known.get(member.host) as KnownMember, 'held_back', heldBack(product, ended));
      break;
    }
  }
  await controlCalls.recordDistribution({ distribution, request, fingerprint: facts?.fingerprintSha256 ?? null, ends });
  return { fingerprint: facts?.fingerprintSha256 ?? null, hosts: ends };
}

const busy = (host: HostId, product: string): Reason => ({
  class: 'host',
  code: 'host_busy',
  message: `Another run about the certificate of ${product} held ${host} for ${turnWaitMs / 60_000} minutes.`,
  hint: `See it: fairlead runs list --host ${host}`,
});
