import { receivedWish, type DeliveryEnd, type DistributionMember, type DistributionRequest } from '../../src/domain/certificate/distribution.ts';
import type { SealingKey } from '../../src/domain/certificate/seal.ts';
import type { CertificateWish } from '../../src/domain/certificate/wish.ts';
import { certificateDistributionWorkflowId, type HostId, type ReleaseId } from '../../src/domain/ids.ts';
import type { CertificatePlace, CertificateRegistry } from '../../src/ports/certificate-registry.ts';
import type { ControlDependencies } from './runs.ts';

interface Dependencies extends Pick<ControlDependencies, 'hosts' | 'audit' | 'now'> {
  readonly certificates: CertificateRegistry;
}

/** A member, and how many tries for it have failed in a row. */
export interface KnownMember extends DistributionMember {
  readonly failures: number;
}

/** What a distribution, and a promotion that gets a certificate, need of PostgreSQL. Every one is idempotent. */
export function createCertificateDistributionActivities({ hosts, certificates, audit, now }: Dependencies) {
  return {
    /** The other hosts that are to have the certificate, as control knows them; what is wanted there is kept where nothing was known. */
    async readDistribution({ host, product, wish }: DistributionRequest): Promise<{ readonly members: readonly KnownMember[] }> {
      const members: KnownMember[] = [];
      for (const other of wish.alsoOn ?? []) {
        await certificates.propose(other, product, receivedWish(wish, host));
        const [row, known] = await Promise.all([hosts.find(other), certificates.find(other, product)]);
        const inspection = row?.products.find((each) => each.product === product);
        const sealingKey = inspection?.sealingKey ?? row?.products.find((each) => each.sealingKey !== undefined)?.sealingKey ?? null;
        const releaseId: ReleaseId | null = inspection?.state?.activeReleaseId ?? null;
        members.push({ host: other, sealingKey, releaseId, fingerprint: known?.facts?.fingerprintSha256 ?? null, orderedBy: known?.wish.orderedBy ?? null, failures: known?.failures ?? 0 });
      }
      return { members };
    },

    /** The audit row that stands before a private key is sealed: for which hosts, and for which keys of theirs. */
    async recordSealing(input: { readonly distribution: string; readonly request: DistributionRequest; readonly wave: number; readonly fingerprint: string; readonly recipients: readonly { readonly host: HostId; readonly key: SealingKey }[] }): Promise<void> {
      const { distribution, request, wave, fingerprint, recipients } = input;
      const { host, product, requestedBy, requestId, wish } = request;
      const detail = { distribution, names: wish.names, fingerprint, wave, recipients, requestId };
      await audit.append({ at: now().toISOString(), event: 'certificate.sealing_intended', actor: requestedBy, subject: certificateDistributionWorkflowId(host, product), runId: null, detail }, `${distribution}/sealing/${wave}`);
    },

    /** A certificate that was got in the course of another run, and is served: renewals go by this from here on. */
    async keepCertificateWish({ host, product, wish }: CertificatePlace & { readonly wish: CertificateWish }): Promise<void> {
      await certificates.propose(host, product, wish);
      await certificates.noteTry(host, product, { lastTry: { at: now().toISOString(), succeeded: true, reason: null }, failures: 0, nextTryAt: null, wish });
    },

    /** The audit row at its end: who has it, and who does not. */
    async recordDistribution(input: { readonly distribution: string; readonly request: DistributionRequest; readonly fingerprint: string | null; readonly ends: readonly DeliveryEnd[] }): Promise<void> {
      const { distribution, request, fingerprint, ends } = input;
      const { host, product, wish } = request;
      const detail = { distribution, names: wish.names, fingerprint, hosts: ends.map((end) => ({ host: end.host, outcome: end.outcome, code: end.reason?.code ?? null })) };
      await audit.append({ at: now().toISOString(), event: 'certificate.distributed', actor: 'fairlead', subject: certificateDistributionWorkflowId(host, product), runId: null, detail }, `${distribution}/distributed`);
    },
  };
}

export type CertificateDistributionActivities = ReturnType<typeof createCertificateDistributionActivities>;
