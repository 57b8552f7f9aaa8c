import type { Reason } from '../failure.ts';
import type { ReleaseId } from '../ids.ts';
import { covers } from './host-name.ts';
import type { CertificateLook } from './look.ts';
import { issuingSteps, openingStep, switchSteps } from './step.ts';
import type { CertificateRunRequest } from './wish.ts';

/** What a run will do about a certificate, decided before it does anything. */
export interface CertificatePlan {
  readonly releaseId: ReleaseId;
  readonly because: 'first' | 'delivered' | 'forced' | 'names_changed' | 'key_mismatch' | 'expired' | 'ari' | 'one_third_left' | 'half_left';
  /** Of the certificate that it replaces; null where there is none. */
  readonly serial: string | null;
  readonly notAfter: string | null;
  readonly steps: readonly string[];
}

export type CertificateDecision =
  | { readonly kind: 'act'; readonly plan: CertificatePlan }
  | { readonly kind: 'unchanged'; readonly releaseId: ReleaseId; readonly note: string }
  | { readonly kind: 'refuse'; readonly reason: Reason };

type Asked = Pick<CertificateRunRequest, 'action' | 'host' | 'product' | 'wish' | 'originPort' | 'force' | 'delivery'>;

/**
 * Decides whether a certificate is got now. Pure: the same look and request give the same answer, by the clock of the host that was looked at.
 * @returns `refuse`, with nothing touched, of class `request` where nothing could serve it or there is nothing to renew, and of class `host` for a stranded one
 */
export function planCertificate(look: CertificateLook, request: Asked): CertificateDecision {
  const { facts, plan, activeReleaseId: releaseId } = look;
  const place = `${request.host}/${request.product}`;
  const words = `--host ${request.host} --product ${request.product}`;
  const refuse = (reason: Reason): CertificateDecision => ({ kind: 'refuse', reason });
  if (look.stranded !== null) return refuse({ class: 'host', code: 'host_stranded', message: `${place} is stranded: ${look.stranded.message}`, hint: `On the host, run: fairlead recover --product ${request.product}` });
  if (releaseId === null) return refuse({ class: 'request', code: 'nothing_installed', message: `${place} has no active release that a certificate could be served for.`, hint: `Install one first: fairlead update apply ${words}` });
  if (!look.isDeclared) return refuse({ class: 'request', code: 'certificates_undeclared', message: `Release ${releaseId} of ${request.product} declares no router that ends TLS.`, hint: 'Add router: and certificates: to fairlead.yaml.' });
  if (facts === null && request.action === 'renew') return refuse({ class: 'request', code: 'certificate_missing', message: `${place} has no certificate ${request.wish.names[0]} that could be renewed.`, hint: `Get the first one: fairlead cert issue ${words}` });
  const because = whyNow(look, request);
  if (because === null && request.delivery !== undefined) return { kind: 'unchanged', releaseId, note: `${facts?.names[0]} is the one of ${request.delivery.context.from} already, valid until ${facts?.notAfter}` };
  if (because === null) return { kind: 'unchanged', releaseId, note: `${facts?.names[0]} is valid until ${facts?.notAfter}, and is renewed from ${plan?.at} on` };
  const steps = [...(request.delivery === undefined ? issuingSteps(request.originPort !== null) : [openingStep]), ...switchSteps].map(({ name }) => name);
  return { kind: 'act', plan: { releaseId, because, serial: facts?.serial ?? null, notAfter: facts?.notAfter ?? null, steps } };
}

/** Whether a certificate is to be got, and why; null where nothing is due. */
export function whyNow({ facts, plan, lookedAt }: Pick<CertificateLook, 'facts' | 'plan' | 'lookedAt'>, { wish, force, delivery }: Pick<CertificateRunRequest, 'wish' | 'force' | 'delivery'>): CertificatePlan['because'] | null {
  const now = Date.parse(lookedAt);
  if (delivery !== undefined) return facts?.fingerprintSha256 === delivery.context.fingerprint && facts.keyMatches ? null : 'delivered';
  if (facts === null) return 'first';
  if (!facts.keyMatches) return 'key_mismatch';
  if (wish.names.some((name) => !facts.names.some((certified) => covers(certified, name)))) return 'names_changed';
  if (Date.parse(facts.notAfter) <= now) return 'expired';
  if (force) return 'forced';
  return plan !== null && Date.parse(plan.at) <= now ? plan.because : null;
}
