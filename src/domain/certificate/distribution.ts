import type { Reason } from '../failure.ts';
import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { Outcome } from '../run/report.ts';
import type { SealingKey } from './seal.ts';
import type { CertificateRunRequest, CertificateWish } from './wish.ts';

/** The input of a distribution: the certificate that one host serves is brought to others. */
export interface DistributionRequest extends Pick<CertificateRunRequest, 'action' | 'host' | 'product' | 'requestedBy' | 'requestId'> {
  /** That of the ordering host, with `alsoOn`. */
  readonly wish: CertificateWish;
}

/** What control knows of a host that is to have the certificate. */
export interface DistributionMember {
  readonly host: HostId;
  /** Null: its agent has told none. */
  readonly sealingKey: SealingKey | null;
  /** Null: nothing is installed, or the host is not known. */
  readonly releaseId: ReleaseId | null;
  /** Of the certificate that it was last seen to have; null for none. */
  readonly fingerprint: string | null;
  /** The host that orders for it; null: it has had its own so far. */
  readonly orderedBy: HostId | null;
}

export interface DistributionPlan {
  /** One after the other; the next one begins once every host of the one before serves the certificate. */
  readonly waves: readonly (readonly DistributionMember[])[];
  /** Those that have it already. */
  readonly there: readonly HostId[];
  readonly refused: readonly { readonly host: HostId; readonly reason: Reason }[];
}

/** How a distribution ended for one host. `held_back`: nothing was tried, because the first wave failed. */
export interface DeliveryEnd {
  readonly host: HostId;
  readonly outcome: Outcome | 'held_back';
  readonly reason: Reason | null;
}

/** At most so many hosts take a certificate over at the same time. */
export const deliveriesAtOnce = 10;

/**
 * Decides which hosts get the certificate, and in which order: one first, then the rest. Pure.
 * @param fingerprint of the certificate that the ordering host serves
 * @param asked with `issue` a person wants it there now: a host with a certificate of its own gives that up. A renewal only goes where it was before
 */
export function planDistribution(members: readonly DistributionMember[], fingerprint: string, { action, host, product }: Pick<DistributionRequest, 'action' | 'host' | 'product'>): DistributionPlan {
  const there = members.filter((member) => member.fingerprint === fingerprint && member.orderedBy === host).map((member) => member.host);
  const open = members.filter((member) => !there.includes(member.host));
  const judged = open.map((member) => ({ member, reason: refusalOf(member, { action, host, product }) }));
  const [first, ...rest] = judged.flatMap(({ member, reason }) => (reason === null ? [member] : []));
  return {
    waves: first === undefined ? [] : rest.length === 0 ? [[first]] : [[first], rest],
    there,
    refused: judged.flatMap(({ member, reason }) => (reason === null ? [] : [{ host: member.host, reason }])),
  };
}

function refusalOf(member: DistributionMember, { action, host, product }: Pick<DistributionRequest, 'action' | 'host' | 'product'>): Reason | null {
  const place = `${member.host}/${product}`;
  if (member.releaseId === null) return { class: 'request', code: 'nothing_installed', message: `${place} has no active release that a certificate could be served for.`, hint: 'Install the product there first.' };
  if (member.sealingKey === null) return { class: 'host', code: 'sealing_key_unknown', message: `The agent of ${member.host} has told no sealing key, and a private key travels sealed only.`, hint: `Update its agent: fairlead nodes update ${member.host}` };
  if (action === 'renew' && member.fingerprint !== null && member.orderedBy !== host) {
    return { class: 'request', code: 'certificate_ordered_elsewhere', message: `The certificate of ${place} is ${member.orderedBy === null ? 'its own' : `ordered by ${member.orderedBy}`} by now, not by ${host}.`, hint: `To bring it there again, name the host with --host in: fairlead cert issue --host ${host} --host ${member.host}` };
  }
  return null;
}

/** Pure: whether the next wave may begin, by how the hosts of this one ended. */
export const mayGoOn = (ended: readonly Pick<DeliveryEnd, 'outcome'>[]): boolean => ended.every(({ outcome }) => outcome === 'succeeded' || outcome === 'unchanged');

/** Pure: what a host hears that was not tried. */
export const heldBack = (product: ProductName, failed: readonly DeliveryEnd[]): Reason => ({
  class: 'dependency',
  code: 'certificate_held_back',
  message: `The new certificate of ${product} was not brought here, because ${failed.map(({ host, outcome, reason }) => `${host} ended ${outcome}${reason === null ? '' : ` (${reason.code})`}`).join(', ')}. The one from before serves on.`,
  hint: 'Mend that host; the schedule tries again, or at once: fairlead cert renew',
});

/** Pure: what a host is to have whose certificate another one orders. */
export const receivedWish = ({ alsoOn: _, ...wish }: CertificateWish, orderedBy: HostId): CertificateWish => ({ ...wish, challenge: { kind: 'none' }, orderedBy });
